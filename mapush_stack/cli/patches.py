"""`mapush patches`: list, apply, verify and revert the edits that other programs' files need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import click
from rich.table import Table

from ..errors import UserError
from ..harness.patches import manifest
from ..harness.patches.change import change
from ..harness.patches.state import Finding, State, find, survey
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
    """Edits that OpenRL's and MAPush's files need, and why.

    Without PATCH: every patch whose distribution is there.
    """


@command.command(name="list")
@_target
@_json
def list_patches(target: Optional[Path], as_json: bool) -> None:
    """What there is, what for, and what each patch finds."""
    findings = survey(manifest.load(), target)
    if as_json:
        print(json.dumps([_row(finding) for finding in findings], indent=2))
        return
    table = Table(show_lines=True)
    for heading in ("patch", "of", "state", "where"):
        table.add_column(heading, overflow="fold")
    table.add_column("why", ratio=1)
    for finding in findings:
        where = "" if finding.state is State.ABSENT else str(finding.directory)
        table.add_row(finding.patch.name, finding.patch.origin, finding.state.value, where, finding.patch.reason)
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
    """Give the files the very bytes back that they had: all or none."""
    _change(names, target, State.NOT_APPLIED)


@command.command(name="verify")
@_names
@_target
@_json
def verify_patches(names: Tuple[str, ...], target: Optional[Path], as_json: bool) -> int:
    """Exit with 0 if all are applied, 1 if one is not applied, 2 if one is half applied, unknown or absent.

    Writes nothing.
    """
    findings = find(names, target)
    if as_json:
        print(json.dumps([_row(finding) for finding in findings], indent=2))
    else:
        _tell(findings, lambda finding: finding.state.value)
    for finding in findings:
        if finding.problem:
            raise UserError(finding.problem)
    return 0 if all(finding.state is State.APPLIED for finding in findings) else 1


def _change(names: Tuple[str, ...], target: Optional[Path], goal: State) -> None:
    words = {State.APPLIED: "applied", State.NOT_APPLIED: "reverted"}
    already = {State.APPLIED: "was applied already", State.NOT_APPLIED: "was not applied"}
    findings = change(names, goal, target)
    _tell(findings, lambda finding: already[goal] if finding.state is goal else words[goal])


def _tell(findings: List[Finding], what: Callable[[Finding], str]) -> None:
    for finding in findings:
        line = f"{finding.patch.name}: {what(finding)} ({finding.patch.origin} in {finding.directory})"
        make_console().print(line, highlight=False, soft_wrap=True, markup=False)


def _row(finding: Finding) -> Dict[str, Any]:
    patch = finding.patch
    files = [{**file.model_dump(), "state": state.value} for file, state in zip(patch.files, finding.files)]
    return {
        **patch.model_dump(),
        "files": files or [file.model_dump() for file in patch.files],
        "directory": None if finding.directory is None else str(finding.directory),
        "state": finding.state.value,
        "problem": finding.problem,
    }
