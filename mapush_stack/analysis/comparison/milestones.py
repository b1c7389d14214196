"""When runs reached success rates."""

from __future__ import annotations

import math
from typing import List, Optional

import numpy as np

from ..run import LoggedRun
from .curves import SUCCESS, hours, success_of_checkpoints
from .model import Milestones

THRESHOLDS = (0.2, 0.4, 0.6, 0.8, 0.9)
"""Success rates of the table."""
WINDOW = 10
"""Records over which success is averaged; early records cover only one or two episodes."""


def milestones(index: int, run: LoggedRun) -> List[Milestones]:
    """Milestones of a run, by its evaluated checkpoints and by its success in training.

    `index` is the run's index in the comparison.
    """
    rows = []
    for source, series in (("evaluations", success_of_checkpoints(run)), ("training", run.find(SUCCESS))):
        series = None if series is None else series.finite()
        if series is None or not len(series.values):
            continue
        elapsed = hours(run, series)
        means = series.values if source == "evaluations" else window_means(series.values)
        first = {level: _first((series.values >= level) & (means >= level)) for level in THRESHOLDS}
        rows.append(
            Milestones(
                run=index,
                source=source,
                steps={level: None if at is None else int(series.steps[at]) for level, at in first.items()},
                hours={level: None if at is None else finite(elapsed[at]) for level, at in first.items()},
                best=float(np.max(means)),
            )
        )
    return rows


def window_means(values: np.ndarray) -> np.ndarray:
    """`[n]` mean of each value and the nine after it; the last ten means are equal."""
    size = min(WINDOW, len(values))
    means = np.convolve(values, np.full(size, 1 / size), mode="valid")
    return np.append(means, np.full(size - 1, means[-1]))


def _first(reached: np.ndarray) -> Optional[int]:
    return int(np.argmax(reached)) if reached.any() else None


def finite(value: float) -> Optional[float]:
    """The value as a plain number, None if it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None
