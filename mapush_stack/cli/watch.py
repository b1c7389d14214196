"""`mapush watch`: a run in the terminal, while it goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

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
from .runs import duration

_BLOCKS, _PLAIN_BLOCKS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_WIDEST = 120
"""Columns, even where the terminal has more."""
_NARROW = 90
"""Columns below which lowest and highest are left out."""
_RECENT = 10
"""Updates whose rate counts as the present one."""
_BUSY_SHARE = 0.1
"""Share of the time that is spent on reading, at most."""


class _Line(NamedTuple):
    """A metric that is shown."""

    name: str
    tags: str
    """Of the vocabulary; with "#" for the mean over all robots."""
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
@click.option("--once", is_flag=True, help="Show it once and leave; so it is where there is no terminal.")
@click.option(
    "--interval", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Seconds between two looks."
)
def command(path: Path, once: bool, interval: float) -> None:
    """Show how a run goes until it ends: progress, time left, success, reward, entropy, losses.

    RUN is a run's folder, of this project, HARL or OpenRL, in whichever process it is trained; or a folder with
    several runs, of which the newest is shown. Ctrl-C leaves; the run goes on.
    """
    from ..analysis import layouts
    from ..analysis.run import read

    console = make_console()
    run = _newest(path)
    loaded = read(run)
    if once or not console.is_terminal or not loaded.running:
        console.print(_frame(console, loaded))
        return
    try:
        with Live(_frame(console, loaded), console=console, auto_refresh=False, screen=False) as live:
            took, seen = 0.0, layouts.changed(run)
            while loaded.running:
                time.sleep(max(interval, took / _BUSY_SHARE))
                now = layouts.changed(run)
                if now != seen or layouts.is_locked(run) is not True:
                    begun, seen = time.monotonic(), now
                    loaded = read(run)
                    took = time.monotonic() - begun
                live.update(_frame(console, loaded), refresh=True)
    except KeyboardInterrupt:
        pass
    except UserError as error:
        raise UserError(f"the run that was watched cannot be read any more: {error}") from None


def _newest(path: Path) -> Path:
    """The run at a path, or the newest of those in it."""
    from ..analysis import listing

    if not path.is_dir():
        return path  # the reader says what is wrong
    found = listing.find(path)
    return listing.newest(found) if found else path


def _frame(console: Console, run: Any) -> Group:
    """What is on the screen."""
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


def _progress(run: Any, state: Any, width: int) -> List[Any]:
    """How far, how fast, how long; and how the run ended where it did."""
    rates = run.series.get("perf/fps")
    rate = float(np.median(rates.values[-_RECENT:])) if rates is not None and len(rates.values) else 0.0
    total, steps = run.total_steps, run.steps
    words = [f"{steps:,}" if total is None else f"{steps:,} / {total:,} steps ({min(steps / total, 1):.1%})"]
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


def _lines(run: Any, width: int, blocks: str) -> Table:
    """A line for each metric that the run has: its name, its course, the range of its values and the last."""
    table = Table(box=None, padding=(0, 1), width=width)
    table.add_column("", no_wrap=True)
    table.add_column("so far", no_wrap=True, ratio=1)
    wide = width >= _NARROW
    for heading in ("lowest", "highest", "now") if wide else ("now",):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in _LINES:
        course = _course(run, line.tags)
        if course is None:
            continue
        steps, values = course
        finite = values[np.isfinite(values)]
        span = [line.show(float(pick(finite))) if len(finite) else "-" for pick in (np.min, np.max) if wide]
        table.add_row(line.name, _Sparkline(steps, values, blocks), *span, line.show(float(values[-1])))
    return table


def _course(run: Any, tags: str) -> Optional[Tuple[np.ndarray, np.ndarray]]:
    """Steps and values of a metric; of a robot's, the mean over robots at the steps that all have."""
    if "#" not in tags:
        names = [tags] if tags in run.series else []
    else:
        names = sorted(
            name for name in run.series if name.startswith("agent") and name.endswith(tags[tags.index("/") :])
        )
    found = [run.series[name] for name in names if len(run.series[name].steps)]
    if not found:
        return None
    steps = found[0].steps
    for one in found[1:]:
        steps = np.intersect1d(steps, one.steps)
    if not len(steps):
        return None
    return steps, np.mean([one.values[np.searchsorted(one.steps, steps)] for one in found], axis=0)


class _Sparkline:
    """A curve as wide as the cell that it is in."""

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
        values: `[n]`; what is not finite leaves a gap.
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
        # Few points: a character between two of them is as high as the one before it.
        sources = np.maximum.accumulate(np.where(counts > 0, np.arange(width), 0))
        return "".join(blocks[level] for level in kept[sources])
    return "".join(blocks[level] if count else " " for level, count in zip(kept, counts))
