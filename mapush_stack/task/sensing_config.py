"""What can be asked for of how robots learn where things are, and how late they move (docs/sensing.md)."""

from __future__ import annotations

from typing import Any, Tuple

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import Annotated

from ..settings import Settings

FASTEST = 50.0
"""Poses are measured at most once a control step, Hz."""
Range = Tuple[float, float]


def _both(value: Any) -> Any:
    """Two numbers; one number is the range that holds nothing else."""
    pair = value if isinstance(value, (list, tuple)) else (value, value)
    numbers = [one for one in pair if isinstance(one, (int, float)) and not isinstance(one, bool) and abs(one) < 1e9]
    if len(pair) != 2 or len(numbers) != 2:
        raise ValueError("give a number, or two as [least, most]")
    return float(pair[0]), float(pair[1])


def _within(low: float, high: float) -> AfterValidator:
    def check(given: Range) -> Range:
        if not low <= given[0] <= given[1] <= high:
            raise ValueError(f"give a number from {low:g} to {high:g}, or two as [least, most]")
        return given

    return AfterValidator(check)


_NUMBER = BeforeValidator(_both)
Metres = Annotated[Range, _NUMBER, _within(0, 1)]
Degrees = Annotated[Range, _NUMBER, _within(0, 180)]
Seconds = Annotated[Range, _NUMBER, _within(0, 2)]


class SensingConfig(Settings):
    """How robots learn where things are; by default exactly and at once.

    A field is one number, or two between which each episode draws its own.
    """

    rate: Annotated[Range, _NUMBER, _within(0.5, FASTEST)] = Field(
        (FASTEST, FASTEST), description="poses are measured so many times a second; 50: at every control step"
    )
    delay: Seconds = Field((0.0, 0.0), description="age of a measurement when robots get it, s")
    dropout: Annotated[Range, _NUMBER, _within(0, 1)] = Field(
        (0.0, 0.0), description="share of the measurements of a body that are lost; the one before stays"
    )
    object_position_noise: Metres = Field((0.0, 0.0), description="standard deviation of the object's x and y, m")
    object_heading_noise: Degrees = Field((0.0, 0.0), description="standard deviation of the object's yaw, degrees")
    robot_position_noise: Metres = Field((0.0, 0.0), description="standard deviation of a robot's x and y, m")
    robot_heading_noise: Degrees = Field((0.0, 0.0), description="standard deviation of a robot's yaw, degrees")
    action_delay: Seconds = Field((0.0, 0.0), description="a robot follows a command so much later, s")

    @property
    def noisy(self) -> bool:
        """Whether measurements differ from the truth."""
        fields = "object_position_noise", "object_heading_noise", "robot_position_noise", "robot_heading_noise"
        return any(getattr(self, name)[1] > 0 for name in fields)

    @property
    def active(self) -> bool:
        """Whether robots know poses otherwise than exactly and at once."""
        return self.noisy or self.rate[0] < FASTEST or self.delay[1] > 0 or self.dropout[1] > 0


def in_steps(seconds: Range, step: float) -> Tuple[int, int]:
    """A range of seconds as the nearest numbers of steps of `step` seconds."""
    return round(seconds[0] / step), round(seconds[1] / step)
