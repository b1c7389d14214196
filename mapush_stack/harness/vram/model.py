"""From measured sizes to a line, and from the line to other cards."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

CARDS_GB = (4, 8, 12, 16, 24, 48, 80)
"""Sizes of cards as they are sold; each GB is 1024 MiB there."""
SPARE = 0.1
"""The share of the memory that a recommendation leaves."""
_NEAR_PEAK = 0.97
_TOLERANCE = 0.01
"""A size whose memory is further from the line than this share counts less and less in the fit."""
_ROUNDS = 50

Point = Tuple[int, float]
"""Environments and MiB."""


class MemoryModel(NamedTuple):
    """A straight line."""

    fixed_mib: float
    kib_per_env: float
    residual: float
    """Root mean square of the points' relative distances from the line."""
    points: int

    def mib(self, num_envs: int) -> float:
        """What so many environments take."""
        return self.fixed_mib + num_envs * self.kib_per_env / 1024

    def envs(self, mib: float) -> int:
        """How many environments fit into so much; 0 where none does."""
        return max(int((mib - self.fixed_mib) * 1024 / self.kib_per_env), 0)


class Prediction(NamedTuple):
    """What fits into a card."""

    card_gb: int
    num_envs: int
    with_spare: int
    """Leaving a tenth of the memory free."""
    extrapolated: bool
    """Whether more environments fit than were ever measured."""


def fit(points: Sequence[Point]) -> Optional[MemoryModel]:
    """The line through points, by least squares of relative distances; None where there are fewer than two sizes.

    Allocators round up and keep more than they need, by shares of a per cent at a large size and by more at a small
    one, so that outliers are weighed down (Huber's weights, iterated).
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
    return MemoryModel(float(line[0]), float(line[1]) * 1024, residual, len(points))


def error(model: MemoryModel, point: Point) -> float:
    """How far the line is from a point that it was not fitted to, as a share of the point's memory."""
    return model.mib(point[0]) / point[1] - 1


def predict(model: MemoryModel, largest: int) -> List[Prediction]:
    """What fits into each of `CARDS_GB`; `largest` is the largest size that was measured."""
    rows = []
    for card_gb in CARDS_GB:
        mib = card_gb * 1024.0
        fits, spare = model.envs(mib), model.envs(mib * (1 - SPARE))
        rows.append(Prediction(card_gb, fits, spare, extrapolated=fits > largest))
    return rows


def recommend(sizes: Sequence[Tuple[int, float, float]], capacity_mib: float) -> Optional[int]:
    """The smallest size within 3 % of the highest rate among those that leave a tenth of the memory.

    Args:
        sizes: environments, MiB and environment steps per second of each.
        capacity_mib: what there is.

    """
    allowed = [(size, fps) for size, mib, fps in sizes if mib <= capacity_mib * (1 - SPARE)]
    best = max((fps for _, fps in allowed), default=0.0)
    return min((size for size, fps in allowed if fps >= _NEAR_PEAK * best), default=None)
