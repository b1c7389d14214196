"""`mapush smoke`: tries whether everything works on this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Optional

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ..harness.smoke import steps
from ..harness.smoke.runner import SMOKE_FILE, SmokeResult
from .console import make_console, right, say

_RESULTS = {True: "[green]passed[/]", False: "[red]failed[/]", None: "[dim]left out[/]"}


@click.command(name="smoke")
@click.option("--backend", type=click.Choice(steps.BACKENDS), default=None, help="[default: the best that there is]")
@click.option("--robot", type=click.Choice(["planar", "go1"]), default=None, help="[default: planar; isaacgym: go1]")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(backend: Optional[str], robot: Optional[str], results: Path, as_json: bool) -> int:
    """Test everything on this machine: doctor, HAPPO and MAPPO, checkpoints, evaluation, a clean exit.

    Each step is a `mapush` command in its own process. Exit code 0: all passed; 1: not all, and the table says why.
    Logs, runs and smoke.json are in RESULTS/smoke/DATE.
    """
    console = make_console(stderr=as_json)
    folder = results / "smoke" / time.strftime("%Y-%m-%d-%H-%M-%S")
    with console.status("starting") as status:
        result = steps.run(folder, backend, robot, lambda step: status.update(f"{step} ..."))
    if as_json:
        print(json.dumps(SMOKE_FILE.plain(result), indent=2))
    else:
        _print_table(console, result)
        say(console, f"logs and runs: {folder}")
    return 0 if result.passed else 1


def _print_table(console: Console, result: SmokeResult) -> None:
    columns = Column("step", no_wrap=True), Column("result", no_wrap=True), *right("seconds"), Column(overflow="fold")
    table = Table(*columns, title=f"{result.backend} ({result.reason}): {result.seconds:.0f} s")
    for row in result.steps:
        seconds = f"{row.seconds:.1f}" if row.passed is not None else ""
        table.add_row(row.step, _RESULTS[row.passed], seconds, escape(row.told))
    console.print(table)
