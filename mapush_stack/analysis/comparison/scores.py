"""Numbers by which runs are compared, and their estimates over seeds."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from ..run import LoggedRun
from . import statistics
from .curves import EVALUATION_RETURN, SUCCESS
from .milestones import WINDOW, finite, window_means
from .model import Group, Profile, Score

_LEVELS = 101
"""Levels of a performance profile."""
_END = 0.1
"""Last share of a run's steps, over which a score "at the end" is averaged."""


def scores(runs: List[LoggedRun], groups: List[Group]) -> List[Score]:
    """The scores that at least one run has."""
    found = []
    for name, unit, compute in _SCORES:
        by_run = [compute(run) for run in runs]
        if any(value is not None for value in by_run):
            seeds = [by_seed(group, by_run) for group in groups]
            gaps = [statistics.optimality_gap([one]) if unit == "share" and len(one) else None for one in seeds]
            means = [statistics.iqm_estimate([one]) if len(one) else None for one in seeds]
            found.append(Score(name, unit, by_run, means, gaps))
    return found


def profiles(groups: List[Group], scores: List[Score]) -> Dict[str, List[Profile]]:
    """Performance profiles of the first score of success and of the first return, if a group has several seeds."""
    found: Dict[str, List[Profile]] = {}
    for wanted in ("share", "reward") if len({group.task for group in groups}) == 1 else ("share",):
        score = next((one for one in scores if one.unit == wanted), None)
        seeds = [] if score is None else [by_seed(group, score.by_run) for group in groups]
        if score is None or max(map(len, seeds), default=0) < 2:
            continue
        together = np.concatenate(seeds)
        ends = (0.0, 1.0) if wanted == "share" else (float(together.min()), float(together.max()))
        levels = np.linspace(*ends, _LEVELS)
        found[score.name] = [
            Profile(number, levels, *statistics.performance_profile([one], levels))
            for number, one in enumerate(seeds)
            if len(one)
        ]
    return found


def by_seed(group: Group, by_run: List[Optional[float]]) -> np.ndarray:
    """`[seeds]` one value per seed of a group: the mean over the runs of that seed."""
    values: Dict[Any, List[float]] = {}
    for index, seed in zip(group.runs, group.seeds):
        value = by_run[index]
        if value is not None:
            values.setdefault(("run", index) if seed is None else seed, []).append(value)
    return np.array([sum(one) / len(one) for one in values.values()], dtype=np.float64)


def _last_evaluation(run: LoggedRun) -> Optional[float]:
    return run.evaluations[-1].success_rate if run.evaluations else None


def _best_evaluation(run: LoggedRun) -> Optional[float]:
    return max((one.success_rate for one in run.evaluations), default=None)


def _at_end(tag: str, run: LoggedRun) -> Optional[float]:
    """The mean over the last tenth of the run's steps, None without a finite value there."""
    series = run.find(tag)
    if series is None:
        return None
    first, last = min(float(series.steps[0]), 0.0), float(series.steps[-1])  # damaged steps may be negative
    late = series.values[series.steps >= last - _END * (last - first)]
    late = late[np.isfinite(late)]
    return float(late.mean()) if len(late) else None


def _reduced(reduce: Callable[[np.ndarray], float], tag: str, run: LoggedRun) -> Optional[float]:
    """`reduce` of the finite values; None if there are none."""
    series = run.find(tag)
    values = np.empty(0) if series is None else series.finite().values
    return finite(reduce(values)) if len(values) else None


def _best_window(values: np.ndarray) -> float:
    return float(np.max(window_means(values)))


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


_SCORES: List[Tuple[str, str, Callable[[LoggedRun], Optional[float]]]] = [
    ("success of the last checkpoint", "share", _last_evaluation),
    ("success of the best checkpoint", "share", _best_evaluation),
    ("success at the end of training", "share", partial(_at_end, SUCCESS)),
    (f"best success in training over {WINDOW} records", "share", partial(_reduced, _best_window, SUCCESS)),
    ("return at the end", "reward", partial(_at_end, "train_episode_rewards")),
    ("return of evaluation episodes at the end", "reward", partial(_at_end, EVALUATION_RETURN)),
    ("reward per control step at the end", "reward", partial(_at_end, "average_step_reward")),
    ("speed", "environment steps per second", partial(_reduced, _median, "perf/fps")),
]
"""(name, unit, function of a run). Groups are judged by the first score that both have."""
