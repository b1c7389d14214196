"""The field notes' success criteria, ticked."""

from __future__ import annotations

from typing import Callable, Dict, Tuple

import numpy as np

from .curves import Part, difference_error, part, quarters, scale
from .subject import SUCCESS, NotJudgedError, Subject, number, steps

_WINDOWS = 10
"""Parts of a run of which the best is looked for."""
Tick = Tuple[bool, str]
"""Whether a criterion is met, and a sentence that says by what."""


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
    """The second half's quarters do not fall below the first half's best."""
    tag, parts, size = _measure(subject)
    before, after = max(parts[:2], key=_mean), min(parts[2:], key=_mean)
    drop = before.mean - after.mean
    allowed = max(tolerance * size, 2 * difference_error(before, after))
    return drop <= allowed, f"{tag} by quarters: {', '.join(number(one.mean) for one in parts)}"


def final_is_best(subject: Subject, tolerance: float) -> Tick:
    """The last tenth is not below the best tenth."""
    tag, _, size = _measure(subject)
    series = subject.course(tag)
    windows = [part(series, index / _WINDOWS, (index + 1) / _WINDOWS) for index in range(_WINDOWS)]
    best, last = max(windows, key=_mean), windows[-1]
    allowed = max(tolerance * size, 2 * difference_error(best, last))
    told = f"{tag}: last tenth {number(last.mean)}, best tenth {number(best.mean)} up to {steps(best.last)} steps"
    return best.mean - last.mean <= allowed, told


def gradients_bounded(subject: Subject, tolerance: float) -> Tick:
    """Norms as applied within the limit; where only those before clipping are logged, within some times it."""
    factor, tags = 1.01, subject.tags(r"(agent\d+|critic)/\w+_grad_norm_clipped_max")
    if not tags:
        factor, tags = tolerance, subject.tags(r"(agent\d+|critic)/\w+_grad_norm")
    if not tags:
        raise NotJudgedError("no gradient norm is logged")
    tops = {tag: float(np.max(subject.run.series[tag].values)) for tag in tags if len(subject.run.series[tag].values)}
    limits = {tag: _limit(subject, tag) for tag in tops}
    if any(limit is None for limit in limits.values()):
        raise NotJudgedError(f"the limit is not known; the largest norm is {number(max(tops.values()))}")
    tag = max(tops, key=lambda name: tops[name] / limits[name])
    kind = "applied" if "clipped" in tag else "before clipping"
    told = f"largest norm {kind} {number(tops[tag])}, limit {number(limits[tag])}"
    return bool(tops[tag] <= factor * limits[tag]), told


def smooth(subject: Subject, tolerance: float) -> Tick:
    """No tenth of the run falls far below the one before."""
    tag, _, size = _measure(subject)
    series = subject.course(tag)
    windows = [part(series, index / _WINDOWS, (index + 1) / _WINDOWS) for index in range(_WINDOWS)]
    falls = [before.mean - after.mean for before, after in zip(windows, windows[1:])]
    at = int(np.argmax(falls))
    allowed = max(tolerance * size, 2 * difference_error(windows[at], windows[at + 1]))
    told = (
        f"{tag}: largest fall from tenth to tenth {number(max(falls[at], 0.0))} at {steps(windows[at + 1].first)} steps"
    )
    return falls[at] <= allowed, told


def _measure(subject: Subject) -> Tuple[str, list, float]:
    """What the run is judged by, its quarters and its scale: the reward; success where the reward's scale changes."""
    success = subject.success()
    if subject.facts.staged and success is not None:
        return SUCCESS, quarters(success), 1.0
    tag, series = subject.reward()
    parts = quarters(series)
    return tag, parts, scale(parts)


def _mean(one: Part) -> float:
    return one.mean


def _limit(subject: Subject, tag: str) -> float:
    return subject.facts.critic_limit if tag.startswith("critic/") else subject.facts.actor_limit


CRITERIA: Dict[str, Callable[[Subject, float], Tick]] = {
    "completes": completes,
    "no-degradation": no_degradation,
    "final-is-best": final_is_best,
    "gradients-bounded": gradients_bounded,
    "smooth": smooth,
}
"""Every criterion by its name in `rules.yaml`."""
