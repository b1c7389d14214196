"""Estimates over seeds as in rliable: means, intervals, probability of improvement.

Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021. Scores are
given as strata: an array `[seeds]` for each task. Intervals are percentile intervals of a bootstrap that draws seeds
with replacement within each task.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ...errors import UserError

Strata = Sequence[np.ndarray]
"""Scores `[seeds]` of each task."""

CONFIDENCE = 0.95
RESAMPLES = 2000
"""rliable's default."""
_FEWEST_SEEDS = 3
"""Fewest seeds of a group that show how much results vary between seeds."""
_SEED = 0
"""Seed of the bootstrap, so that the same runs give the same intervals."""


class Estimate(NamedTuple):
    """A number over seeds."""

    value: float
    interval: Optional[Tuple[float, float]]
    """95 % bootstrap interval; None if a task has fewer than two seeds."""
    seeds: int
    """Number of seeds of the task with the fewest."""


class Improvement(NamedTuple):
    """The probability that a seed of X beats a seed of Y."""

    probability: float
    """P(X > Y), a tie counted half, averaged over tasks."""
    interval: Optional[Tuple[float, float]]
    p_value: Optional[float]
    """Two-sided Mann-Whitney U test, exact if there are no ties; None for several tasks."""


def iqm(scores: Strata) -> float:
    """Interquartile mean: the mean of all scores without the lowest and highest quarter.

    As rliable's `aggregate_iqm` and scipy's `trim_mean(scores, 0.25)`: of n scores, floor(n / 4) are left out at
    each end.
    """
    return float(_stats().trim_mean(np.concatenate(scores), 0.25))


def iqm_estimate(scores: Strata) -> Estimate:
    """The interquartile mean with its interval."""

    def trimmed(*strata: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(_stats().trim_mean(np.concatenate(strata, axis=axis), 0.25, axis=axis))

    return Estimate(iqm(scores), _interval(scores, trimmed), min(len(stratum) for stratum in scores))


def optimality_gap(scores: Strata, best: float = 1.0) -> Estimate:
    """By how much the scores fail to reach `best` on average, with its interval; scores above it count as `best`.

    rliable's `aggregate_optimality_gap`, which has gamma for `best`.
    """

    def gap(*strata: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(best - np.mean(np.minimum(np.concatenate(strata, axis=axis), best), axis=axis))

    return Estimate(float(gap(*scores)), _interval(scores, gap), min(len(stratum) for stratum in scores))


def performance_profile(scores: Strata, levels: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of runs with a score above each of `levels` `[n]`, and its 95 % interval: three arrays `[n]`.

    rliable's `run_score_deviation` (the tail distribution of scores) with a stratified percentile bootstrap. The
    interval is the share itself if a task has fewer than two seeds.
    """
    together = np.concatenate(scores)
    share = (together[:, None] > levels).mean(0)
    if min(len(stratum) for stratum in scores) < 2:
        return share, share, share
    draw = np.random.default_rng(_SEED)
    drawn = [one[draw.integers(0, len(one), (RESAMPLES, len(one)))] for one in scores]
    samples = np.concatenate(drawn, axis=1)
    shares = np.stack([(samples > level).mean(1) for level in levels], axis=1)
    low, high = np.percentile(shares, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], axis=0)
    return share, low, high


def improvement(x: Strata, y: Strata) -> Improvement:
    """The probability that X improves on Y (rliable's `probability_of_improvement`).

    Mann-Whitney's U divided by the number of pairs, averaged over tasks.
    """

    def averaged(*strata: np.ndarray, axis: int = -1) -> np.ndarray:
        pairs = zip(strata[: len(x)], strata[len(x) :])
        return np.asarray(np.mean([_beats(one, other) for one, other in pairs], axis=0))

    p_value = None
    if len(x) == 1 and np.ptp(np.concatenate([*x, *y])) > 0:
        p_value = float(_stats().mannwhitneyu(x[0], y[0], alternative="two-sided").pvalue)
    return Improvement(float(averaged(*x, *y)), _interval([*x, *y], averaged), p_value)


def _beats(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(x > y) over the last axes of `[..., n]` and `[..., m]`, a tie counted half; `[...]`."""
    difference = x[..., :, None] - y[..., None, :]
    return np.asarray(((difference > 0) + 0.5 * (difference == 0)).mean((-2, -1)))


def _interval(scores: Strata, statistic: Callable[..., np.ndarray]) -> Optional[Tuple[float, float]]:
    """95 % percentile interval of a statistic of independent samples."""
    if min(len(stratum) for stratum in scores) < 2:
        return None
    found = _stats().bootstrap(
        tuple(scores),
        statistic,
        n_resamples=RESAMPLES,
        vectorized=True,
        axis=-1,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(_SEED),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def band(curves: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, first and third quartile (`[n]` each) over the seeds of curves `[seeds, n]`.

    NaN values are left out. A point without any value is NaN.
    """
    some = np.isfinite(curves).any(0)
    mean, low, high = (np.full(curves.shape[1], np.nan) for _ in range(3))
    if some.any():
        mean[some] = np.nanmean(curves[:, some], axis=0)
        low[some], high[some] = np.nanpercentile(curves[:, some], [25, 75], axis=0)
    return mean, low, high


def significant(found: Improvement, seeds: Tuple[int, int]) -> str:
    """The conclusion from a comparison: "nothing", "apart" or "alike".

    "nothing": one side has fewer than three seeds. "apart": the interval of the probability of improvement excludes one
    half, and the test rejects at 5 %. "alike": all other cases. The test is needed because the bootstrap alone is too
    confident for a few seeds.
    """
    if min(seeds) < _FEWEST_SEEDS or found.interval is None:
        return "nothing"
    low, high = found.interval
    rejects = found.p_value is None or found.p_value < 1 - CONFIDENCE
    return "apart" if (low > 0.5 or high < 0.5) and rejects else "alike"


def _stats() -> Any:
    """scipy.stats, imported when it is first needed.

    Raises:
        UserError: scipy is not installed.

    """
    try:
        from scipy import stats
    except ImportError:
        raise UserError("comparing runs needs scipy: pip install 'mapush_stack[report]'") from None
    return stats
