"""A comparison as tables of text, for the terminal, Markdown and the report."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

import numpy as np

from .. import axes
from ..evaluations import Evaluation
from ..run import LoggedRun
from .groups import short
from .milestones import THRESHOLDS
from .model import Comparison, Curve, Difference, Panel
from .statistics import Estimate

_BARS = "▁▂▃▄▅▆▇█"
_BAR_COUNT = 24
"""Characters of a small curve."""
_MOST_CHECKPOINTS = 14
CURVES = "curves"
"""Title of the table of small curves."""
SCORES = "scores: interquartile mean over seeds, bootstrap interval"
"""Title of the table of scores."""


class TextTable(NamedTuple):
    """A table. Columns in `prose` hold text, aligned to the left; the others hold numbers."""

    title: str
    columns: List[str]
    rows: List[List[str]]
    prose: Sequence[int] = (0,)


def tables(found: Comparison) -> List[TextTable]:
    """All tables of a comparison that are not empty."""
    every = [
        _runs(found),
        _differences("what differs", found.differences, found, meanings=True),
        _differences("made with", found.made_with, found, meanings=False),
        _scores(found),
        _milestones(found),
        _checkpoints(found),
        _curves(found),
    ]
    return [table for table in every if table.rows]


def _runs(found: Comparison) -> TextTable:
    rows = [
        [
            found.labels[index],
            found.groups[found.group_of(index)].name,
            run.task or "?",
            run.algorithm or "?",
            "?" if run.seed is None else str(run.seed),
            f"{run.steps:,}"
            + _short_of(run.axis)
            + (f" of {run.total_steps:,}" if run.total_steps and run.total_steps > run.steps else ""),
            run.library,
            _state(run),
        ]
        for index, run in enumerate(found.runs)
    ]
    columns = ["run", "group", "task", "algorithm", "seed", "steps", "library", "state"]
    return TextTable("runs", columns, rows, (0, 1, 2, 3, 6, 7))


def _short_of(axis: str) -> str:
    return "" if axis in (axes.STEPS, axes.UNKNOWN) else f" {axis}"


def _state(run: LoggedRun) -> str:
    if run.running:
        return "running"
    return "stopped" if run.total_steps and run.steps < 0.95 * run.total_steps else "finished"


def _differences(title: str, differences: List[Difference], found: Comparison, meanings: bool) -> TextTable:
    columns = ["field", *(group.name for group in found.groups), *(["what it does"] if meanings else [])]
    rows = [[row.field, *map(short, row.values), *([row.meaning] if meanings else [])] for row in differences]
    return TextTable(title, columns, rows, (0, len(columns) - 1) if meanings else (0,))


def _scores(found: Comparison) -> TextTable:
    rows = []
    for score in found.scores:
        for group, estimate, gap in zip(found.groups, score.by_group, score.gaps):
            if estimate is not None:
                values = [score.by_run[index] for index in group.runs]
                seeds = ", ".join(format_number(value, score.unit) for value in values if value is not None)
                iqm = format_number(estimate.value, score.unit)
                left = "-" if gap is None else format_number(gap.value, score.unit)
                shown = [_interval(estimate, score.unit), left, "-" if gap is None else _interval(gap, score.unit)]
                rows.append([score.name, group.name, iqm, *shown, str(estimate.seeds), seeds])
    columns = ["score", "group", "IQM", "95 % interval", "optimality gap", "its interval", "seeds", "each run"]
    if all(row[4] == "-" for row in rows):
        columns, *rows = ([one for at, one in enumerate(row) if at not in (4, 5)] for row in (columns, *rows))
    return TextTable(SCORES, columns, rows, (0, 1, len(columns) - 1))


def _interval(estimate: Estimate, unit: str) -> str:
    return " .. ".join(format_number(end, unit) for end in estimate.interval or ()) or "-"


def format_number(value: float, unit: str = "") -> str:
    """A number in few characters; a share in per cent."""
    if not np.isfinite(value):
        return "-"
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _milestones(found: Comparison) -> TextTable:
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
    return TextTable("first step at a success of", columns, rows, (0, 1))


def _reached(steps: Optional[int], hours: Optional[float]) -> str:
    if steps is None:
        return "-"
    return f"{steps:,}" if hours is None else f"{steps:,} ({_duration(hours)})"


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.0f} min" if hours >= 1 / 60 else f"{3600 * hours:.0f} s"


def _checkpoints(found: Comparison) -> TextTable:
    """Evaluated checkpoints of each run: evenly spaced ones, and the best."""
    rows: List[List[str]] = []
    for label, run in zip(found.labels, found.runs):
        count = len(run.evaluations)
        best = max(range(count), key=lambda at: run.evaluations[at].success_rate, default=0)
        shown = np.linspace(0, count - 1, min(_MOST_CHECKPOINTS, count)).round().astype(int)
        rows += [_checkpoint(label, run.evaluations[at], at == best) for at in sorted({*shown, best}) if at < count]
    columns = ["run", "checkpoint", "success", "95 % interval", "of valid resets", "finish time", "collaboration", ""]
    return TextTable("evaluated checkpoints", columns, rows, (0, 7))


def _checkpoint(label: str, one: Evaluation, best: bool) -> List[str]:
    return [
        label,
        f"{one.steps:,}",
        f"{one.success_rate:.1%}",
        "-" if one.success_interval is None else "{:.1%} - {:.1%}".format(*one.success_interval),
        "-" if one.valid_success_rate is None else f"{one.valid_success_rate:.1%}",
        "-" if one.finished_time is None else f"{one.finished_time:.2f} s",
        "-" if one.collaboration_degree is None else f"{one.collaboration_degree:.3f}",
        "best" if best else "",
    ]


def _curves(found: Comparison) -> TextTable:
    """Every quantity over the steps as a small curve, on one scale for all groups."""
    rows = []
    for panel in found.panels:
        for curve in panel.over_steps:
            numbers = (curve.first, curve.last, curve.lowest, curve.highest)
            shown = [format_number(value, panel.unit) for value in numbers]
            rows.append([panel.name, found.groups[curve.group].name, _small_curve(panel, curve), *shown])
    columns = [f"over {found.axis}", "group", "", "first", "last", "lowest", "highest"]
    return TextTable(CURVES, columns, rows, (0, 1, 2))


def _small_curve(panel: Panel, curve: Curve) -> str:
    """A curve in block characters, blank where it has no value."""
    lowest = min(float(np.nanmin(one.mean)) for one in panel.over_steps)
    highest = max(float(np.nanmax(one.mean)) for one in panel.over_steps)
    end = max(float(one.x[-1]) for one in panel.over_steps)
    finite = np.isfinite(curve.mean)
    cells = (np.arange(_BAR_COUNT) + 0.5) / _BAR_COUNT * end
    # Cells that the curve covers only in part are drawn too.
    x = curve.x[finite]
    reach = end / _BAR_COUNT / 2
    near = (cells >= x[0] - reach) & (cells <= x[-1] + reach)
    levels = (np.interp(cells, x, curve.mean[finite]) - lowest) / max(highest - lowest, 1e-300)
    bars = np.rint(levels * (len(_BARS) - 1)).astype(int)
    return "".join(_BARS[bar] if shown else " " for bar, shown in zip(bars, near))
