"""The reward terms. A new term is one function here, one weight in `RewardWeights`, one line in `TERMS`.

Every term is a function of the measures after a control step (`now`) and before it (`before`) and of what ended
on it, and returns `[..., A]` before weighting, one number a robot. Weights and formulas are per control step of
0.02 s; upstream's are task_spec section 9.
"""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple, Tuple

import torch
from torch import Tensor

from .config import TaskConfig
from .geometry import Measures, robot_pairs

PUSH_SPEED = 0.1
"""Planar speed of the object above which the push term counts, m/s (task_spec section 9)."""


class Transition(NamedTuple):
    """One control step (or a block of them) as the reward terms see it; leading dimensions `...`."""

    config: TaskConfig
    now: Measures
    before: Measures
    finished: Tensor
    """`[...]` bool: the object is at the target."""
    exceptional: Tensor
    """`[...]` number of exceptions (0, 1 or 2): a rule broken, a value error."""


def success(step: Transition) -> Tensor:
    """1 for every robot on the step that finishes (upstream's "reach target")."""
    return _for_every_robot(step, step.finished.to(step.now.target_distance.dtype))


def exception(step: Transition) -> Tensor:
    """1 for every robot on a step with an exception, once more with a value error; not for a time limit."""
    return _for_every_robot(step, step.exceptional.to(step.now.target_distance.dtype))


def target(step: Transition) -> Tensor:
    """2 (d' - d) - 0.01 d for every robot, d the object-target distance; upstream hides a factor of 100."""
    factor = 100.0 if step.config.quirks.target_times_100 else 1.0
    now, before = step.now.target_distance, step.before.target_distance
    return _for_every_robot(step, factor * (2.0 * (before - now) - 0.01 * now))


def progress(step: Transition) -> Tensor:
    """D' - d for every robot: a potential (Ng et al., "Policy invariance under reward transformations", 1999)."""
    return _for_every_robot(step, step.before.target_distance - step.now.target_distance)


def approach(step: Transition) -> Tensor:
    """-(D + 0.5)^2 for each robot, D its distance to the object (upstream's includes the height)."""
    return -((_approach_distance(step, step.now) + 0.5) ** 2)


def approach_progress(step: Transition) -> Tensor:
    """D' - D for each robot."""
    return _approach_distance(step, step.before) - _approach_distance(step, step.now)


def collision(step: Transition) -> Tensor:
    """1 / (0.02 + D_ij / 3) to both robots of each pair, D_ij the 3-D distance of their bases."""
    return _sum_over_pairs(step, 1.0 / (0.02 + step.now.pair_distance / 3.0))


def separation(step: Transition) -> Tensor:
    """max(0, separation_distance - D_ij) to both robots of each pair."""
    return _sum_over_pairs(step, (step.config.separation_distance - step.now.pair_distance).clamp_min(0.0))


def push(step: Transition) -> Tensor:
    """1 for every robot while the object's planar speed is above 0.1 m/s."""
    return _for_every_robot(step, (step.now.object_speed > PUSH_SPEED).to(step.now.object_speed.dtype))


def ocb(step: Transition) -> Tensor:
    """N . u for each robot: +1 on the side of the object away from the target, -1 on the near side."""
    return step.now.occlusion


def ocb_progress(step: Transition) -> Tensor:
    """N . u - n' . u' for each robot."""
    return step.now.occlusion - step.before.occlusion


TERMS: Dict[str, Callable[[Transition], Tensor]] = {
    term.__name__: term
    for term in (
        success,
        exception,
        target,
        progress,
        approach,
        approach_progress,
        collision,
        separation,
        push,
        ocb,
        ocb_progress,
    )
}
"""Every reward term by the name of its weight."""


def active_terms(config: TaskConfig) -> Tuple[str, ...]:
    """Names of the terms whose weight is not 0."""
    return tuple(name for name in TERMS if getattr(config.rewards, name) != 0)


def weighted_terms(step: Transition) -> Tensor:
    """Every active term times its weight, `[K, ..., A]` in the order of `active_terms`."""
    names = active_terms(step.config)
    if not names:
        return torch.zeros_like(step.now.robot_distance).unsqueeze(0)[:0]
    return torch.stack([getattr(step.config.rewards, name) * TERMS[name](step) for name in names])


def _approach_distance(step: Transition, measures: Measures) -> Tensor:
    return measures.robot_distance if step.config.quirks.approach_height else measures.planar_robot_distance


def _for_every_robot(step: Transition, value: Tensor) -> Tensor:
    return value.unsqueeze(-1).expand_as(step.now.robot_distance)


def _sum_over_pairs(step: Transition, value: Tensor) -> Tensor:
    total = [torch.zeros_like(step.now.target_distance) for _ in range(step.now.robot_distance.shape[-1])]
    for (i, j), share in zip(robot_pairs(len(total)), value.unbind(-1)):
        total[i] = total[i] + share
        total[j] = total[j] + share
    return torch.stack(total, dim=-1)
