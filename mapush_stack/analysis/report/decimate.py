"""Long series as few points: means, with the smallest and the largest value around each."""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np

from ..run import Series

MOST_POINTS = 400


class Points(NamedTuple):
    """What is drawn of a series."""

    steps: np.ndarray
    """`[p]` environment steps, the last ones of each stretch."""
    wall: np.ndarray
    """`[p]` unix s likewise."""
    values: np.ndarray
    """`[p]` the value, or the mean of a stretch."""
    low: Optional[np.ndarray]
    """`[p]` smallest value of each stretch; None where nothing was put together."""
    high: Optional[np.ndarray]


def decimate(series: Series, most: int = MOST_POINTS) -> Points:
    """At most `most` points; values that are not finite are left out, and a stretch without others is NaN."""
    count = len(series.steps)
    if count <= most:
        return Points(series.steps, series.wall, series.values, None, None)
    edges = np.linspace(0, count, most + 1).round().astype(np.int64)
    starts, ends = edges[:-1], edges[1:] - 1
    good = np.isfinite(series.values)
    sums = np.add.reduceat(np.where(good, series.values, 0.0), starts)
    counts = np.add.reduceat(good.astype(np.float64), starts)
    empty = counts == 0
    means = np.where(empty, np.nan, sums / np.maximum(counts, 1.0))
    low = np.minimum.reduceat(np.where(good, series.values, np.inf), starts)
    high = np.maximum.reduceat(np.where(good, series.values, -np.inf), starts)
    return Points(
        series.steps[ends],
        series.wall[ends],
        means,
        np.where(empty, np.nan, low),
        np.where(empty, np.nan, high),
    )
