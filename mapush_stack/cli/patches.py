"""`mapush patches`: list, apply, verify and revert the patches that OpenRL and MAPush need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import click
from rich.table import Column, Table

from ..errors import UserError
from ..harness.patches import manifest
from ..harness.patches.change import change
from ..harness.patches.state import PatchStatus, State, find, survey
from .console import make_console

_names = click.argument("names", nargs=-1, metavar="[PATCH]...")
_target = click.option(
    "--target",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FOLDER",
    help="Site-packages folder or source tree.  [default: where this Python has the patch's distribution]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")


@click.group(name="patches")
def command() -> None:
    """Patches that files of OpenRL and MAPush need, and why.

    Without PATCH: every patch whose distribution is there.
    """


@command.command(name="list")
@_target
@_json
def list_patches(target: Optional[Path], as_json: bool) -> None:
    """List the patches, what they are for, and their states."""
    statuses = survey(manifest.load(), target)
    if as_json:
        print(json.dumps([_row(status) for status in statuses], indent=2))
        return
    folded = [Column(heading, overflow="fold") for heading in ("patch", "of", "state", "where")]
    table = Table(*folded, Column("why", ratio=1), show_lines=True)
    for status in statuses:
        where = "" if status.state is State.ABSENT else str(status.directory)
        table.add_row(status.patch.name, status.patch.origin, status.state.value, where, status.patch.reason)
    make_console().print(table)


@command.command(name="apply")
@_names
@_target
def apply_patches(names: Tuple[str, ...], target: Optional[Path]) -> None:
    """Apply patches: all or none."""
    _change(names, target, State.APPLIED)


@command.command(name="revert")
@_names
@_target
def revert_patches(names: Tuple[str, ...], target: Optional[Path]) -> None:
    """Restore the original files exactly: all or none."""
    _change(names, target, State.NOT_APPLIED)


@command.command(name="verify")
@_names
@_target
@_json
def verify_patches(names: Tuple[str, ...], target: Optional[Path], as_json: bool) -> int:
    """Exit with 0 if all are applied, 1 if one is not applied, 2 if one is half applied, unknown or absent.

    Writes nothing.
    """
    statuses = find(names, target)
    if as_json:
        print(json.dumps([_row(status) for status in statuses], indent=2))
    else:
        _print_statuses(statuses, lambda status: status.state.value)
    for status in statuses:
        if status.problem:
            raise UserError(status.problem)
    return 0 if all(status.state is State.APPLIED for status in statuses) else 1


def _change(names: Tuple[str, ...], target: Optional[Path], goal: State) -> None:
    words = {State.APPLIED: "applied", State.NOT_APPLIED: "reverted"}
    already = {State.APPLIED: "was applied already", State.NOT_APPLIED: "was not applied"}
    statuses = change(names, goal, target)
    _print_statuses(statuses, lambda status: already[goal] if status.state is goal else words[goal])


def _print_statuses(statuses: List[PatchStatus], what: Callable[[PatchStatus], str]) -> None:
    for status in statuses:
        print(f"{status.patch.name}: {what(status)} ({status.patch.origin} in {status.directory})")


def _row(status: PatchStatus) -> Dict[str, Any]:
    patch = status.patch
    files = [{**file.model_dump(), "state": state.value} for file, state in zip(patch.files, status.files)]
    return {
        **patch.model_dump(),
        "files": files or [file.model_dump() for file in patch.files],
        "directory": None if status.directory is None else str(status.directory),
        "state": status.state.value,
        "problem": status.problem,
    }
