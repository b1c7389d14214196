"""The published measures of an episode (docs/task.md section 11)."""

from __future__ import annotations

from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .config import ObjectTask, TaskConfig
from .geometry import Measures, pair_distances


def collaborating(config: TaskConfig, measures: Measures, here: Optional[Tensor] = None) -> Tensor:
    """True where every robot is within `collaboration_distance` of the object, `[...]` bool.

    Those where `here` `[..., A]` bool is false do not count.
    """
    near = measures.planar_robot_distance < config.collaboration_distance
    return (near if here is None else near | ~here).all(-1)


def valid_start(target_object: ObjectTask, robot_pos: Tensor, here: Optional[Tensor] = None) -> Tensor:
    """False for resets that break the rule between robots at once, `[N]` bool; `here` as in `collaborating`.

    With the cuboid these are 6.3 % of the resets. Heights do not count: those at a start may differ between kinds more
    than those a step later.
    """
    return (pair_distances(robot_pos[..., :2], here) >= target_object.min_robot_distance).all(-1)


def work_share(work: Tensor) -> Tensor:
    """Each robot's part of the work that all robots do, `[..., A]`, from their work `[..., A]` in J.

    Negative for a robot that brakes the object; the absolute values add up to 1, or all are 0 where none works.
    """
    return work / work.abs().sum(-1, keepdim=True).clamp_min(1e-9)


def work_evenness(work: Tensor, robots: Optional[Tensor] = None) -> Tensor:
    """How evenly a team shares the work, `[...]`: 1 if all do the same, 0 if one does all.

    The entropy of the shares of the robots that push, over its largest value (Pielou, "The measurement of diversity in
    different types of biological collections", 1966). 1 for a single robot.

    `robots` `[...]` says how many took part, if not all.
    """
    robots = torch.full_like(work[..., 0], work.shape[-1]) if robots is None else robots.to(work)
    entropy = torch.special.entr(work_share(work.clamp_min(0.0))).sum(-1)
    return torch.where(robots > 1, entropy / robots.clamp_min(2).log(), torch.ones_like(entropy))


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
    here: Tensor
    """`[N, A]` bool: the robots that took part."""
    work: Tensor
    """`[N, A]` float32, work of each robot on the object, J; `[N, 0]` where the simulator does not measure it."""
    angle_error: Tensor
    """float32, `Measures.angle_error` at the end, rad."""
    valid: Tensor
    """bool: the reset did not break the robot-robot rule by itself."""
    counted: Tensor
    """bool: false for a first episode that began with a random age, which no statistic should see."""
    touched: Tensor
    """`[N, 1 + A]` int64, decisions after which the object, and each robot, touched an obstacle; `[N, 0]` without."""
    travelled: Tensor
    """`[N, 1]` float32, way that the object went, m; `[N, 0]` without obstacles."""
