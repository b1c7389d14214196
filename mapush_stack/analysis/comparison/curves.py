"""Curves of logged quantities over steps and over hours of training."""

from __future__ import annotations

import difflib
import fnmatch
import math
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ...errors import UserError
from ..events import longest, times_at
from ..run import LoggedRun, Series
from . import statistics
from .model import Curve, Group, Panel

_POINTS = 256
"""Points of a curve; more than a plot can show."""
_PAUSE_SECONDS, _PAUSE_INTERVALS = 60.0, 20.0
"""A gap in the log is a pause if it exceeds both: seconds, and multiples of the median gap."""


class Quantity(NamedTuple):
    """A quantity that is shown over steps and hours."""

    name: str
    unit: str
    tag: str
    """Argument of `LoggedRun.find`; empty for the evaluated checkpoints."""
    required: bool = True
    """True if a note says which runs do not log it."""
    raw: bool = False
    """True for a tag of the log that has none of our names."""

    def of(self, run: LoggedRun) -> Optional[Series]:
        """The series of a run; None if it has none, or only one evaluated checkpoint."""
        if self.raw:
            return run.unknown.get(self.tag)
        if self.tag:
            return run.find(self.tag)
        return success_of_checkpoints(run) if len(run.evaluations) > 1 else None


SUCCESS, EVALUATION_RETURN = "mapush/success_rate", "eval_average_episode_rewards"
QUANTITIES = (
    Quantity("success in training", "share", SUCCESS),
    Quantity("success of checkpoints", "share", "", required=False),
    Quantity("episode return", "reward", "train_episode_rewards"),
    Quantity("return of evaluation episodes", "reward", EVALUATION_RETURN, required=False),
    Quantity("reward per control step", "reward", "average_step_reward"),
    Quantity("entropy", "nat", "agent#/dist_entropy"),
    Quantity("actor gradient norm", "", "agent#/actor_grad_norm"),
    Quantity("critic gradient norm", "", "critic/critic_grad_norm"),
    Quantity("value loss", "", "critic/value_loss"),
    Quantity("policy loss", "", "agent#/policy_loss"),
    Quantity("speed", "environment steps per second", "perf/fps"),
)
"""Evaluations are optional: this project evaluates after training, HARL during it."""


def panels(runs: List[LoggedRun], groups: List[Group], tags: Sequence[str] = ()) -> List[Panel]:
    """A panel for each quantity that at least one run has, and for each further tag that fits one of `tags`.

    Raises:
        UserError: one of `tags` fits no tag of any run.

    """
    found = []
    for quantity in (*QUANTITIES, *_chosen(runs, tags)):
        series = [quantity.of(run) for run in runs]
        if any(series):
            over_steps = _curves(groups, series, lambda index, one: one.steps.astype(np.float64))
            over_hours = _curves(groups, series, lambda index, one: hours(runs[index], one))
            found.append(Panel(quantity.name, quantity.unit, over_steps, over_hours))
    return found


def _chosen(runs: List[LoggedRun], patterns: Sequence[str]) -> List[Quantity]:
    """The quantities of the tags that fit patterns such as `Episode_Reward/*`."""
    raw, own = ({tag for run in runs for tag in getattr(run, kind)} for kind in ("unknown", "series"))
    chosen: Dict[str, Quantity] = {}
    for pattern in patterns:
        fitting = [tag for tag in sorted(raw | own) if tag == pattern or fnmatch.fnmatchcase(tag, pattern)]
        if not fitting:
            near = difflib.get_close_matches(pattern, raw | own, 1, 0.3) or sorted(raw | own)[:1]
            raise UserError(f"--tag {pattern}: no run logs such a tag" + (f"; there is {near[0]}" if near else ""))
        chosen.update((tag, Quantity(tag, "", tag, raw=tag in raw)) for tag in fitting)
    return list(chosen.values())


def axis_of(runs: Sequence[LoggedRun]) -> str:
    """What the steps of some runs count."""
    return " or ".join(dict.fromkeys(run.axis for run in runs))


def _curves(
    groups: List[Group], series: List[Optional[Series]], axis: Callable[[int, Series], np.ndarray]
) -> List[Curve]:
    curves = []
    for number, group in enumerate(groups):
        owned = [(index, one) for index in group.runs for one in [series[index]] if one is not None]
        logged = [_finite(axis(index, one), one.values) for index, one in owned]
        logged = [(x, y) for x, y in logged if len(x)]
        if not logged:
            continue
        values = [y for _, y in logged]
        first, last = (float(np.mean([one[at] for one in values])) for at in (0, -1))
        ends = (first, last, min(float(one.min()) for one in values), max(float(one.max()) for one in values))
        lines = [_thinned(x, y) for x, y in logged]
        if len(lines) == 1:
            x, mean = lines[0]
            curves.append(Curve(number, x, mean, mean, mean, 1, *ends))
            continue
        grid = np.linspace(min(x[0] for x, _ in lines), max(x[-1] for x, _ in lines), _POINTS)
        rows = np.stack([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in lines])
        curves.append(Curve(number, grid, *statistics.band(rows), len(lines), *ends))
    return curves


def _finite(x: np.ndarray, y: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    finite = np.isfinite(x) & np.isfinite(y)
    return x[finite], y[finite]


def _thinned(x: np.ndarray, y: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """A curve averaged over neighbours if it has more than `_POINTS`."""
    if len(x) <= _POINTS:
        return x, y
    starts = np.linspace(0, len(x), _POINTS + 1).astype(np.int64)
    sizes = np.diff(starts)
    return np.add.reduceat(x, starts[:-1]) / sizes, np.add.reduceat(y, starts[:-1]) / sizes


def hours(run: LoggedRun, series: Series) -> np.ndarray:
    """`[n]` hours of training at each record of a series, without pauses."""
    clock = longest(run.series)
    if clock is None or not np.isfinite(clock.wall).all():
        return np.full(len(series.wall), np.nan)
    walls = np.maximum.accumulate(clock.wall)
    intervals = np.diff(walls)
    usual = float(np.median(intervals)) if len(intervals) else 0.0
    pause = max(_PAUSE_SECONDS, _PAUSE_INTERVALS * usual)
    first = walls[0] - run.started if math.isfinite(run.started) else 0.0
    intervals = np.append(max(first, 0.0), intervals)
    elapsed = np.cumsum(np.where(intervals > pause, usual, intervals))
    return np.asarray(np.interp(series.wall, walls, elapsed) / 3600)


def success_of_checkpoints(run: LoggedRun) -> Optional[Series]:
    """Success of the evaluated checkpoints, at the times at which training reached their steps."""
    if not run.evaluations:
        return None
    steps = np.array([one.steps for one in run.evaluations], dtype=np.int64)
    return Series(steps, times_at(steps, run.series), np.array([one.success_rate for one in run.evaluations]))
