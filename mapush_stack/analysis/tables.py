"""A comparison as tables of words, which the terminal and Markdown show."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

import numpy as np

from .compare import THRESHOLDS, Comparison, Curve, Panel, short
from .differences import Difference
from .evaluations import Evaluation
from .run import LoggedRun
from .statistics import Estimate

_BARS = "▁▂▃▄▅▆▇█"
_SPARK = 24
"""Characters of a small curve."""
_ROWS = 14
"""Most checkpoints in the timeline."""


CURVES = "curves"
"""Title of the table of small curves."""


class Words(NamedTuple):
    """A table; the first column is a name, the others are figures unless `prose` names them."""

    title: str
    columns: List[str]
    rows: List[List[str]]
    prose: Sequence[int] = (0,)
    """Columns of words, which are aligned to the left."""


def tables(found: Comparison) -> List[Words]:
    """Everything that a comparison has to say in tables, those that would be empty left out."""
    every = [
        _runs(found),
        _differences("what differs", found.differences, [group.name for group in found.groups], meanings=True),
        _differences("made with", found.made_with, [group.name for group in found.groups], meanings=False),
        _scores(found),
        _milestones(found),
        _timeline(found),
        _curves(found),
    ]
    return [words for words in every if words.rows]


def _runs(found: Comparison) -> Words:
    group_of = {index: group.name for group in found.groups for index in group.runs}
    rows = [
        [
            found.labels[index],
            group_of[index],
            run.task or "?",
            run.algorithm or "?",
            "?" if run.seed is None else str(run.seed),
            f"{run.steps:,}" + (f" of {run.total_steps:,}" if run.total_steps and run.total_steps > run.steps else ""),
            run.library,
            _state(run),
        ]
        for index, run in enumerate(found.runs)
    ]
    columns = ["run", "group", "task", "algorithm", "seed", "steps", "library", "state"]
    return Words("runs", columns, rows, (0, 1, 2, 3, 6, 7))


def _state(run: LoggedRun) -> str:
    if run.running:
        return "running"
    return "stopped" if run.total_steps and run.steps < 0.95 * run.total_steps else "finished"


def _differences(title: str, rows: List[Difference], names: List[str], meanings: bool) -> Words:
    columns = ["field", *names, *(["what it does"] if meanings else [])]
    table = [[row.field, *map(short, row.values), *([row.meaning] if meanings else [])] for row in rows]
    return Words(title, columns, table, (0, len(columns) - 1) if meanings else (0,))


def _scores(found: Comparison) -> Words:
    rows = []
    for score in found.scores:
        for group, estimate in zip(found.groups, score.by_group):
            if estimate is not None:
                values = [score.by_run[index] for index in group.runs]
                seeds = ", ".join(figure(value, score.unit) for value in values if value is not None)
                rows.append([score.name, group.name, *_estimate(estimate, score.unit), str(estimate.seeds), seeds])
    columns = ["score", "group", "IQM", "95 % interval", "seeds", "each run"]
    return Words("scores: interquartile mean over seeds, bootstrap interval", columns, rows, (0, 1, 5))


def _estimate(found: Estimate, unit: str) -> List[str]:
    if found.interval is None:
        return [figure(found.value, unit), "-"]
    low, high = (figure(end, unit) for end in found.interval)
    return [figure(found.value, unit), f"{low} .. {high}"]


def figure(value: float, unit: str = "") -> str:
    """A number in few characters: a share in per cent."""
    if not np.isfinite(value):
        return "-"
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _milestones(found: Comparison) -> Words:
    rows = [
        [
            found.labels[row.run],
            "checkpoints" if row.source == "evaluations" else row.source,
            *(_reached(row.steps[level], row.hours[level]) for level in THRESHOLDS),
            f"{row.best:.1%}",
        ]
        for row in found.milestones
    ]
    columns = ["run", "success of", *(f"{level:.0%}" for level in THRESHOLDS), "best"]
    return Words("first step at a success of", columns, rows, (0, 1))


def _reached(steps: Optional[int], hours: Optional[float]) -> str:
    if steps is None:
        return "-"
    return f"{steps:,}" if hours is None else f"{steps:,} ({duration(hours)})"


def duration(hours: float) -> str:
    """Hours as a person says them."""
    seconds = 3600 * hours
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{hours:.1f} h"


def _timeline(found: Comparison) -> Words:
    rows: List[List[str]] = []
    for index, run in enumerate(found.runs):
        evaluations = run.evaluations
        best = max(range(len(evaluations)), key=lambda at: evaluations[at].success_rate, default=0)
        shown = set(np.linspace(0, len(evaluations) - 1, min(_ROWS, len(evaluations))).round().astype(int)) | {best}
        rows += [
            _checkpoint(found.labels[index], evaluations[at], at == best)
            for at in sorted(shown)
            if at < len(evaluations)
        ]
    columns = ["run", "checkpoint", "success", "95 % interval", "of valid resets", "finish time", "collaboration", ""]
    return Words("evaluated checkpoints", columns, rows, (0, 7))


def _checkpoint(label: str, one: Evaluation, best: bool) -> List[str]:
    interval = "-" if one.success_interval is None else "{:.1%} - {:.1%}".format(*one.success_interval)
    return [
        label,
        f"{one.steps:,}",
        f"{one.success_rate:.1%}",
        interval,
        "-" if one.valid_success_rate is None else f"{one.valid_success_rate:.1%}",
        "-" if one.finished_time is None else f"{one.finished_time:.2f} s",
        "-" if one.collaboration_degree is None else f"{one.collaboration_degree:.3f}",
        "best" if best else "",
    ]


def _curves(found: Comparison) -> Words:
    """Every quantity over the steps as a small curve, on one scale for all groups."""
    rows = []
    for panel in found.panels:
        for curve in panel.over_steps:
            values = curve.mean[np.isfinite(curve.mean)]
            ends = (values[0], values[-1], values.min(), values.max())
            shown = [figure(value, panel.unit) for value in ends]
            rows.append([panel.name, found.groups[curve.group].name, _spark(panel, curve), *shown])
    columns = ["over environment steps", "group", "", "first", "last", "lowest", "highest"]
    return Words(CURVES, columns, rows, (0, 1, 2))


def _spark(panel: Panel, curve: Curve) -> str:
    """A curve in block characters, blank where it has no value."""
    lowest = min(float(np.nanmin(one.mean)) for one in panel.over_steps)
    highest = max(float(np.nanmax(one.mean)) for one in panel.over_steps)
    end = max(float(one.x[-1]) for one in panel.over_steps)
    finite = np.isfinite(curve.mean)
    cells = (np.arange(_SPARK) + 0.5) / _SPARK * end
    # The first and the last cell that the curve touches show it too.
    x = curve.x[finite]
    reach = end / _SPARK / 2
    near = (cells >= x[0] - reach) & (cells <= x[-1] + reach)
    levels = (np.interp(cells, x, curve.mean[finite]) - lowest) / max(highest - lowest, 1e-300)
    bars = np.rint(levels * (len(_BARS) - 1)).astype(int)
    return "".join(_BARS[bar] if shown else " " for bar, shown in zip(bars, near))
