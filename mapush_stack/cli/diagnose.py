"""`mapush diagnose`: what is wrong with a run, by its logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from .console import make_console
from .renaming import renaming

if TYPE_CHECKING:
    from ..analysis.diagnosis.diagnosis import Diagnosis, Finding
    from ..analysis.run import LoggedRun

_STYLES = {"severe": "bold red", "remark": "yellow"}
_MARKS = {True: ("+", "green"), False: ("-", "red"), None: ("?", "dim")}


@click.command(name="diagnose")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@renaming
def command(run: Path, as_json: bool, renamed: Dict[str, str]) -> int:
    """Say what is wrong with a run, which numbers show it, and what to change.

    RUN is a run's folder: of this project, HARL, OpenRL, or any with TensorBoard logs; it may still be training. Exits
    with 0 if nothing severe was found, with 1 if something was or nothing could be judged.
    """
    from ..analysis.diagnosis import rules
    from ..analysis.diagnosis.diagnosis import diagnose
    from ..analysis.json_values import json_value
    from ..analysis.run import read

    found = read(run, renamed)
    diagnosis = diagnose(found, rules.load())
    if as_json:
        print(json.dumps({**_head(found), **json_value(diagnosis, not_finite=str)}, indent=2))
    else:
        _tell(make_console(), found, diagnosis)
    return 1 if diagnosis.severe or not diagnosis.judged else 0


def _head(run: LoggedRun) -> Dict[str, Any]:
    fields = ("name", "library", "steps", "axis", "running", "problems")
    return {"path": str(run.path), **{name: getattr(run, name) for name in fields}, "unknown": sorted(run.unknown)}


def _tell(console: Console, run: LoggedRun, diagnosis: Diagnosis) -> None:
    running = ", still running" if run.running else ""
    console.print(Text(f"{run.name} ({run.library}), {run.steps:,} {run.axis}{running}", "bold"))
    for problem in run.problems:
        console.print(Text(f"note: {problem}", "yellow"))
    if run.unmapped:
        console.print(Text(f"note: {run.unmapped}", "yellow"))
    if diagnosis.assumed:
        console.print(Text(f"assumed, as in upstream's published run: {diagnosis.assumed}", "yellow"))
    for finding in diagnosis.findings:
        _tell_finding(console, run, finding)
    if not diagnosis.findings:
        console.print(_nothing(diagnosis))
    console.print()
    width = max(len(tick.title) for tick in diagnosis.checklist)
    for tick in diagnosis.checklist:
        mark, style = _MARKS[tick.met]
        console.print(Text.assemble((mark, style), f" {tick.title:<{width}}  ", (tick.sentence, "dim")))
    if diagnosis.not_judged:
        console.print(Text(f"Not judged: {diagnosis.reasons}", "dim"))


def _tell_finding(console: Console, run: LoggedRun, finding: Finding) -> None:
    style = _STYLES[finding.severity.value]
    console.print()
    console.print(Text.assemble((f"{finding.severity.value}: {finding.title}", style), (f"  [{finding.rule}]", "dim")))
    lines = [Text(finding.sentence), Text(finding.why, "dim")]
    for change in finding.changes:
        now = "" if change.now is None else f" (now {_plain(change.now)})"
        # The fields are those of this project's configuration; others have settings like them.
        lines.append(
            Text.assemble(
                "try, as it is called here, " if run.foreign else "try ",
                (f"{change.field}={_plain(change.value)}", "cyan"),
                f"{now}: {change.why}",
            )
        )
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 2)))


def _plain(value: Any) -> str:
    """A value as it is typed on the command line."""
    return value if isinstance(value, str) else json.dumps(value)


def _nothing(diagnosis: Diagnosis) -> Text:
    """The message for a run without findings; it says if little could be judged."""
    if not diagnosis.judged:
        return Text("Nothing could be judged.", "yellow")
    if diagnosis.short_of_data:
        rules = diagnosis.judged + len(diagnosis.not_judged)
        return Text(f"Nothing found, but only {diagnosis.judged} of {rules} rules could be judged.", "yellow")
    return Text("Nothing found.", "green")
