"""The success curve of a run's checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from ..errors import UserError


def draw(rows: List[Dict[str, Any]], path: Path) -> None:
    """Draw success with its interval and finish time over environment steps into a PNG.

    Args:
        rows: evaluated checkpoints, as `mapush evaluate --json` prints them.
        path: the PNG.

    Raises:
        UserError: matplotlib is not installed, there are no checkpoints, or the file cannot be written.

    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("the success curve needs matplotlib: pip install 'mapush_stack[plot]'") from None
    if not rows:
        raise UserError("a success curve needs checkpoints of a run, which say how many steps they were trained for")
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    steps = [row["steps"] / 1e6 for row in rows]
    low, high = zip(*(row["success_interval"] for row in rows))
    axes.fill_between(steps, low, high, color="tab:blue", alpha=0.2, lw=0)
    axes.plot(steps, [row["success_rate"] for row in rows], "o-", color="tab:blue", label="all resets")
    axes.plot(steps, [row["valid_success_rate"] for row in rows], "--", color="tab:blue", label="valid resets")
    axes.set(xlabel="environment steps (millions)", ylabel="success rate", ylim=(0, 1.02), xlim=(0, None))
    axes.grid(alpha=0.3)
    times = axes.twinx()
    times.plot(steps, [row["finished_time"] for row in rows], ".:", color="tab:orange")
    times.set_ylabel("mean finish time (s)", color="tab:orange")
    times.set_ylim(0, None)
    axes.legend(loc="lower right")
    axes.set_title(f"{rows[0]['object']}, {rows[0]['episodes']} episodes a checkpoint", fontsize=10)
    try:
        figure.savefig(str(path), dpi=150)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be written: {error}") from None
