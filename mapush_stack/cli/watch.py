"""`mapush watch`: shows a run in the terminal while it trains."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple

import click
import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..errors import UserError
from .console import make_console
from .given import FiniteRange
from .renaming import renaming
from .runs import duration

if TYPE_CHECKING:
    from ..analysis.listing import RunState
    from ..analysis.run import LoggedRun

_BLOCKS, _PLAIN_BLOCKS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_WIDEST = 120
"""Most columns that the display uses."""
_NARROW = 90
"""With fewer columns, lowest and highest are left out."""
_RATE_WINDOW = 10
"""Number of last updates whose median is shown as the rate."""
_MOST_RAW = 12
"""Most curves that are shown of a run none of whose tags has a name of ours."""
_BUSY_SHARE = 0.1
"""Largest share of the time that is spent on reading logs."""


class _Line(NamedTuple):
    """A metric that is shown."""

    name: str
    tag: str
    """"#" stands for the mean over the robots."""
    show: Callable[[float], str]


def _number(value: float) -> str:
    return f"{value:.4g}"


_LINES = (
    _Line("success", "mapush/success_rate", "{:.1%}".format),
    _Line("finish time", "mapush/finish_time", "{:.2f} s".format),
    _Line("episode reward", "train_episode_rewards", _number),
    _Line("step reward", "average_step_reward", _number),
    _Line("entropy", "agent#/dist_entropy", _number),
    _Line("policy loss", "agent#/policy_loss", _number),
    _Line("actor grad norm", "agent#/actor_grad_norm", _number),
    _Line("value loss", "critic/value_loss", _number),
    _Line("explained var.", "critic/explained_variance", _number),
    _Line("steps/s", "perf/fps", "{:,.0f}".format),
)


@click.command(name="watch")
@click.argument("path", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--once", is_flag=True, help="Print the display once and exit. This is the default without a terminal.")
@click.option(
    "--interval",
    type=FiniteRange(0.1),
    default=2.0,
    show_default=True,
    help="Seconds between two updates of the display.",
)
@renaming
def command(path: Path, once: bool, interval: float, renamed: Dict[str, str]) -> None:
    """Show a run until it ends: progress, time left, success, reward, entropy, losses.

    RUN is the folder of a run of this project, HARL or OpenRL, or a folder with several runs, of which the newest is
    shown. Any process may be training it. Ctrl-C ends the display, not the run.
    """
    from ..analysis.layouts.files import is_locked
    from ..analysis.layouts.search import log_sizes
    from ..analysis.run import read

    console = make_console()
    run = _newest(path)
    loaded = read(run, renamed)
    if once or not console.is_terminal or not loaded.running:
        console.print(_frame(console, loaded))
        return
    try:
        with Live(_frame(console, loaded), console=console, auto_refresh=False, screen=False) as live:
            took, seen = 0.0, log_sizes(run)
            while loaded.running:
                time.sleep(max(interval, took / _BUSY_SHARE))
                now = log_sizes(run)
                if now != seen or is_locked(run) is not True:
                    begun, seen = time.monotonic(), now
                    loaded = read(run, renamed)
                    took = time.monotonic() - begun
                live.update(_frame(console, loaded), refresh=True)
    except KeyboardInterrupt:
        pass
    except UserError as error:
        raise UserError(f"the run that was watched cannot be read any more: {error}") from None


def _newest(path: Path) -> Path:
    """The run at a path, or the newest of the runs in it."""
    from ..analysis import listing

    if not path.is_dir():
        return path  # `read` names the problem
    found = listing.find(path).runs
    return listing.newest(found) if found else path


def _frame(console: Console, run: LoggedRun) -> Group:
    """The content of the display."""
    from ..analysis import listing

    width = min(console.width, _WIDEST)
    row = listing.describe(run.path)
    head = Text(f"{run.name}", style="bold", overflow="ellipsis", no_wrap=True)
    facts = [run.task, run.algorithm, None if run.seed is None else f"seed {run.seed}"]
    about = Text(" · ".join(str(fact) for fact in facts if fact is not None), overflow="ellipsis", no_wrap=True)
    blocks = _BLOCKS if console.encoding.lower().startswith("utf") else _PLAIN_BLOCKS
    parts: List[Any] = [head, about, *_progress(run, row.state, width), _lines(run, width, blocks)]
    parts += [Text(f"problem: {problem}", style="yellow") for problem in run.problems]
    return Group(*parts)


def _progress(run: LoggedRun, state: RunState, width: int) -> List[Any]:
    """Steps, rate, time left, and how the run ended if it did."""
    rates = run.series.get("perf/fps")
    rate = float(np.median(rates.values[-_RATE_WINDOW:])) if rates is not None and len(rates.values) else 0.0
    total, steps = run.total_steps, run.steps
    words = [f"{steps:,} {run.axis}" if total is None else f"{steps:,} / {total:,} steps ({min(steps / total, 1):.1%})"]
    words += [f"{rate:,.0f} steps/s"] if rate else []
    if run.running and rate and total is not None:
        words.append(f"ETA {duration(max(total - steps, 0) / rate)}")
    if run.last_logged == run.last_logged:
        words.append(f"logged {duration(time.time() - run.last_logged)} ago")
    parts: List[Any] = []
    if total is not None:
        bar = Table.grid()
        bar.add_row(ProgressBar(total, min(steps, total), width=width))
        parts.append(bar)
    parts.append(Text("  ".join(words)))
    parts.append(Text(f"{state.name}: {state.how}" if state.how else state.name, style="dim"))
    return parts


def _lines(run: LoggedRun, width: int, blocks: str) -> Table:
    """A row for each logged metric: name, curve, range of the values and last value."""
    from ..analysis.run import printable

    table = Table(box=None, padding=(0, 1), width=width)
    table.add_column("", no_wrap=True)
    table.add_column("so far", no_wrap=True, ratio=1)
    wide = width >= _NARROW
    for heading in ("lowest", "highest", "now") if wide else ("now",):
        table.add_column(heading, justify="right", no_wrap=True)
    lines = [(line.name, line.show, run.find(line.tag)) for line in _LINES]
    if not any(series for _, _, series in lines):
        lines = [(printable(tag), _number, series) for tag, series in sorted(run.unknown.items())[:_MOST_RAW]]
    for name, show, series in lines:
        if series is None:
            continue
        finite = series.finite().values
        span = [show(float(pick(finite))) if len(finite) else "-" for pick in (np.min, np.max) if wide]
        table.add_row(name, _Sparkline(series.steps, series.values, blocks), *span, show(float(series.values[-1])))
    return table


class _Sparkline:
    """A curve as wide as its table cell."""

    def __init__(self, steps: np.ndarray, values: np.ndarray, blocks: str) -> None:
        self._steps, self._values, self._blocks = steps, values, blocks

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(sparkline(self._steps, self._values, options.max_width, self._blocks))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, options.max_width)


def sparkline(steps: np.ndarray, values: np.ndarray, width: int, blocks: str = _BLOCKS) -> str:
    """A curve in `width` characters.

    Args:
        steps: `[n]` ascending.
        values: `[n]`; values that are not finite leave a gap.
        width: characters from the first step to the last.
        blocks: characters from low to high.

    """
    first, last = float(steps[0]), float(steps[-1])
    bins = np.minimum(((steps - first) / max(last - first, 1) * width).astype(int), width - 1)
    finite = np.isfinite(values)
    if not finite.any():
        return " " * width
    low, high = float(values[finite].min()), float(values[finite].max())
    counts = np.bincount(bins[finite], minlength=width)
    means = np.bincount(bins[finite], weights=values[finite], minlength=width) / np.maximum(counts, 1)
    levels = np.zeros(width) if high == low else (means - low) / (high - low) * (len(blocks) - 1)
    kept = np.clip(np.rint(levels), 0, len(blocks) - 1).astype(int)
    if finite.all():
        # With few points, a character between two of them repeats the one before it.
        sources = np.maximum.accumulate(np.where(counts > 0, np.arange(width), 0))
        return "".join(blocks[level] for level in kept[sources])
    return "".join(blocks[level] if count else " " for level, count in zip(kept, counts))
