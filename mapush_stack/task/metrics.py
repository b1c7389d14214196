"""The published measures of an episode (docs/task.md section 11)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .config import ObjectTask, TaskConfig
from .geometry import Measures, pair_distances


def collaborating(config: TaskConfig, measures: Measures) -> Tensor:
    """True where every robot is within `collaboration_distance` of the object, `[...]` bool."""
    return (measures.planar_robot_distance < config.collaboration_distance).all(-1)


def valid_start(target_object: ObjectTask, robot_pos: Tensor) -> Tensor:
    """False for resets that break the rule between robots at once, `[N]` bool.

    With the cuboid these are 6.3 % of the resets. Heights do not count: those at a start may differ between kinds more
    than those a step later.
    """
    return (pair_distances(robot_pos[..., :2]) >= target_object.min_robot_distance).all(-1)


def work_share(work: Tensor) -> Tensor:
    """Each robot's part of the work that all robots do, `[..., A]`, from their work `[..., A]` in J.

    Negative for a robot that brakes the object; the absolute values add up to 1, or all are 0 where none works.
    """
    return work / work.abs().sum(-1, keepdim=True).clamp_min(1e-9)


def work_evenness(work: Tensor) -> Tensor:
    """How evenly a team shares the work, `[...]`: 1 if all do the same, 0 if one does all.

    The entropy of the shares of the robots that push, over its largest value (Pielou, "The measurement of diversity in
    different types of biological collections", 1966). 1 for a single robot.
    """
    if work.shape[-1] == 1:
        return torch.ones_like(work[..., 0])
    pushing = work_share(work.clamp_min(0.0))
    entropy: Tensor = torch.special.entr(pushing).sum(-1)
    return entropy / math.log(work.shape[-1])


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
    work: Tensor
    """`[N, A]` float32, work of each robot on the object, J; `[N, 0]` where the simulator does not measure it."""
    angle_error: Tensor
    """float32, `Measures.angle_error` at the end, rad."""
    valid: Tensor
    """bool: the reset did not break the robot-robot rule by itself."""
    counted: Tensor
    """bool: false for a first episode that began with a random age, which no statistic should see."""
