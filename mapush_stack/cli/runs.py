"""`mapush runs`: a table of the runs in a folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from .console import make_console

if TYPE_CHECKING:
    from ..analysis.listing import Row

_COLOURS = {"running": "cyan", "finished": "green", "killed": "red", "damaged": "red"}
_NORMAL = ("running", "finished", "waiting")
"""States that need no explanation below the table."""
_NOTHING = "-"
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


@click.command(name="runs")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("results"))
@click.option(
    "--sort",
    "key",
    type=click.Choice(["age", "state", "steps", "success", "disk", "name"]),
    default="age",
    show_default=True,
    help="The youngest, most or best come first.",
)
@click.option("--reverse", is_flag=True, help="Reverse the order.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(folder: Path, key: str, reverse: bool, as_json: bool) -> None:
    """List the runs in FOLDER and below, including those of sweeps.  [default: results]

    "best success" is the success in training at the best checkpoint; "evaluated" is what `mapush evaluate` found.
    """
    from ..analysis import listing

    found = listing.find(folder)
    rows = sorted((listing.describe(path) for path in found.runs), key=_order(key), reverse=reverse)
    if as_json:
        print(json.dumps([row.to_json() for row in rows], indent=2))
        return
    console = make_console()
    if not rows:
        console.print(f"there is no run in {folder}", highlight=False, markup=False, soft_wrap=True)
        return
    console.print(_table(folder, rows))
    for row in rows:
        if row.state.name not in _NORMAL:
            text = f"{row.state.name}: {row.run.path}: {row.state.how}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
    for files in found.beside.values():
        text = f"{files[0]} lies above other runs and belongs to none of them"
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _order(key: str) -> Callable[[Row], Tuple[Any, str]]:
    from ..analysis import listing

    orders: Dict[str, Callable[[Row], Any]] = {
        "age": lambda row: -row.started,
        "state": lambda row: (listing.STATES.index(row.state.name), -row.started),
        "steps": lambda row: -row.state.steps,
        "success": lambda row: -max(row.evaluated_success or 0.0, row.best_success or 0.0),
        "disk": lambda row: -row.disk,
        "name": lambda row: str(row.run.path),
    }
    return lambda row: (orders[key](row), str(row.run.path))


def _table(folder: Path, rows: List[Row]) -> Table:
    """A row for each run; empty columns are left out."""
    disk = sum(row.disk for row in rows)
    table = Table(
        title=f"{len(rows)} run{'s' * (len(rows) != 1)} in {escape(str(folder))}, {_size(disk)}", box=box.SIMPLE_HEAD
    )
    columns = {
        "steps": [_steps(row.state.steps, row.run.total_steps) for row in rows],
        "best success": [_percent(row.best_success) for row in rows],
        "evaluated": [_percent(row.evaluated_success) for row in rows],
        "age": [duration(time.time() - row.started) for row in rows],
        "disk": [_size(row.disk) for row in rows],
    }
    columns = {heading: cells for heading, cells in columns.items() if set(cells) != {_NOTHING}}
    table.add_column("run", overflow="fold", min_width=20)
    table.add_column("state")
    for heading in columns:
        table.add_column(heading, justify="right")
    for row, cells in zip(rows, zip(*columns.values())):
        colour = _COLOURS.get(row.state.name, "yellow")
        table.add_row(escape(_name(folder, row.run.path)), f"[{colour}]{row.state.name}[/]", *cells)
    return table


def _name(folder: Path, path: Path) -> str:
    return str(path) if path == folder else str(path.relative_to(folder))


def _steps(steps: int, total: Optional[int]) -> str:
    return _short(steps) if total is None else f"{_short(steps)} / {_short(total)}"


def _short(number: int) -> str:
    """A number such as 950, 12.5k, 3M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.4g}{unit}"
    return str(number)


def _percent(share: Optional[float]) -> str:
    return _NOTHING if share is None else f"{share:.1%}"


def _size(disk: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if disk < 1024:
            return f"{disk:.0f} {unit}"
        disk /= 1024
    return f"{disk:.1f} GiB"


def duration(seconds: float) -> str:
    """A duration such as 3 d, 5 h, 12 min, 8 s."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
