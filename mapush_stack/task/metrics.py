"""The published measures of an episode (docs/task.md section 11)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from .config import ObjectTask, TaskConfig
from .geometry import Measures, pair_distances


def collaborating(config: TaskConfig, measures: Measures) -> Tensor:
    """True where every robot is within `collaboration_distance` of the object, `[...]` bool."""
    return (measures.planar_robot_distance < config.collaboration_distance).all(-1)


def valid_start(target_object: ObjectTask, robot_pos: Tensor) -> Tensor:
    """False for resets that break the rule between robots at once, `[N]` bool.

    With the cuboid these are 6.3 % of the resets.
    """
    return (pair_distances(robot_pos) >= target_object.min_robot_distance).all(-1)


class EpisodeResult(NamedTuple):
    """Results of the episodes that ended on a decision, `[N]`; meaningful where `done`."""

    done: Tensor
    """bool"""
    success: Tensor
    """bool"""
    steps: Tensor
    """int64, control steps of the episode."""
    collaboration_steps: Tensor
    """int64, those in which every robot was near the object."""
    reward: Tensor
    """float32, sum of the rewards, mean of the team."""
    cause: Tensor
    """int64 index into `terminations.CAUSES`."""
    angle_error: Tensor
    """float32, `Measures.angle_error` at the end, rad."""
    valid: Tensor
    """bool: the reset did not break the robot-robot rule by itself."""
    counted: Tensor
    """bool: false for a first episode that began with a random age, which no statistic should see."""
