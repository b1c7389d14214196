"""Courses of logged numbers: their parts by environment steps, trends, and how sure a difference is."""

from __future__ import annotations

import math
from typing import List, NamedTuple

import numpy as np

from ..run import Series

_STRETCHES = 20
"""Means of so many stretches of a run count as independent: training curves are means over the last episodes, whose
neighbouring values agree. Trends are looked for in so many at most."""
_TREND_VALUES, _FEWEST_TRENDING = 5, 6
"""Values of which a trend takes the median, unless that leaves fewer than so many medians."""
_LEAST_NOISE = 0.25
"""Of a part's own deviation: where a run is noisier than usual. Its whole deviation is also its rise or fall."""


class Part(NamedTuple):
    """A stretch of a series."""

    first: int
    """Environment steps of its first value."""
    last: int
    values: np.ndarray
    """`[n]`, at least one value, all finite."""
    noise: float
    """Deviation that a value would have if values were independent and the course were flat."""

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
        """Standard error of the mean by the noise around the course, not by the course itself."""
        return max(self.noise, _LEAST_NOISE * float(self.values.std())) / math.sqrt(len(self.values))


def part(series: Series, begin: float, end: float) -> Part:
    """The values between two shares (0 to 1) of the logged steps; the nearest one where there is none."""
    low, high = series.steps[0], series.steps[-1]
    bounds = low + (high - low) * np.array([begin, end])
    inside = (series.steps >= bounds[0]) & (series.steps <= bounds[1])
    if not inside.any():
        inside[np.abs(series.steps - bounds.mean()).argmin()] = True
    steps = series.steps[inside]
    return Part(int(steps[0]), int(steps[-1]), series.values[inside], _noise(series.values))


def quarters(series: Series) -> List[Part]:
    """Four stretches of equal length in steps."""
    return [part(series, index / 4, (index + 1) / 4) for index in range(4)]


def difference_error(one: Part, other: Part) -> float:
    """Standard error of the difference of two parts' means."""
    return math.hypot(one.error, other.error)


def scale(parts: List[Part]) -> float:
    """A size to compare changes of a reward with: the largest mean, or the spread of the means where that is larger."""
    means = [one.mean for one in parts]
    return max(max(abs(mean) for mean in means[:1] + means[-1:]), max(means) - min(means), 1e-12)


def _noise(values: np.ndarray) -> float:
    """Of a value: by neighbouring values, or by neighbouring stretches where that is more, as in smoothed curves.

    A rise, a fall or a collapse makes few of the differences large, so it does not count as noise.
    """
    means = np.array([stretch.mean() for stretch in np.array_split(values, min(_STRETCHES, len(values)))])
    return max(_jitter(values), _jitter(means) * math.sqrt(len(values) / len(means)))


def _jitter(values: np.ndarray) -> float:
    """Deviation around a smooth course, by the median size of second differences; the values', where they are few."""
    if len(values) < 5:
        return float(values.std())
    return 1.4826 * float(np.median(np.abs(np.diff(values, 2)))) / math.sqrt(6.0)


def trend(values: np.ndarray) -> float:
    """Spearman's rank correlation with their order of the medians of stretches; 0 where they are all the same."""
    count = min(max(len(values) // _TREND_VALUES, _FEWEST_TRENDING), _STRETCHES, len(values))
    values = np.array([np.median(stretch) for stretch in np.array_split(values, count)])
    if len(values) < 3 or np.ptp(values) == 0:
        return 0.0
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse]
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])
