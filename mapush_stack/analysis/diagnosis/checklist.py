"""The checklist for a good run, from field notes of a lab that worked on the same task."""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple, Tuple

import numpy as np

from ..events import longest
from .checks.progress import degradation
from .judged_run import JudgedRun, NotJudgedError, Objective, number, steps
from .segments import Segment, difference_error, segments

_WINDOWS = 10
"""Number of segments of a run among which the best is chosen."""
_ERRORS = 4.0
"""Standard errors of a difference that count as noise.

This is high because the largest of about ten differences is tested, and the error itself is an estimate.
"""
Answer = Tuple[bool, str]
"""Whether a criterion is met, and a sentence that says why."""


class Fall(NamedTuple):
    """A fall of an objective between two segments."""

    before: Segment
    after: Segment
    sentence: str


def completes(run: JudgedRun, tolerance: float) -> Answer:
    """The last record is less than one median interval short of the configured steps."""
    total, reached = run.logged.total_steps, run.logged.steps
    if total is None:
        raise NotJudgedError("the run's files do not say how many steps were configured")
    sentence = f"{steps(reached)} of {steps(total)} steps"
    if reached < total and run.logged.running:
        raise NotJudgedError(f"{sentence} so far; it is still running")
    clock = longest(run.logged.series)
    between = 0.0 if clock is None or len(clock.steps) < 2 else float(np.median(np.diff(clock.steps)))
    return reached + between >= (1 - tolerance) * total + 1, sentence


def no_degradation(run: JudgedRun, tolerance: float) -> Answer:
    """No later quarter is below the best of the first two, nor the fourth below the third."""
    answer = _first_miss(run, tolerance, _fall_after_half)
    if not answer[0]:
        return answer
    # The rule `degradation` also looks at returns and checkpoints.
    for lost in degradation(run, run.rules.thresholds("degradation")):
        return False, lost.sentence
    return answer


def _fall_after_half(objective: Objective) -> Fall:
    first, second, third, last = objective.quarters
    pairs = [(max(first, second, key=_mean), min(third, last, key=_mean)), (third, last)]
    before, after = max(pairs, key=lambda pair: pair[0].mean - pair[1].mean)
    listed = ", ".join(number(one.mean) for one in objective.quarters)
    return Fall(before, after, f"{objective.tag} by quarters: {listed}")


def final_is_best(run: JudgedRun, tolerance: float) -> Answer:
    """The last tenth is not below the best tenth."""

    def fall_from_best(objective: Objective) -> Fall:
        windows = segments(run.series(objective.tag), _WINDOWS)
        best, last = max(windows, key=_mean), windows[-1]
        sentence = f"last tenth {number(last.mean)}, best tenth {number(best.mean)} up to {steps(best.last)} steps"
        return Fall(best, last, f"{objective.tag}: {sentence}")

    return _first_miss(run, tolerance, fall_from_best)


def gradients_bounded(run: JudgedRun, tolerance: float) -> Answer:
    """The gradient norms that were applied are within the limit.

    If only norms before clipping are logged, they may reach `tolerance` times the limit.
    """
    factor, tags = 1.01, run.tags(r"(agent\d+|critic)/\w+_grad_norm_clipped(_max)?")
    if not tags:
        factor, tags = tolerance, run.tags(r"(agent\d+|critic)/\w+_grad_norm")
    logged = {tag: run.logged.series[tag] for tag in tags}
    finite = {tag: series.finite() for tag, series in logged.items()}
    largest = {tag: float(series.values.max()) for tag, series in finite.items() if len(series.values)}
    if not largest:
        raise NotJudgedError("no finite gradient norm is logged" if tags else "no gradient norm is logged")
    limits = {tag: limit for tag in largest for limit in [run.gradient_limit(tag)] if limit is not None}
    if len(limits) < len(largest):
        raise NotJudgedError(f"the limit is not known; the largest norm is {number(max(largest.values()))}")
    tag = max(largest, key=lambda name: largest[name] / limits[name])
    kind = "applied" if "clipped" in tag else "before clipping"
    sentence = f"largest norm {kind} {number(largest[tag])}, limit {number(limits[tag])}"
    bounded = largest[tag] <= factor * limits[tag]
    lost = sum(len(logged[tag].values) - len(finite[tag].values) for tag in logged)
    if lost and bounded:
        raise NotJudgedError(f"{sentence}; {lost} of the logged norms are not finite")
    return bounded, sentence


def smooth(run: JudgedRun, tolerance: float) -> Answer:
    """No tenth of the run falls far below the one before."""

    def fall_between_tenths(objective: Objective) -> Fall:
        windows = segments(run.series(objective.tag), _WINDOWS)
        before, after = max(zip(windows, windows[1:]), key=lambda pair: pair[0].mean - pair[1].mean)
        fall = max(before.mean - after.mean, 0.0)
        sentence = f"largest fall from tenth to tenth {number(fall)} at {steps(after.first)} steps"
        return Fall(before, after, f"{objective.tag}: {sentence}")

    return _first_miss(run, tolerance, fall_between_tenths)


def _first_miss(run: JudgedRun, tolerance: float, fall_of: Callable[[Objective], Fall]) -> Answer:
    """Whether all objectives meet a criterion, with the sentence of the first that does not."""
    answer = (True, "")
    for objective in run.objectives():
        before, after, sentence = fall_of(objective)
        fall, noise = before.mean - after.mean, _ERRORS * difference_error(before, after)
        if fall > max(tolerance * objective.scale, noise):
            return False, sentence
        excess = fall > tolerance * objective.scale
        answer = (True, sentence + (f", within noise (\N{PLUS-MINUS SIGN}{number(noise)})" if excess else ""))
    return answer


def _mean(one: Segment) -> float:
    return one.mean


CRITERIA: Dict[str, Callable[[JudgedRun, float], Answer]] = {
    "completes": completes,
    "no-degradation": no_degradation,
    "final-is-best": final_is_best,
    "gradients-bounded": gradients_bounded,
    "smooth": smooth,
}
"""Criteria by their names in `rules.yaml`: functions of a run and the tolerance.

Raises:
    NotJudgedError: a criterion has no data.

"""
