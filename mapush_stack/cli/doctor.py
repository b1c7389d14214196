"""`mapush doctor`: the machine and the environment at a glance."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import List, Optional

import click
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import UserError
from ..harness.doctor import checks, fixes, probes
from ..harness.doctor.facts import Facts
from .console import make_console

_COLOURS = {
    checks.Status.FINE: "green",
    checks.Status.ABSENT: "dim",
    checks.Status.WARNING: "yellow",
    checks.Status.BROKEN: "red",
}


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print findings and facts as JSON, and nothing else.")
@click.option("--backend", type=click.Choice(list(checks.BACKENDS)), help="What it needs counts as broken if absent.")
@click.option("--fix", is_flag=True, help="Say what can be mended safely, ask, and do it.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option(
    "--report", type=click.Path(path_type=Path), default=None, help="Look at the machine of this --json file."
)
def command(as_json: bool, backend: Optional[str], fix: bool, yes: bool, report: Optional[Path]) -> int:
    """Look over the machine and the environment.

    Exit code 0 if all is well, 1 if something hinders, 2 if something is broken. What is absent, such as a GPU, is no
    fault unless --backend names a simulator that needs it. --fix deletes a half compiled gymtorch and applies patches;
    it uninstalls nothing.
    """
    if yes and not fix:
        raise UserError("--yes goes with --fix")
    if fix and (as_json or report):
        raise UserError("--fix mends this machine and prints no JSON; leave --json and --report out")
    facts = probes.gather() if report is None else _read(report)
    findings = checks.examine(facts, backend)
    code = checks.exit_code(findings)
    if as_json:
        told = [finding.model_dump(mode="json") for finding in findings]
        print(json.dumps({"exit_code": code, "findings": told, "facts": facts.model_dump(mode="json")}, indent=2))
        return code
    console = make_console()
    _show(console, findings)
    if not fix or not _mend(console, facts, yes):
        return code
    findings = checks.examine(probes.gather(), backend)
    _show(console, findings)
    return checks.exit_code(findings)


def _mend(console: Console, facts: Facts, yes: bool) -> bool:
    """Say what can be done, and do it if that is wanted; returns whether something was done."""
    planned = fixes.plan(facts)
    for one in planned:
        console.print(f"can be done: {one.description}", highlight=False, markup=False, soft_wrap=True)
    if not planned:
        console.print("There is nothing that --fix could mend.")
        return False
    if not yes and not (sys.stdin.isatty() and click.confirm("Do it?")):
        console.print("Nothing was done; --yes does it without asking.")
        return False
    for one in planned:
        one.apply()
        console.print(f"done: {one.description}", highlight=False, markup=False, soft_wrap=True)
    return True


def _read(report: Path) -> Facts:
    """The facts of a machine whose doctor printed JSON."""
    try:
        return Facts.model_validate(json.loads(report.read_text(encoding="utf-8"))["facts"])
    except OSError as error:
        raise UserError(f"{report} cannot be read: {error.strerror}") from None
    except (ValidationError, ValueError, KeyError, TypeError):
        raise UserError(f"{report} is not what this version's `mapush doctor --json` prints") from None


def _show(console: Console, findings: List[checks.Finding]) -> None:
    """A table, and below it the remedies, whole, so that their commands can be copied."""
    table = Table()
    for heading in ("check", "status"):
        table.add_column(heading, no_wrap=True)
    table.add_column("found", overflow="fold")
    for finding in findings:
        status = f"[{_COLOURS[finding.status]}]{finding.status.value}[/]"
        table.add_row(finding.check, status, escape(finding.found))
    console.print(table)
    for finding in findings:
        if finding.remedy:
            console.print(f"{finding.check}: {finding.remedy}", highlight=False, markup=False, soft_wrap=True)
