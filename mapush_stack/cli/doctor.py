"""`mapush doctor`: checks the machine and the Python environment."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import List, Optional

import click
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ..errors import UserError
from ..harness.doctor import checks, fixes, probes
from ..harness.doctor.machine_info import MachineInfo
from ..harness.doctor.results import CheckResult, Status
from ..system.limits import read_json
from .console import make_console, say

_COLOURS = {Status.FINE: "green", Status.ABSENT: "dim", Status.WARNING: "yellow", Status.BROKEN: "red"}


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print results and facts as JSON, and nothing else.")
@click.option("--backend", type=click.Choice(list(checks.BACKENDS)), help="What it needs counts as broken if absent.")
@click.option("--fix", is_flag=True, help="List what can be fixed safely, ask, and do it.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--report", type=click.Path(path_type=Path), default=None, help="Check the machine of this --json file.")
def command(as_json: bool, backend: Optional[str], fix: bool, yes: bool, report: Optional[Path]) -> int:
    """Check the machine and the Python environment.

    Exit code 0: all is well; 1: there are warnings; 2: something is broken. What is absent, such as a GPU, is no fault
    unless --backend names a simulator that needs it. --fix deletes a half compiled gymtorch and applies patches; it
    uninstalls nothing.
    """
    if yes and not fix:
        raise UserError("--yes goes with --fix")
    if fix and (as_json or report):
        raise UserError("--fix changes this machine and prints no JSON; leave --json and --report out")
    machine = probes.collect() if report is None else _read(report)
    results = checks.examine(machine, backend)
    code = checks.exit_code(results)
    if as_json:
        findings = [result.model_dump(mode="json") for result in results]
        print(json.dumps({"exit_code": code, "findings": findings, "facts": machine.model_dump(mode="json")}, indent=2))
        return code
    console = make_console()
    _print_table(console, results)
    if not fix or not _fix(console, machine, yes):
        return code
    results = checks.examine(probes.collect(), backend)
    _print_table(console, results)
    return checks.exit_code(results)


def _fix(console: Console, machine: MachineInfo, yes: bool) -> bool:
    """List the possible fixes and, if wanted, apply them; returns whether any was applied."""
    planned = fixes.plan(machine)
    for one in planned:
        say(console, f"can be done: {one.description}")
    if not planned:
        console.print("There is nothing that --fix could mend.")
        return False
    if not yes and not (sys.stdin.isatty() and click.confirm("Do it?")):
        console.print("Nothing was done; --yes does it without asking.")
        return False
    for one in planned:
        one.apply()
        say(console, f"done: {one.description}")
    return True


def _read(report: Path) -> MachineInfo:
    """The information about a machine, from the output of `mapush doctor --json` there."""
    try:
        return MachineInfo.model_validate(read_json(report)["facts"])
    except (ValidationError, LookupError, TypeError):
        raise UserError(f"{report} is not what this version's `mapush doctor --json` prints") from None


def _print_table(console: Console, results: List[CheckResult]) -> None:
    """Print a table and below it the remedies, unwrapped, so that their commands can be copied."""
    table = Table(Column("check", no_wrap=True), Column("status", no_wrap=True), Column("found", overflow="fold"))
    for result in results:
        status = f"[{_COLOURS[result.status]}]{result.status.value}[/]"
        table.add_row(result.check, status, escape(result.found))
    console.print(table)
    for result in results:
        if result.remedy:
            say(console, f"{result.check}: {result.remedy}")
