"""The results of a sweep: one row for every combination, with a confidence interval over its seeds."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .folder import FIGURES, SweepFolder, TrialState


def rows(sweep: SweepFolder, states: Sequence[TrialState]) -> List[Dict[str, Any]]:
    """One row for every combination, in the order of the request.

    Means are over finished seeds, None without any. `success_interval` is the 95 % confidence interval of the mean
    success rate over seeds, None for fewer than two.
    """
    points: Dict[Tuple[Tuple[str, str], ...], List[TrialState]] = {}
    for trial, state in zip(sweep.file.trials, states):
        points.setdefault(tuple(trial.point.items()), []).append(state)
    return [_row(dict(point), found) for point, found in points.items()]


def _row(point: Dict[str, str], states: List[TrialState]) -> Dict[str, Any]:
    evaluations = [state.evaluation for state in states if state.state == "finished" and state.evaluation]
    success = [row["success_rate"] for row in evaluations]
    return {
        "point": point,
        "seeds": len(states),
        "finished": len(evaluations),
        "failed": sum(state.state == "failed" for state in states),
        "success_interval": mean_interval(success),
        **{name: mean([row[name] for row in evaluations]) for name in FIGURES},
        "fps": mean([state.fps for state in states if state.state == "finished" and state.fps is not None]),
    }


def mean(values: Sequence[float]) -> Optional[float]:
    """The arithmetic mean; None without values."""
    return math.fsum(values) / len(values) if values else None


def mean_interval(values: Sequence[float]) -> Optional[Tuple[float, float]]:
    """95 % confidence interval of a mean rate by Student's t, cut to [0, 1]; None for fewer than two values."""
    size = len(values)
    if size < 2:
        return None
    centre = math.fsum(values) / size
    deviation = math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (size - 1))
    half = student_quantile(size - 1) * deviation / math.sqrt(size)
    return max(0.0, centre - half), min(1.0, centre + half)


def student_quantile(freedom: int, coverage: float = 0.95) -> float:
    """The t with P(|T| < t) = `coverage` for Student's distribution with `freedom` degrees of freedom."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_coverage(middle, freedom) < coverage else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _student_coverage(angle: float, freedom: int) -> float:
    """P(|T| < sqrt(freedom) tan(angle)), by the finite series of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4."""
    cosine, odd = math.cos(angle), freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for index in range(3 if odd else 2, freedom - 1, 2):
        term *= (index - 1) / index * cosine * cosine
        total += term
    total *= math.sin(angle)
    return 2.0 / math.pi * (angle + total) if odd else total
