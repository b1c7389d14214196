"""`mapush triage`: why a run crashed, from its log or from watching it."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, Dict, List, Optional, Sequence

import click

from ..errors import UserError, refuse
from ..harness.triage import report as bug_report
from ..harness.triage import rules, seen
from ..harness.triage.diagnosis import (
    Diagnosis,
    Match,
    MatchedLine,
    Verdict,
    describe_exit,
    describe_fact,
    diagnose,
)
from ..harness.triage.log import Log, is_text
from ..harness.triage.monitor import Sample, run_command
from ..harness.triage.other_logs import look_further
from ..harness.triage.rules import Confidence
from ..system.limits import open_file
from .console import make_console

_MOST_BYTES = 2**28
"""Of a log; of a longer one: tail -c 100M LOG | mapush triage -"""
_SAMPLE = 4096
"""Bytes read to tell text from other files."""


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
@click.option("--report", is_flag=True, help="Print the text of a bug report, without names, secrets and folders.")
def command(
    log: Optional[Path],
    run: Optional[str],
    keep: Optional[Path],
    exit_code: Optional[int],
    signal_name: Optional[str],
    compute_capability: Optional[float],
    gpu_memory: Optional[int],
    as_json: bool,
    report: bool,
) -> int:
    """Say in one paragraph what happened to a run.

    LOG is a file with what the run printed, or "-" for standard input. Exit code 0: the cause is known or nothing went
    wrong; 1: the cause is unknown. With --run, CMD is run without a shell, its output is passed on, the answer follows
    on standard error, and the exit code is that of CMD (128 + N for signal N).
    """
    if (log is None) == (run is None):
        raise UserError("give LOG or --run CMD, one of them; CMD is one quoted word, as in --run 'python train.py'")
    if report and (run is not None or as_json):
        raise UserError("--report goes with LOG and without --json; --run keeps the log of a failed run: give that")
    if run is not None:
        if any(one is not None for one in (exit_code, signal_name, compute_capability, gpu_memory)):
            raise UserError("--run measures exit code, signal, GPU and memory itself; leave those options out")
        return _run(run, keep, as_json)
    if keep is not None or log is None:
        raise UserError("--keep says where --run keeps the log; it goes with --run")
    if signal_name is not None:
        if exit_code is not None:
            raise UserError("--exit-code and --signal both say how it ended; leave one out")
        exit_code = -_signal(signal_name)
    facts = {rules.Fact.COMPUTE_CAPABILITY: compute_capability}
    facts[rules.Fact.GPU_MEMORY] = None if gpu_memory is None else gpu_memory / 100
    known = {fact: value for fact, value in facts.items() if value is not None}
    text = _read(log)
    diagnosis = diagnose(text, rules.registered(), exit_code, known)
    diagnosis = look_further(diagnosis, text, rules.registered(), log.parent)
    if report:
        print(bug_report.write(diagnosis, _paragraph(diagnosis), text, bug_report.versions()))
    else:
        _print_diagnosis(diagnosis, as_json, stderr=False, source=_source(log))
    return 1 if diagnosis.verdict is Verdict.UNKNOWN else 0


def _run(run: str, keep: Optional[Path], as_json: bool) -> int:
    """Run a command and print what happened; returns its exit code."""
    known = rules.registered()
    try:
        words = shlex.split(run)
    except ValueError as error:
        raise UserError(f"--run {run}: {error}") from None
    if not words:
        raise UserError("--run needs a command, such as --run 'mapush train --steps 100000'")
    with _log(keep) as log:
        exit_code, (facts, trace) = run_command(words, log, quiet_stdout=as_json)
        log.seek(0)
        text = Log(io.BufferedReader(io.FileIO(log.fileno(), closefd=False)))
    diagnosis = look_further(diagnose(text, known, exit_code, facts), text, known, Path.cwd())
    _print_diagnosis(diagnosis, as_json, stderr=not as_json, trace=trace, source=_source(keep) if keep else run)
    if keep is not None:
        answer = keep.with_name(keep.name + ".json")
        answer.write_text(_json(diagnosis, trace), encoding="utf-8")
        print(f"log: {keep}; what was measured: {answer}", file=sys.stderr)
    elif diagnosis.verdict is not Verdict.HEALTHY:
        print("log: not kept; --keep FILE keeps it", file=sys.stderr)
    return exit_code if exit_code >= 0 else 128 - exit_code


def _log(keep: Optional[Path]) -> BinaryIO:
    """A new file for a log; one without a name where it is not kept."""
    if keep is None:
        return tempfile.TemporaryFile(buffering=0)
    try:
        return keep.open("w+b", buffering=0)
    except OSError as error:
        refuse(error, f"{keep} cannot be written")


def _read(log: Path) -> Log:
    if str(log) == "-":
        with open(sys.stdin.fileno(), "rb", closefd=False) as file:
            return Log(file)
    with open_file(log, _MOST_BYTES) as file:
        if not is_text(file.peek(_SAMPLE)[:_SAMPLE]):
            raise UserError(f"{log} is no text; give the file that holds what the run printed")
        return Log(file)


def _source(log: Path) -> str:
    return "standard input" if str(log) == "-" else os.path.abspath(str(log))  # noqa: PTH100 (Path.absolute keeps "..")


def _signal(name: str) -> int:
    """The number of a signal given by name or number."""
    names: Dict[str, int] = {one.name[3:]: one.value for one in signal.Signals}
    number = int(name) if name.isdigit() else names.get(name.upper().replace("SIG", "", 1), 0)
    if number not in names.values():
        raise UserError(f"--signal {name} is no signal; give a name or number such as SEGV or 11")
    return number


def _json(diagnosis: Diagnosis, trace: Sequence[Sample], before: Optional[seen.Seen] = None) -> str:
    """The diagnosis as JSON, with the memory over time if the run was watched."""
    plain = {**diagnosis.model_dump(mode="json"), "seen_before": before and before._asdict()}
    if trace:
        plain["trace"] = [sample._asdict() for sample in trace]
    return json.dumps(plain, indent=2)


def _print_diagnosis(
    diagnosis: Diagnosis, as_json: bool, stderr: bool, trace: Sequence[Sample] = (), source: str = ""
) -> None:
    before = seen.recall(diagnosis.fingerprint, source) if diagnosis.fingerprint else None
    if as_json:
        print(_json(diagnosis, trace, before))
        return
    text = _paragraph(diagnosis)
    if before:
        text += f" It was seen before: {before.date}, {before.source}."
    console = make_console(stderr=stderr)
    console.print(text, highlight=False, markup=False, soft_wrap=not console.is_terminal)


def _paragraph(diagnosis: Diagnosis) -> str:
    ended = "" if diagnosis.exit_code is None else f" It ended with {describe_exit(diagnosis.exit_code)}."
    if diagnosis.verdict is Verdict.HEALTHY:
        return f"Nothing says that this run failed.{ended}{''.join(map(_survived, diagnosis.exceptions))}"
    if diagnosis.verdict is Verdict.UNKNOWN:
        return _unknown(diagnosis, ended)
    first, *others = diagnosis.findings
    if first.confidence is Confidence.LOW and others:
        listed = " ".join(f"({number}) {_sentence(match)}" for number, match in enumerate(diagnosis.findings, 1))
        return (
            f"There are {len(diagnosis.findings)} possible causes, the likeliest first. {listed}{_noticed(diagnosis)}"
        )
    return f"{_sentence(first)}{_others(others)}{_noticed(diagnosis)}"


def _survived(exception: MatchedLine) -> str:
    return f" It went on after the exception at line {exception.line}; if that was its end, say so with --exit-code."


def _unknown(diagnosis: Diagnosis, ended: str) -> str:
    if not diagnosis.telling and diagnosis.exit_code is None:
        return f"Unknown: the log is empty; --exit-code or --signal can say how it ended. {_attach(diagnosis)}"
    lines = f"What it said: {_quote(diagnosis.telling)}." if diagnosis.telling else "It printed nothing."
    memory = ", ".join(describe_fact(fact, value) for fact, value in diagnosis.facts.items())
    known = f" Known of it: {memory}." if memory else ""
    named = f" Fingerprint: {diagnosis.fingerprint}." if diagnosis.fingerprint else ""
    return (
        f"Unknown: it failed, and no rule knows why.{ended} {lines}{known}{_noticed(diagnosis)}{named} "
        f"{_attach(diagnosis)}"
    )


def _attach(diagnosis: Diagnosis) -> str:
    return f"`mapush triage LOG --report` writes the text for an issue. It also needs {'; '.join(diagnosis.attach)}."


def _sentence(match: Match) -> str:
    return (
        f"{match.cause} Evidence: {_quote(match.evidence)}. Remedy: {match.remedy} Confidence: "
        f"{match.confidence.value} (rule {match.rule}; {match.source[0]})."
    )


def _others(matches: List[Match]) -> str:
    if not matches:
        return ""
    listed = ", ".join(f"{match.rule} ({match.confidence.value})" for match in matches)
    return f" Other rules that fit: {listed}; --json shows them in full."


def _noticed(diagnosis: Diagnosis) -> str:
    """What was found, but does not explain the end."""
    if not diagnosis.noticed:
        return ""
    return " Also noticed: " + " ".join(f"{one.cause} ({_quote(one.evidence[:1])})." for one in diagnosis.noticed)


def _quote(evidence: List[MatchedLine]) -> str:
    return "; ".join(one.text if one.line is None else f'line {one.line} "{one.text}"' for one in evidence)
