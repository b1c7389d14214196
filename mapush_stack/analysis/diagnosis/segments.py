"""Segments of a logged series: means, standard errors of differences, and trends."""

from __future__ import annotations

import math
from typing import List, NamedTuple

import numpy as np

from ..run import Series

_STRETCHES = 20
"""Number of stretches of a run whose means count as independent, and the most in a trend.

Neighbouring values are not independent, because training curves are means over recent episodes.
"""
_TREND_VALUES, _FEWEST_TRENDING = 5, 6
"""Values per median of a trend, and the fewest medians, which take precedence."""
_NOISE_FLOOR = 0.25
"""Lower bound on the noise, as a share of the segment's standard deviation.

That deviation also contains the segment's trend.
"""


class Segment(NamedTuple):
    """A segment of a series."""

    first: int
    """Environment steps of its first value."""
    last: int
    values: np.ndarray
    """`[n]`, at least one value, all finite."""
    noise: float
    """Standard deviation of the values around the curve, as if they were independent."""

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return float(self.values.mean())

    @property
    def median(self) -> float:
        """Median of the values."""
        return float(np.median(self.values))

    @property
    def error(self) -> float:
        """Standard error of the mean, from the noise around the curve without the trend."""
        return max(self.noise, _NOISE_FLOOR * float(self.values.std())) / math.sqrt(len(self.values))


def segment(series: Series, begin: float, end: float) -> Segment:
    """The values between two shares (0 to 1) of the logged steps, or the nearest value."""
    low, high = series.steps[0], series.steps[-1]
    bounds = low + (high - low) * np.array([begin, end])
    inside = (series.steps >= bounds[0]) & (series.steps <= bounds[1])
    if not inside.any():
        inside[np.abs(series.steps - bounds.mean()).argmin()] = True
    steps = series.steps[inside]
    return Segment(int(steps[0]), int(steps[-1]), series.values[inside], _noise(series.values))


def segments(series: Series, count: int) -> List[Segment]:
    """`count` segments of equal length in steps."""
    return [segment(series, index / count, (index + 1) / count) for index in range(count)]


def quarters(series: Series) -> List[Segment]:
    """Four segments of equal length in steps."""
    return segments(series, 4)


def difference_error(one: Segment, other: Segment) -> float:
    """Standard error of the difference of two segments' means."""
    return math.hypot(one.error, other.error)


def scale(parts: List[Segment]) -> float:
    """The unit in which changes of a reward are measured.

    The largest of |first mean|, |last mean| and the range of all means.
    """
    means = [one.mean for one in parts]
    return max(max(abs(mean) for mean in means[:1] + means[-1:]), max(means) - min(means), 1e-12)


def _noise(values: np.ndarray) -> float:
    """Noise of a value: the larger of the noise of values and the noise of stretches.

    Stretches show the noise of a smoothed curve. A rise, a fall or a collapse makes only few differences large, so it
    does not count as noise.
    """
    means = np.array([stretch.mean() for stretch in np.array_split(values, min(_STRETCHES, len(values)))])
    return max(_jitter(values), _jitter(means) * math.sqrt(len(values) / len(means)))


def _jitter(values: np.ndarray) -> float:
    """Deviation from a smooth curve, by the median size of second differences.

    For fewer than five values, their standard deviation.
    """
    if len(values) < 5:
        return float(values.std())
    return 1.4826 * float(np.median(np.abs(np.diff(values, 2)))) / math.sqrt(6.0)


def trend(values: np.ndarray) -> float:
    """Spearman's rank correlation of medians of stretches with time; 0 if all are equal."""
    count = min(max(len(values) // _TREND_VALUES, _FEWEST_TRENDING), _STRETCHES, len(values))
    values = np.array([np.median(stretch) for stretch in np.array_split(values, count)])
    if len(values) < 3 or np.ptp(values) == 0:
        return 0.0
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse]
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])
