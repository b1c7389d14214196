"""The checks: a function for each rule of `rules.yaml`, in the same order."""

from __future__ import annotations

from typing import Callable, Dict, Iterator

from ..judged_run import CheckResult, JudgedRun
from . import machine, optimization, policy, progress, rewards

Check = Callable[[JudgedRun, Dict[str, float]], Iterator[CheckResult]]
"""Yields what is wrong, given a run and the rule's thresholds; the worst is reported.

Raises:
    NotJudgedError: there is no data.

"""

CHECKS: Dict[str, Check] = {
    check.__name__.replace("_", "-"): check
    for check in (
        policy.policy_std_exploding,
        policy.entropy_rising,
        policy.entropy_out_of_range,
        optimization.gradient_unclipped,
        optimization.gradient_large,
        optimization.value_loss_growing,
        optimization.explained_variance_low,
        optimization.kl_high,
        optimization.clip_fraction_high,
        rewards.reward_scales_lopsided,
        rewards.reward_term_idle,
        progress.degradation,
        progress.learning_stalled,
        machine.memory_growing,
        machine.fps_falling,
        machine.value_errors,
        machine.not_finite,
    )
}
"""Every check by the name of its rule."""
