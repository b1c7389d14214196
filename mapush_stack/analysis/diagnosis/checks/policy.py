"""The noise of the policies."""

from __future__ import annotations

from typing import Dict, Iterator

import numpy as np

from ..judged_run import CheckResult, JudgedRun, means, number, owner, steps, value_at
from ..segments import quarters, segment


def policy_std_exploding(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The standard deviation grew far beyond the action at which commands saturate."""
    deviations, saturation = run.deviations(), run.saturation()
    for tag, series in deviations.items():
        first, last = segment(series, 0, 0.1), segment(series, 0.9, 1)
        if last.mean < limits["growth"] * first.mean or last.mean < limits["saturations"] * saturation:
            continue
        begin, end = series.values[0], series.values[-1]
        sentence = f"The standard deviation of {owner(tag)}'s policy grew from {number(begin)} to {number(end)}"
        evidence = [value_at(f"{tag} (as deviation)", series, index) for index in (0, -1)]
        entropy_tag = f"{tag.split('/', 1)[0]}/dist_entropy"
        entropy = run.logged.series.get(entropy_tag)
        if entropy is not None and len(entropy.steps):
            sentence += f" (dist_entropy {number(entropy.values[0])} to {number(entropy.values[-1])})"
            evidence = [value_at(entropy_tag, entropy, index) for index in (0, -1)] + evidence
        sentence += (
            f" by {steps(series.steps[-1])} steps, where commands saturate at {number(saturation)}: "
            "the robots' training is driven by noise."
        )
        yield CheckResult(sentence, evidence, last.mean / first.mean)


def entropy_rising(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The mean entropy of the last quarter is above the lowest earlier quarter."""
    size = run.action_size()
    for tag, series in run.all_series(r"agent\d+/dist_entropy").items():
        parts = quarters(series)
        lowest = min(parts[:3], key=lambda one: one.mean)
        rise = (parts[3].mean - lowest.mean) / size
        if rise > limits["rise"]:
            sentence = (
                f"The entropy of {owner(tag)}'s policy rose from {number(lowest.mean)} nats (mean up to "
                f"{steps(lowest.last)} steps) to {number(parts[3].mean)} in the last quarter; its deviation grew by a "
                f"factor of {number(np.exp(rise))}."
            )
            yield CheckResult(sentence, means(tag, lowest, parts[3]), rise)


def entropy_out_of_range(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The deviation of the last quarter is too large, or too small while success is low."""
    deviations, saturation, success = run.deviations(), run.saturation(), run.success()
    mastered = success is not None and segment(success, 0.75, 1).mean >= limits["mastered"]
    for tag, series in deviations.items():
        last = segment(series, 0.75, 1)
        share = last.mean / saturation
        if share > limits["most_saturations"]:
            reason = "more than half of its samples lie where commands saturate"
        elif share < limits["least_saturations"] and not mastered:
            reason = "it hardly explores"
        else:
            continue
        sentence = (
            f"In the last quarter {owner(tag)}'s policy has a standard deviation of {number(last.mean)}, where "
            f"commands saturate at {number(saturation)}: {reason}."
        )
        yield CheckResult(sentence, means(f"{tag} (as deviation)", last), abs(np.log(share)))
