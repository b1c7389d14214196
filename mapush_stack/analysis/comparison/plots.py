"""The curves and scores of a comparison as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from ...errors import UserError
from .model import Comparison, Curve, Panel

_COLUMNS = 3
_COLOURS = 10
"""Colours of matplotlib's palette; further groups have dashed lines."""


def draw(found: Comparison, folder: Path) -> List[Path]:
    """Draw the curves and, if a group has several runs, the scores; returns the PNG files.

    Raises:
        UserError: matplotlib is not installed.
        OSError: a file cannot be written.

    """
    paths = []
    for axis in ("steps", "hours"):
        panels = [(panel, panel.over_steps if axis == "steps" else panel.over_hours) for panel in found.panels]
        panels = [(panel, curves) for panel, curves in panels if curves]
        if panels:
            paths.append(folder / f"curves-{axis}.png")
            _figure_of_curves(found, panels, axis).savefig(str(paths[-1]), dpi=150)
    if any(len(group.runs) > 1 for group in found.groups) and found.scores:
        paths.append(folder / "scores.png")
        _figure_of_scores(found).savefig(str(paths[-1]), dpi=150)
    return paths


def _new_figure(width: float, height: float) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("plots need matplotlib: pip install 'mapush_stack[report]'") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _figure_of_curves(found: Comparison, panels: List[Tuple[Panel, List[Curve]]], axis: str) -> Any:
    rows = -(-len(panels) // _COLUMNS)
    figure = _new_figure(4.2 * _COLUMNS, 2.7 * rows + 0.5)
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    millions = axis == "steps" and max(curve.x[-1] for _, curves in panels for curve in curves) >= 1e5
    label, unit = (f"{found.axis} (millions)", 1e6) if millions else (found.axis, 1.0)
    label = label if axis == "steps" else "hours of training"
    handles: Dict[int, Any] = {}
    for axes, (panel, curves) in zip(grid, panels):
        for curve in curves:
            handles[curve.group] = _draw_curve(axes, curve, curve.x / unit)
        _label(axes, panel, label)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.legend(
        [handles[group] for group in sorted(handles)],
        [_legend(found, group) for group in sorted(handles)],
        loc="outside lower center",
        ncols=min(len(handles), 3),
        frameon=False,
    )
    return figure


def _draw_curve(axes: Any, curve: Curve, x: np.ndarray) -> Any:
    style = "-" if curve.group < _COLOURS else "--"
    color = f"C{curve.group % _COLOURS}"
    if curve.seeds > 1:
        axes.fill_between(x, curve.low, curve.high, color=color, alpha=0.2, linewidth=0)
    marker = "." if len(x) < 16 else ""
    return axes.plot(x, curve.mean, style, color=color, marker=marker, linewidth=1.4)[0]


def _label(axes: Any, panel: Panel, label: str) -> None:
    axes.set_title(panel.name, fontsize=10)
    axes.set_xlabel(label, fontsize=8)
    axes.set_ylabel(panel.unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    if panel.unit == "share":
        axes.set_ylim(0, 1.02)
    elif _spans_decades(panel):
        axes.set_yscale("log")


def _spans_decades(panel: Panel) -> bool:
    """True if a quantity is positive and changes by more than a factor of 100."""
    values = np.concatenate([curve.mean[np.isfinite(curve.mean)] for curve in panel.over_steps])
    return len(values) > 0 and values.min() > 0 and values.max() > 100 * values.min()


def _legend(found: Comparison, index: int) -> str:
    group = found.groups[index]
    return group.name if len(group.runs) == 1 else f"{group.name} (mean and quartiles of {len(group.runs)} runs)"


def _figure_of_scores(found: Comparison) -> Any:
    """Interquartile means with their intervals, and every seed as a point."""
    scores = found.scores
    figure = _new_figure(3.2 * len(scores), 0.5 * len(found.groups) + 1.4)
    for axes, score in zip(figure.subplots(1, len(scores), squeeze=False, sharey=True)[0], scores):
        for row, (group, estimate) in enumerate(zip(found.groups, score.by_group)):
            if estimate is None:
                continue
            color = f"C{row % _COLOURS}"
            if estimate.interval is not None:
                axes.plot(estimate.interval, [row, row], color=color, linewidth=6, alpha=0.4, solid_capstyle="butt")
            values = [value for value in (score.by_run[index] for index in group.runs) if value is not None]
            axes.plot(values, [row] * len(values), "|", color=color, markersize=9)
            axes.plot([estimate.value], [row], "o", color=color)
        axes.set_title(score.name, fontsize=9)
        axes.set_xlabel(score.unit, fontsize=8)
        axes.tick_params(labelsize=8)
        axes.set_yticks(range(len(found.groups)), [group.name for group in found.groups], fontsize=8)
        axes.grid(axis="x", alpha=0.3)
        axes.set_ylim(len(found.groups) - 0.4, -0.6)
    return figure
