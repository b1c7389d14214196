"""Long series as few points: means, with the smallest and the largest value around each."""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np

from ..run import Series

MOST_POINTS = 400


class Points(NamedTuple):
    """The points of a series that are drawn."""

    steps: np.ndarray
    """`[p]` environment steps at the end of each stretch."""
    wall: np.ndarray
    """`[p]` unix seconds at the end of each stretch."""
    values: np.ndarray
    """`[p]` the value, or the mean of a stretch; NaN for a stretch without a finite value."""
    low: Optional[np.ndarray]
    """`[p]` smallest value of each stretch; None if nothing was averaged."""
    high: Optional[np.ndarray]


def decimate(series: Series, most: int = MOST_POINTS) -> Points:
    """At most `most` points; values that are not finite are left out of the means."""
    count = len(series.steps)
    if count <= most:
        return Points(series.steps, series.wall, series.values, None, None)
    edges = np.linspace(0, count, most + 1).round().astype(np.int64)
    starts, ends = edges[:-1], edges[1:] - 1
    good = np.isfinite(series.values)
    counts = np.add.reduceat(good.astype(np.float64), starts)
    empty = counts == 0
    means, low, high = (
        np.where(empty, np.nan, reduce.reduceat(np.where(good, series.values, missing), starts))
        for reduce, missing in ((np.add, 0.0), (np.minimum, np.inf), (np.maximum, -np.inf))
    )
    return Points(series.steps[ends], series.wall[ends], means / np.maximum(counts, 1.0), low, high)
