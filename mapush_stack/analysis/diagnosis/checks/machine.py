"""Memory, speed, and numbers that are not finite."""

from __future__ import annotations

from typing import Dict, Iterator

import numpy as np

from ...run import rate
from ..judged_run import CheckResult, Evidence, JudgedRun, NotJudgedError, medians, number, steps, value_at
from ..rules import Severity
from ..segments import quarters, segment, trend


def memory_growing(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """Memory grows over the second half, up to the end."""
    for tag, series in run.all_series("perf/vram_mib|perf/rss_mib").items():
        half, begin, end = segment(series, 0.5, 1), segment(series, 0.5, 0.55), segment(series, 0.95, 1)
        grown = end.median - begin.median
        if grown > max(limits["mib"], limits["share"] * begin.median) and trend(half.values) > limits["trend"]:
            kind = "GPU memory" if "vram" in tag else "The process's memory"
            sentence = (
                f"{kind} grew from {number(begin.median)} to {number(end.median)} MiB over the second half and was "
                f"still growing at the end: {number(grown / ((end.last - begin.first) / 1e6))} MiB per million steps."
            )
            yield CheckResult(sentence, medians(tag, begin, end), grown)


def fps_falling(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The rate falls over the whole run, and not because of other programs on the machine."""
    tag = "perf/fps"
    series = run.series(tag)
    if not run.facts.familiar:  # others log means over the whole run so far
        measured = rate(run.logged.series)
        if measured is None or len(measured.steps) < run.rules.fewest_points:
            raise NotJudgedError("the times of the records do not tell the rate")
        series = measured
    first, *_, last = quarters(series)
    if last.median >= limits["share"] * first.median:
        return
    if max(trend(series.values), trend(segment(series, 0.5, 1).values)) > limits["trend"]:
        return
    if _slows_alike(run) >= limits["alike"]:
        return
    sentence = (
        f"The rate fell from a median of {number(first.median)} steps a second in the first quarter to "
        f"{number(last.median)} in the last one, and was still falling at the end."
    )
    yield CheckResult(sentence, medians(tag, first, last))


def _slows_alike(run: JudgedRun) -> float:
    """Ratio (0 to 1) of the slowdowns of rollouts and updates; 0 if their times are not logged."""
    slower = []
    for tag in ("perf/rollout_seconds", "perf/update_seconds"):
        if tag not in run.logged.series:
            return 0.0
        first, *_, last = quarters(run.series(tag))
        slower.append(last.median / max(first.median, 1e-12))
    return min(slower) / max(max(slower), 1e-12)


def value_errors(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """Episodes ended as value errors: a remark if their share is logged and small."""
    tag, share_tag = "mapush/value_errors", "mapush/cause/value_error"
    logged, shares = run.logged.series.get(tag), run.logged.series.get(share_tag)
    series = None if logged is None else logged.finite()
    if series is None or not len(series.values):
        raise NotJudgedError(f"{tag} is not logged")
    count = float(series.values.max())
    if not count:
        return
    at = int(series.steps[int(np.argmax(series.values > 0))])
    values = np.empty(0) if shares is None else shares.finite().values
    share = float(values.mean()) if len(values) else 1.0
    sentence = (
        f"{number(count)} episodes ended because the physics produced numbers that are not finite, the first by "
        f"{steps(at)} steps"
    )
    sentence += "." if shares is None else f" ({share:.2%} of the episodes)."
    severity = None if share > limits["share"] else Severity.REMARK
    yield CheckResult(sentence, [Evidence(tag, int(series.steps[-1]), count)], severity=severity)


def not_finite(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """NaN or infinity is among the losses, norms or rewards; in other curves it is a remark.

    A return is NaN before the first episode has ended, an explained variance if all returns are the same.
    """
    tags = run.tags(r"(agent\d+|critic)/.+|train_episode_rewards|average_step_reward|rewards/.+")
    found = 0
    for tag, series in {**run.logged.unknown, **run.logged.series}.items():
        bad = ~np.isfinite(series.values)
        if tag in ("train_episode_rewards", "average_step_reward"):
            bad &= np.maximum.accumulate(~bad) | bad.all()
        if bad.sum() > limits["most"]:
            found += 1
            first = value_at(tag, series, int(np.argmax(bad)))
            sentence = (
                f"{int(bad.sum())} of {len(bad)} logged values of {tag} are not finite, the first at "
                f"{first.steps:,} steps{', and all from there on' if bad[np.argmax(bad) :].all() else ''}."
            )
            severe = tag in tags and tag != "critic/explained_variance"
            yield CheckResult(sentence, [first], float(bad.sum()) + 1e9 * severe, None if severe else Severity.REMARK)
    if not tags and not found:
        raise NotJudgedError("no loss, norm or reward is logged")
