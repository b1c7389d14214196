"""`mapush triage`: what happened to a run, from its log or from watching it."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import click

from ..errors import UserError
from ..harness.triage import rules
from ..harness.triage.diagnosis import Diagnosis, Evidence, Finding, Verdict, describe_exit, diagnose, say_fact
from ..harness.triage.log import Log, is_text
from ..harness.triage.watch import Sample, watch
from .console import make_console

_SAMPLE = 4096
"""Bytes by which text is told from other files."""


@click.command(name="triage")
@click.argument("log", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--run", "run", metavar="CMD", default=None, help="Run this command, watch it, and say how it ended.")
@click.option(
    "--keep", type=click.Path(path_type=Path), default=None, metavar="FILE", help="Where --run keeps the log."
)
@click.option("--exit-code", type=click.IntRange(-64, 255), default=None, help="Exit code of the process, if known.")
@click.option("--signal", "signal_name", default=None, metavar="NAME", help="Signal that ended it: SEGV, 11, ...")
@click.option("--compute-capability", type=float, default=None, metavar="X.Y", help="Of the GPU that it ran on.")
@click.option("--gpu-memory", type=click.IntRange(0, 100), default=None, metavar="PERCENT", help="In use at the peak.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, and nothing else there.")
def command(
    log: Optional[Path],
    run: Optional[str],
    keep: Optional[Path],
    exit_code: Optional[int],
    signal_name: Optional[str],
    compute_capability: Optional[float],
    gpu_memory: Optional[int],
    as_json: bool,
) -> int:
    """Say in one paragraph what happened to a run.

    LOG is a file of what it printed, "-" standard input; exit code 0 if the cause is known or nothing went wrong, 1 if
    it is unknown. With --run, CMD is run without a shell, its output passes through, the answer follows on stderr,
    and the exit code is CMD's own (128 + N after signal N).
    """
    if (log is None) == (run is None):
        raise UserError("give LOG or --run CMD, one of them; CMD is one quoted word, as in --run 'python train.py'")
    if run is not None:
        if not (exit_code is signal_name is compute_capability is gpu_memory is None):
            raise UserError("--run measures exit code, signal, GPU and memory itself; leave those options out")
        return _run(run, keep, as_json)
    if keep is not None:
        raise UserError("--keep says where --run keeps the log; it goes with --run")
    if signal_name is not None:
        if exit_code is not None:
            raise UserError("--exit-code and --signal both say how it ended; leave one out")
        exit_code = -_signal(signal_name)
    facts = {rules.Fact.COMPUTE_CAPABILITY: compute_capability}
    facts[rules.Fact.GPU_MEMORY] = None if gpu_memory is None else gpu_memory / 100
    known = {fact: value for fact, value in facts.items() if value is not None}
    diagnosis = diagnose(_read(log), rules.load(), exit_code, known)
    _tell(diagnosis, as_json, stderr=False)
    return 1 if diagnosis.verdict is Verdict.UNKNOWN else 0


def _run(run: str, keep: Optional[Path], as_json: bool) -> int:
    """Run a command, then say what happened; returns its exit code."""
    known = rules.load()
    try:
        words = shlex.split(run)
    except ValueError as error:
        raise UserError(f"--run {run}: {error}") from None
    if not words:
        raise UserError("--run needs a command, such as --run 'mapush train --steps 100000'")
    log = keep or Path(tempfile.mkdtemp(prefix="mapush-triage-")) / "log.txt"
    watched = watch(words, log, quiet_stdout=as_json)
    diagnosis = diagnose(_read(log), known, watched.exit_code, watched.facts)
    _tell(diagnosis, as_json, stderr=not as_json, trace=watched.trace)
    if keep is None and diagnosis.verdict is Verdict.HEALTHY:
        shutil.rmtree(str(log.parent))
    else:
        answer = log.with_name(log.name + ".json")
        answer.write_text(_json(diagnosis, watched.trace), encoding="utf-8")
        print(f"log: {log}; what was measured: {answer}", file=sys.stderr)
    return watched.exit_code if watched.exit_code >= 0 else 128 - watched.exit_code


def _read(log: Path) -> Log:
    if str(log) == "-":
        return Log(sys.stdin.buffer)
    try:
        with log.open("rb") as file:
            if not is_text(file.peek(_SAMPLE)[:_SAMPLE]):
                raise UserError(f"{log} is no text; give the file that holds what the run printed")
            return Log(file)
    except OSError as error:
        raise UserError(f"{log} cannot be read: {error.strerror}; give the file that holds the run's output") from None


def _signal(name: str) -> int:
    """The number of a signal by its name or number."""
    names: Dict[str, int] = {one.name[3:]: one.value for one in signal.Signals}
    number = int(name) if name.isdigit() else names.get(name.upper().replace("SIG", "", 1), 0)
    if number not in names.values():
        raise UserError(f"--signal {name} is no signal; give a name or number such as SEGV or 11")
    return number


def _json(diagnosis: Diagnosis, trace: Sequence[Sample]) -> str:
    """The answer and, where the run was watched, its memory over time."""
    told = diagnosis.model_dump(mode="json")
    return json.dumps({**told, "trace": [sample._asdict() for sample in trace]} if trace else told, indent=2)


def _tell(diagnosis: Diagnosis, as_json: bool, stderr: bool, trace: Sequence[Sample] = ()) -> None:
    if as_json:
        print(_json(diagnosis, trace))
        return
    console = make_console(stderr=stderr)
    console.print(_paragraph(diagnosis), highlight=False, markup=False, soft_wrap=not console.is_terminal)


def _paragraph(diagnosis: Diagnosis) -> str:
    ended = "" if diagnosis.exit_code is None else f" It ended with {describe_exit(diagnosis.exit_code)}."
    if diagnosis.verdict is Verdict.HEALTHY:
        return f"Nothing says that this run failed.{ended}{''.join(map(_survived, diagnosis.exceptions))}"
    if diagnosis.verdict is Verdict.UNKNOWN:
        return _unknown(diagnosis, ended)
    first, *others = diagnosis.findings
    return f"{_sentence(first)}{_others(others)}"


def _survived(exception: Evidence) -> str:
    return f" It went on after the exception at line {exception.line}; if that was its end, say so with --exit-code."


def _unknown(diagnosis: Diagnosis, ended: str) -> str:
    if not diagnosis.last_lines and diagnosis.exit_code is None:
        return f"Unknown: the log is empty; --exit-code or --signal can say how it ended. {_report(diagnosis)}"
    lines = f"Its last lines: {_quote(diagnosis.last_lines)}." if diagnosis.last_lines else "It printed nothing."
    memory = ", ".join(say_fact(fact, value) for fact, value in diagnosis.facts.items())
    known = f" Known of it: {memory}." if memory else ""
    return f"Unknown: it failed, and no rule knows why.{ended} {lines}{known} {_report(diagnosis)}"


def _report(diagnosis: Diagnosis) -> str:
    return f"A report needs {'; '.join(diagnosis.attach)}."


def _sentence(finding: Finding) -> str:
    return (
        f"{finding.cause} Evidence: {_quote(finding.evidence)}. Remedy: {finding.remedy} Confidence: "
        f"{finding.confidence.value} (rule {finding.rule}; {finding.source[0]})."
    )


def _others(findings: List[Finding]) -> str:
    if not findings:
        return ""
    told = ", ".join(f"{finding.rule} ({finding.confidence.value})" for finding in findings)
    return f" What fits too: {told}; --json has all of it."


def _quote(evidence: List[Evidence]) -> str:
    return "; ".join(one.text if one.line is None else f'line {one.line} "{one.text}"' for one in evidence)
