"""`mapush smoke`: tries whether everything works on this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Optional, Tuple

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ..errors import UserError
from ..harness import programs
from ..harness.smoke import program as any_program
from ..harness.smoke import steps
from ..harness.smoke.runner import SMOKE_FILE, SmokeResult
from .console import make_console, right, say
from .given import FiniteRange

_RESULTS = {True: "[green]passed[/]", False: "[red]failed[/]", None: "[dim]left out[/]"}


@click.command(name="smoke")
@click.option("--backend", type=click.Choice(steps.BACKENDS), default=None, help="[default: the best that there is]")
@click.option("--robot", type=click.Choice(["planar", "go1"]), default=None, help="[default: planar; isaacgym: go1]")
@click.option("--run", metavar="CMD", default=None, help="Test this command instead, of any training program.")
@click.option("--command", "program_name", metavar="NAME", default=None, help=programs.HELP)
@click.option("--ready", metavar="REGEX", default=None, help="Line that CMD must print.")
@click.option("--checkpoint", metavar="GLOB", multiple=True, help="Files that CMD must write; repeatable.  [*.pt ...]")
@click.option("--seconds", type=FiniteRange(1), default=600.0, show_default=True, help="CMD must end within that time.")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(
    backend: Optional[str],
    robot: Optional[str],
    run: Optional[str],
    program_name: Optional[str],
    ready: Optional[str],
    checkpoint: Tuple[str, ...],
    seconds: float,
    results: Path,
    as_json: bool,
) -> int:
    """Test everything on this machine: doctor, HAPPO and MAPPO, checkpoints, evaluation, a clean exit.

    Every step is a `mapush` command. Those that learn and evaluate share one process, except with Isaac Gym; the clean
    exit has its own. With --run or --command it runs that command once: it must
    start, log, write a checkpoint and end with exit code 0, in time. Exit code 0: all passed; 1: not all, and the table
    says why. Logs, runs and smoke.json are in RESULTS/smoke/DATE.
    """
    console = make_console(stderr=as_json)
    fields = {"run": run, "ready": ready, "checkpoint": list(checkpoint) or None}
    given = {name: value for name, value in fields.items() if value is not None}
    program = programs.load(program_name or "", given) if (run, program_name) != (None, None) else None
    if program is None and given:
        raise UserError(f"--{next(iter(given))} goes with --run or --command, which is missing")
    if program is not None and (backend or robot):
        raise UserError("--backend and --robot are for our own training; leave them out with --run and --command")
    folder = results / "smoke" / time.strftime("%Y-%m-%d-%H-%M-%S")
    with console.status("starting") as status:

        def announce(step: str) -> None:
            status.update(f"{step} ...")

        if program is None:
            result = steps.run(folder, backend, robot, announce)
        else:
            result = any_program.run(folder, program, seconds, announce)
    if as_json:
        print(json.dumps(SMOKE_FILE.plain(result), indent=2))
    else:
        _print_table(console, result)
        say(console, f"logs and runs: {folder}")
    return 0 if result.passed else 1


def _print_table(console: Console, result: SmokeResult) -> None:
    columns = Column("step", no_wrap=True), Column("result", no_wrap=True), *right("seconds"), Column(overflow="fold")
    title = escape(f"{result.backend} ({result.reason})" if result.backend else result.reason)
    table = Table(*columns, title=f"{title}: {result.seconds:.0f} s")
    for row in result.steps:
        seconds = f"{row.seconds:.1f}" if row.passed is not None else ""
        table.add_row(row.step, _RESULTS[row.passed], seconds, escape(row.told))
    console.print(table)
