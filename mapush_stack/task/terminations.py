"""What ends an episode (docs/task.md section 8)."""

from __future__ import annotations

import math
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .config import ObjectTask, TaskConfig
from .geometry import Measures
from .state import SimState

CAUSES = (
    "running",
    "finished",
    "value_error",
    "collision",
    "roll",
    "pitch",
    "robot_height",
    "object_height",
    "time_limit",
)
"""Causes of an episode's end by code; where several coincide the first in this order is recorded."""

_RULES = slice(CAUSES.index("collision"), CAUSES.index("object_height") + 1)


class Ending(NamedTuple):
    """What is true of each control step; leading dimensions `...`."""

    finished: Tensor
    """`[...]` bool: success, also where an exception coincides."""
    exceptional: Tensor
    """`[...]` uint8 number of exceptions for the reward: 1 for a rule broken, 1 more for a value error."""
    done: Tensor
    """`[...]` bool: the episode ends on this step."""
    cause: Tensor
    """`[...]` int64 index into `CAUSES`."""


def _first(holds: Tensor) -> Tensor:
    """Index `[...]` of the first of C causes that holds, of `[C, ...]` bool; 0 for none. Argmax is slow on a CPU."""
    ranks = torch.arange(len(holds), 0, -1, dtype=torch.uint8, device=holds.device)
    highest = (holds * ranks.view(-1, *[1] * (holds.dim() - 1))).amax(0)
    return (len(holds) - highest).to(torch.int64) % len(holds)


def evaluate(
    config: TaskConfig,
    target_object: ObjectTask,
    heights: Tensor,
    state: SimState,
    measures: Measures,
    age: Tensor,
    value_error: Tensor,
    here: Optional[Tensor] = None,
) -> Ending:
    """What each control step ends.

    Args:
        config: limits of the rules.
        target_object: has limits of its own.
        heights: `[A]` start height of each robot's base, m.
        state: `[...]` the state after the step, finite numbers only.
        measures: `[...]` of that state.
        age: `[...]` control steps of the episode up to and including this one.
        value_error: `[...]` bool: the physics produced numbers that are not finite or not believable.
        here: `[..., A]` bool: the others break no rule; without it all are here.

    """

    def one(broken: Tensor) -> Tensor:
        """Whether one of the robots breaks a rule."""
        return (broken if here is None else broken & here).any(-1)

    height, roll, pitch = state.robot_pos[..., 2], state.robot_rpy[..., 0], state.robot_rpy[..., 1]
    finished = (measures.target_distance < config.goal_distance) & ~value_error
    if config.goal == "pose":
        finished = finished & (measures.angle_error < math.radians(config.pose_angle))
    holds = {
        "running": torch.zeros_like(finished),
        "finished": finished,
        "value_error": value_error,
        "collision": (measures.pair_distance < target_object.min_robot_distance).any(-1),
        "roll": one(roll.abs() > config.max_roll),
        "pitch": one(pitch.abs() > config.max_pitch),
        "robot_height": one((height - heights).abs() > config.max_height_change),
        "object_height": (state.object_pos[..., 2] - target_object.start_height).abs() > config.max_height_change,
        "time_limit": age >= config.max_steps,
    }
    stacked = torch.stack([holds[name] for name in CAUSES])
    exception = stacked[_RULES].any(0)
    return Ending(
        finished=finished,
        exceptional=exception.to(torch.uint8) + value_error.to(torch.uint8),
        done=stacked.any(0),
        cause=_first(stacked),
    )
