"""`mapush reproduce`: make a run once more, and say what differs between then and now."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any, List

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ..errors import UserError
from .console import make_console, say
from .train import train_here


@click.command(name="reproduce")
@click.argument("path", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--dry-run", is_flag=True, help="Only say what differs and which command it is.")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
def command(path: Path, dry_run: bool, results: Path) -> int:
    """Repeat a run, from its configuration and the weights that it started from.

    What differs between the environment of then and of now is said first. At the end the weights of the checkpoints
    that both runs have are compared: exit code 0 if they are the same, byte for byte, 1 if not. On a CPU they are,
    where nothing differs that can change the numbers; on a GPU sums are taken in no fixed order, and they are not.
    """
    from ..sim import isaacgym_import
    from ..training import launch, placement, reproduction, session

    _refuse_openrl(path)
    plan = reproduction.plan(path)
    if plan.settings.sim.backend == "isaacgym":
        isaacgym_import.require()
    chosen = placement.place(plan.settings)
    if int(os.environ.get("RANK", "0")) == 0:
        _tell(make_console(), plan, chosen.device)
    if dry_run:
        return 0
    if plan.processes > 1 and "WORLD_SIZE" not in os.environ:
        _check_gpus(plan.processes)
        return launch.launch(plan.processes, sys.argv[1:])
    train = functools.partial(session.start, plan.settings, results, ["mapush", *sys.argv[1:]], initial=plan.initial)
    differ: List[bool] = []
    code = train_here(plan.settings, train, functools.partial(_conclude, plan.run, differ))
    return code or int(any(differ))


def _refuse_openrl(path: Path) -> None:
    """Refuse a folder that OpenRL made: it has no configuration of this project.

    Raises:
        UserError: it is one.

    """
    from ..analysis import layouts
    from ..training import reproduction

    if not path.is_dir() or (path / "config.json").exists():
        return
    try:
        library = layouts.find(path).library
    except UserError:
        return  # it is no run at all, as the plan says
    if library == "openrl":
        raise reproduction.of_another_program(path, "OpenRL")


def _check_gpus(processes: int) -> None:
    import torch

    from ..training import launch

    if torch.cuda.device_count() < processes:
        raise UserError(
            f"the run was trained by {processes} processes with a GPU each, and torch sees {torch.cuda.device_count()} "
            f"here; on CPUs: {launch.torchrun(processes, 'reproduce RUN')}"
        )


def _tell(console: Console, plan: Any, device: Any) -> None:
    """What differs, and the command."""
    from ..training import reproduction

    then = plan.run.manifest()
    changes = reproduction.differences(then, reproduction.now(device, plan.processes), plan.settings.learner.library)
    if changes:
        console.print(_table(changes))
    missing = reproduction.not_recorded(then)
    told = "nothing that the run's manifest records differs here" if not changes else ""
    told += ("; " if told and missing else "") + (f"not in the run's manifest: {', '.join(missing)}" if missing else "")
    line = reproduction.command(plan)
    for text in (told, f"the run as one command: {line}" if line else "no single command of mapush train says it all"):
        if text:
            say(console, text)


def _table(changes: List[Any]) -> Table:
    folded = [Column(heading, overflow="fold") for heading in ("", "then", "now")]
    table = Table(*folded, Column("can change the numbers", no_wrap=True), title="What differs")
    for change in changes:
        colour = {"yes": "red", "perhaps": "yellow"}.get(change.effect, "dim")
        table.add_row(escape(change.what), escape(change.then), escape(change.now), f"[{colour}]{change.effect}[/]")
    return table


def _conclude(run: Any, differ: List[bool], console: Console, done: Any) -> None:
    """Say how the training ended and whether the weights are the same; notes in `differ` if some are not."""
    from ..training import reproduction

    if done.outcome.stopped:
        say(console, f"stopped at {done.outcome.steps:,} steps; go on with: {done.resuming}")
        return
    matches = reproduction.compare(run, done.run)
    differ.extend(not match.identical for match in matches)
    say(console, f"{_verdict(matches)}\nrun directory: {done.run.path}")


def _verdict(matches: List[Any]) -> str:
    if not matches:
        return "no checkpoint to compare: the run has none of the same steps"
    wrong = [match for match in matches if not match.identical]
    if not wrong:
        return f"the weights of all {len(matches)} checkpoints that both have are the same, byte for byte"
    first, last = wrong[0], matches[-1]
    gap = "cannot be compared" if last.largest is None else f"differ by at most {last.largest:.2g}"
    return (
        f"the weights of {len(wrong)} of {len(matches)} checkpoints are not the same, from {first.steps:,} steps on; "
        f"at {last.steps:,} steps they {gap}"
    )
