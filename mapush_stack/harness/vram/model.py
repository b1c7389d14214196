"""A straight line through the measured memory of each size, and what it predicts for other cards."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

import numpy as np

from ...settings import Settings

CARDS_GB = (4, 8, 12, 16, 24, 48, 80)
"""Memory of cards on the market; their makers count 1024 MiB as one GB."""
SPARE = 0.1
"""The share of the memory that a recommendation leaves free."""
_NEAR_PEAK = 0.97
_TOLERANCE = 0.01
"""Relative distance from the line beyond which a size gets a lower weight in the fit."""
_ROUNDS = 50

Point = Tuple[int, float]
"""Environments and MiB."""


class MemoryModel(Settings):
    """Memory = fixed_mib + num_envs * kib_per_env / 1024, MiB."""

    fixed_mib: float
    kib_per_env: float
    residual: float
    """Root mean square of the points' relative distances from the line."""
    points: int

    def mib(self, num_envs: int) -> float:
        """Memory of so many environments, MiB."""
        return self.fixed_mib + num_envs * self.kib_per_env / 1024

    def envs(self, mib: float) -> int:
        """The number of environments that fit into so many MiB."""
        return max(int((mib - self.fixed_mib) * 1024 / self.kib_per_env), 0)


class Prediction(Settings):
    """The numbers of environments that fit into a card."""

    card_gb: int
    num_envs: int
    with_spare: int
    """Leaving a tenth of the memory free."""
    extrapolated: bool
    """Whether more environments fit than were ever measured."""


def fit(points: Sequence[Point]) -> Optional[MemoryModel]:
    """The line with the least squares of relative distances; None for fewer than two sizes, or if it does not rise.

    Allocators round up and keep spare memory, which matters most at small sizes. Outliers therefore get lower weights
    (Huber's weights, iterated).
    """
    if len({size for size, _ in points}) < 2:
        return None
    sizes, mib = (np.array(values, dtype=float) for values in zip(*points))
    terms = np.stack((np.ones_like(sizes), sizes), axis=1) / mib[:, None]
    weights = np.ones_like(sizes)
    for _ in range(_ROUNDS):
        line, *_ = np.linalg.lstsq(terms * weights[:, None], weights, rcond=None)
        distances = np.abs(terms @ line - 1)
        weights = np.sqrt(np.minimum(1.0, _TOLERANCE / np.maximum(distances, 1e-12)))
    if line[1] <= 0:
        return None
    residual = float(np.sqrt(np.mean(distances**2)))
    fixed, each = map(float, line)
    return MemoryModel(fixed_mib=fixed, kib_per_env=each * 1024, residual=residual, points=len(points))


def predict(model: MemoryModel, largest: int) -> List[Prediction]:
    """The prediction for each of `CARDS_GB`; `largest` is the largest measured size."""
    rows = []
    for card_gb in CARDS_GB:
        mib = card_gb * 1024.0
        fits, spare = model.envs(mib), model.envs(mib * (1 - SPARE))
        rows.append(Prediction(card_gb=card_gb, num_envs=fits, with_spare=spare, extrapolated=fits > largest))
    return rows


def recommend(sizes: Sequence[Tuple[int, float, float]], capacity_mib: float) -> Optional[int]:
    """The smallest size within 3 % of the highest rate, of those that leave a tenth of the memory free.

    Args:
        sizes: environments, MiB and environment steps per second of each.
        capacity_mib: the memory that a trial may use.

    """
    allowed = [(size, fps) for size, mib, fps in sizes if mib <= capacity_mib * (1 - SPARE)]
    best = max((fps for _, fps in allowed), default=0.0)
    return min((size for size, fps in allowed if fps >= _NEAR_PEAK * best), default=None)
