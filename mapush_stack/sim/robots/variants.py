"""Planar robots that are stronger, weaker, faster or slower than `planar` (docs/teams.md)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from typing_extensions import Annotated

from .base import Joints
from .planar import Force, Sliding, SlidingSettings, TimeConstant

Speed = Annotated[float, Field(gt=0, le=4, description="velocities are the commands times this")]


class VariantSettings(SlidingSettings):
    """A planar robot of its own speed."""

    speed: Speed = 1.0


class StrongSettings(VariantSettings):
    """Twice the planar robot's largest force, which it reaches when the object holds it at a full command."""

    linear_time_constant: TimeConstant = 0.05
    max_force: Force = 120.0


class WeakSettings(VariantSettings):
    """Half the planar robot's largest force."""

    max_force: Force = 30.0


class FastSettings(VariantSettings):
    """Twice the planar robot's speed."""

    speed: Speed = 2.0


class SlowSettings(VariantSettings):
    """Half the planar robot's speed."""

    speed: Speed = 0.5


class Variant(Sliding[VariantSettings]):
    """Planar robots that scale their commands."""

    def control(self, commands: Tensor, joints: Joints) -> Tensor:
        """See `RobotKind.control`."""
        return commands * self.settings.speed


class Strong(Variant):
    """Planar robots that push with up to 120 N."""

    settings_model = StrongSettings


class Weak(Variant):
    """Planar robots that push with up to 30 N."""

    settings_model = WeakSettings


class Fast(Variant):
    """Planar robots that move twice as fast."""

    settings_model = FastSettings


class Slow(Variant):
    """Planar robots that move half as fast."""

    settings_model = SlowSettings


VARIANTS = (Strong, Weak, Fast, Slow)
"""Kinds that are `planar` but for their servos."""
