"""The reward terms, one function with `@register_reward_term` each (docs/task.md section 9).

The weights are in `task.rewards`. A term gets a `Transition` and returns `[..., A]`, one number per robot, before
weighting. Formulas and weights are per control step of 0.02 s. Symbols: d is the object-target distance, D a robot's
distance to the object, D_ij the distance of two robots, n . u the occlusion measure; a prime marks the value one
control step earlier.
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from ..errors import UserError
from ..registry import Registry
from .config import TaskConfig
from .geometry import Measures, robot_pairs
from .state import SimState

PUSH_SPEED = 0.1
"""Planar speed of the object above which the push term counts, m/s (docs/task.md section 9)."""


class Transition(NamedTuple):
    """One or several control steps as the reward terms see them; leading dimensions `...`."""

    config: TaskConfig
    now: Measures
    before: Measures
    finished: Tensor
    """`[...]` bool: the object is at the target."""
    exceptional: Tensor
    """`[...]` number of exceptions: 1 if a rule is broken, plus 1 for a value error."""
    state: SimState
    """Robots and object after the step."""
    previous_state: SimState
    """Robots and object before the step."""
    gap: Optional[Tensor] = None
    """`[..., 1 + A]` distances of the object and of each robot to obstacles, m; None without obstacles."""


Term = Callable[[Transition], Tensor]
"""Gives a term's value `[..., A]`, before weighting."""

TERMS: Registry[Term] = Registry("reward term")
"""Every reward term by the name of its weight."""


def register_reward_term(function: Term) -> Term:
    """Register a reward term under its function's name; a decorator.

    The function gets a `Transition` and returns `[..., A]`, one number a robot and control step.

    Raises:
        UserError: the name is taken.

    """
    return TERMS.register(function.__name__, function)


@register_reward_term
def success(step: Transition) -> Tensor:
    """1 for every robot on the step that finishes (upstream's "reach target")."""
    return _for_every_robot(step, step.finished.to(step.now.target_distance.dtype))


@register_reward_term
def exception(step: Transition) -> Tensor:
    """For every robot: 1 if a rule is broken on the step, plus 1 for a value error.

    A time limit is not an exception.
    """
    return _for_every_robot(step, step.exceptional.to(step.now.target_distance.dtype))


@register_reward_term
def target(step: Transition) -> Tensor:
    """2 (d' - d) - 0.01 d for every robot, times 100 with `quirks.target_times_100`."""
    factor = 100.0 if step.config.quirks.target_times_100 else 1.0
    now, before = step.now.target_distance, step.before.target_distance
    return _for_every_robot(step, factor * (2.0 * (before - now) - 0.01 * now))


@register_reward_term
def progress(step: Transition) -> Tensor:
    """d' - d for every robot: the difference of a potential.

    Source: Ng et al., "Policy invariance under reward transformations", 1999.
    """
    return _for_every_robot(step, step.before.target_distance - step.now.target_distance)


@register_reward_term
def angle_progress(step: Transition) -> Tensor:
    """a' - a for every robot, a the angle error in rad (`Measures.angle_error`); 0 if targets have no yaw."""
    return _for_every_robot(step, step.before.angle_error - step.now.angle_error)


@register_reward_term
def approach(step: Transition) -> Tensor:
    """-(D + 0.5)^2 for each robot; D includes the height with `quirks.approach_height`."""
    return -((_approach_distance(step, step.now) + 0.5) ** 2)


@register_reward_term
def approach_progress(step: Transition) -> Tensor:
    """D' - D for each robot."""
    return _approach_distance(step, step.before) - _approach_distance(step, step.now)


@register_reward_term
def collision(step: Transition) -> Tensor:
    """1 / (0.02 + D_ij / 3) to both robots of each pair, D_ij the 3-D distance of their bases."""
    return _sum_over_pairs(step, 1.0 / (0.02 + step.now.pair_distance / 3.0))


@register_reward_term
def separation(step: Transition) -> Tensor:
    """max(0, separation_distance - D_ij) to both robots of each pair."""
    return _sum_over_pairs(step, (step.config.separation_distance - step.now.pair_distance).clamp_min(0.0))


@register_reward_term
def obstacle(step: Transition) -> Tensor:
    """max(0, 1 - gap / 0.2 m) of the robot, plus that of the object, at the end of the decision; gaps to obstacles."""
    return _nearness(step, 0.2)


@register_reward_term
def contact(step: Transition) -> Tensor:
    """max(0, 1 - gap / 0.05 m) of the robot, plus that of the object, at the end of the decision; gaps to obstacles."""
    return _nearness(step, 0.05)


@register_reward_term
def push(step: Transition) -> Tensor:
    """1 for every robot while the object's planar speed is above 0.1 m/s."""
    return _for_every_robot(step, (step.now.object_speed > PUSH_SPEED).to(step.now.object_speed.dtype))


@register_reward_term
def ocb(step: Transition) -> Tensor:
    """n . u for each robot: 1 behind the object as seen from the target, -1 in front of it."""
    return step.now.occlusion


@register_reward_term
def ocb_progress(step: Transition) -> Tensor:
    """n . u - n' . u' for each robot."""
    return step.now.occlusion - step.before.occlusion


def active_terms(config: TaskConfig) -> Tuple[str, ...]:
    """Names of the terms whose weight is not 0."""
    return tuple(name for name in TERMS if config.rewards.get(name, 0.0) != 0)


def weighted_terms(step: Transition) -> Tensor:
    """Every active term times its weight, `[K, ..., A]` in the order of `active_terms`."""
    names = active_terms(step.config)
    if not names:
        return torch.zeros_like(step.now.robot_distance).unsqueeze(0)[:0]
    return torch.stack([step.config.rewards[name] * _value(name, step) for name in names])


def _value(name: str, step: Transition) -> Tensor:
    """A term's value; a term of a plug-in may have another shape than it should."""
    value = TERMS[name](step)
    shape = step.now.robot_distance.shape
    if not isinstance(value, Tensor) or value.shape != shape:
        found = f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(f"the reward term {name} must return a tensor {list(shape)}, one number a robot, not {found}")
    return value


def _approach_distance(step: Transition, measures: Measures) -> Tensor:
    return measures.robot_distance if step.config.quirks.approach_height else measures.planar_robot_distance


def _nearness(step: Transition, reach: float) -> Tensor:
    """How near obstacles are to each robot, plus how near to the object: 1 each at contact, 0 from `reach` (m) on."""
    if step.gap is None:
        return torch.zeros_like(step.now.robot_distance)
    near = (1.0 - step.gap / reach).clamp(0.0, 1.0)
    return near[..., :1] + near[..., 1:]


def _for_every_robot(step: Transition, value: Tensor) -> Tensor:
    return value.unsqueeze(-1).expand_as(step.now.robot_distance)


def _sum_over_pairs(step: Transition, value: Tensor) -> Tensor:
    total = [torch.zeros_like(step.now.target_distance) for _ in range(step.now.robot_distance.shape[-1])]
    for (i, j), share in zip(robot_pairs(len(total)), value.unbind(-1)):
        total[i] = total[i] + share
        total[j] = total[j] + share
    return torch.stack(total, dim=-1)
