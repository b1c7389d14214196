"""The field notes' success criteria, ticked."""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np

from .checks import degradation, gradient_limit
from .curves import Part, difference_error, part
from .subject import Measure, NotJudgedError, Subject, number, steps

_WINDOWS = 10
"""Parts of a run of which the best is looked for."""
_ERRORS = 4.0
"""Standard errors of a difference that are noise: of some ten differences the largest, and the error is an estimate."""
Tick = Tuple[bool, str]
"""Whether a criterion is met, and a sentence that says by what."""


class Fall(NamedTuple):
    """The fall of a measure that a criterion looks at."""

    before: Part
    after: Part
    told: str


def completes(subject: Subject, tolerance: float) -> Tick:
    """The last record is at the configured steps, or less than the usual distance of two records before them."""
    total, reached = subject.run.total_steps, subject.run.steps
    if total is None:
        raise NotJudgedError("the run does not say how many steps it was meant to have")
    told = f"{steps(reached)} of {steps(total)} steps"
    if reached < total and subject.run.running:
        raise NotJudgedError(f"{told} so far; it is still running")
    longest = max(subject.run.series.values(), key=lambda series: len(series.steps), default=None)
    between = 0 if longest is None or len(longest.steps) < 2 else float(np.median(np.diff(longest.steps)))
    return reached + between >= (1 - tolerance) * total + 1, told


def no_degradation(subject: Subject, tolerance: float) -> Tick:
    """The second half's quarters do not fall below the first half's best, nor the last below the one before."""
    tick = _first_miss(subject, tolerance, _fall_after_half)
    if not tick[0]:
        return tick
    # The returns and the checkpoints, which the rule looks at too.
    lost = degradation(subject, subject.rules.thresholds("degradation"))
    return tick if lost is None else (False, lost.sentence)


def _fall_after_half(subject: Subject, measure: Measure) -> Fall:
    first, second, third, last = measure.parts
    pairs = [(max(first, second, key=_mean), min(third, last, key=_mean)), (third, last)]
    before, after = max(pairs, key=lambda pair: pair[0].mean - pair[1].mean)
    return Fall(before, after, f"{measure.tag} by quarters: {', '.join(number(one.mean) for one in measure.parts)}")


def final_is_best(subject: Subject, tolerance: float) -> Tick:
    """The last tenth is not below the best tenth."""
    return _first_miss(subject, tolerance, _fall_from_best)


def _fall_from_best(subject: Subject, measure: Measure) -> Fall:
    windows = _windows(subject, measure)
    best, last = max(windows, key=_mean), windows[-1]
    means = f"last tenth {number(last.mean)}, best tenth {number(best.mean)}"
    return Fall(best, last, f"{measure.tag}: {means} up to {steps(best.last)} steps")


def gradients_bounded(subject: Subject, tolerance: float) -> Tick:
    """Norms as applied within the limit; where only those before clipping are logged, within some times it."""
    factor, tags = 1.01, subject.tags(r"(agent\d+|critic)/\w+_grad_norm_clipped(_max)?")
    if not tags:
        factor, tags = tolerance, subject.tags(r"(agent\d+|critic)/\w+_grad_norm")
    logged = {tag: subject.run.series[tag] for tag in tags}
    finite = {tag: series.finite() for tag, series in logged.items()}
    tops = {tag: float(series.values.max()) for tag, series in finite.items() if len(series.values)}
    if not tops:
        raise NotJudgedError("no gradient norm that is finite is logged" if tags else "no gradient norm is logged")
    limits = {tag: gradient_limit(subject, tag) for tag in tops}
    if any(limit is None for limit in limits.values()):
        raise NotJudgedError(f"the limit is not known; the largest norm is {number(max(tops.values()))}")
    tag = max(tops, key=lambda name: tops[name] / limits[name])
    kind = "applied" if "clipped" in tag else "before clipping"
    told = f"largest norm {kind} {number(tops[tag])}, limit {number(limits[tag])}"
    lost = sum(len(logged[tag].values) - len(finite[tag].values) for tag in logged)
    if lost and tops[tag] <= factor * limits[tag]:
        raise NotJudgedError(f"{told}; {lost} of the logged norms are not finite")
    return tops[tag] <= factor * limits[tag], told


def smooth(subject: Subject, tolerance: float) -> Tick:
    """No tenth of the run falls far below the one before."""
    return _first_miss(subject, tolerance, _fall_between_tenths)


def _fall_between_tenths(subject: Subject, measure: Measure) -> Fall:
    windows = _windows(subject, measure)
    before, after = max(zip(windows, windows[1:]), key=lambda pair: pair[0].mean - pair[1].mean)
    fall = max(before.mean - after.mean, 0.0)
    told = f"{measure.tag}: largest fall from tenth to tenth {number(fall)} at {steps(after.first)} steps"
    return Fall(before, after, told)


def _windows(subject: Subject, measure: Measure) -> List[Part]:
    series = subject.course(measure.tag)
    return [part(series, index / _WINDOWS, (index + 1) / _WINDOWS) for index in range(_WINDOWS)]


def _first_miss(subject: Subject, tolerance: float, fall_of: Callable[[Subject, Measure], Fall]) -> Tick:
    """What success or the reward misses the criterion by, else how the last of them meets it."""
    tick = (True, "")
    for measure in subject.measures():
        before, after, told = fall_of(subject, measure)
        fall, noise = before.mean - after.mean, _ERRORS * difference_error(before, after)
        if fall > max(tolerance * measure.size, noise):
            return False, told
        excused = f", within noise (\N{PLUS-MINUS SIGN}{number(noise)})" if fall > tolerance * measure.size else ""
        tick = (True, told + excused)
    return tick


def _mean(one: Part) -> float:
    return one.mean


CRITERIA: Dict[str, Callable[[Subject, float], Tick]] = {
    "completes": completes,
    "no-degradation": no_degradation,
    "final-is-best": final_is_best,
    "gradients-bounded": gradients_bounded,
    "smooth": smooth,
}
"""Every criterion by its name in `rules.yaml`."""
