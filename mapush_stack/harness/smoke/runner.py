"""Runs the steps of the smoke test and keeps their results."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence

from ...settings import Settings
from ...system.stored_file import StoredFile
from ...system.supervisor import ChildProcess, Terminal
from ..triage import rules
from ..triage.diagnosis import diagnose
from ..triage.log import Log
from ..triage.monitor import crash_environment, monitor

_STEP_SECONDS = 600.0
"""A step that takes longer has failed; the first one on a GPU compiles kernels for about a minute."""
_STOP_SECONDS = 60.0
"""How long a command may take to end after SIGTERM."""


class StepResult(Settings):
    """The result of a step."""

    step: str
    passed: Optional[bool]
    """None: left out, because it needs a step that failed."""
    seconds: float = 0.0
    """With the start and the end of its process."""
    told: str = ""
    """What was measured, or why it failed."""
    log: str = ""


class SmokeResult(Settings):
    """`smoke.json`: the results of all steps."""

    passed: bool
    backend: str
    reason: str
    """Why this simulator was used."""
    seconds: float
    steps: List[StepResult]


SMOKE_FILE = StoredFile(SmokeResult)


class StepError(Exception):
    """A step failed; the message says why."""


class StepRunner:
    """Runs steps; `results` has their results so far."""

    def __init__(self, folder: Path, announce: Callable[[str], None]) -> None:
        """`folder` is for logs; `announce` is called with the name of each step that begins."""
        self.folder, self._announce = folder, announce
        self.results: List[StepResult] = []

    def step(self, name: str, work: Callable[[Path], str]) -> bool:
        """Run a step: `work` gets the path of its log and returns what to tell; returns whether it passed."""
        self._announce(name)
        log = self.folder / f"{len(self.results) + 1}-{name.replace(' ', '-').lower()}.log"
        begun = time.monotonic()
        try:
            told, passed = work(log), True
        except StepError as failure:
            told, passed = str(failure), False
        seconds = round(time.monotonic() - begun, 2)
        self.results.append(StepResult(step=name, passed=passed, seconds=seconds, told=told, log=str(log)))
        return passed


def from_json(printed: str) -> Any:
    """The content of the JSON that a command printed.

    Raises:
        StepError: it printed something else.

    """
    try:
        return json.loads(printed)
    except ValueError:
        raise StepError(f"no JSON was printed, but: {' '.join(printed.split())[:200]}") from None


def mapush(log: Path, *arguments: str, codes: Sequence[int] = (0,), stop: Optional[Callable[[], bool]] = None) -> str:
    """Run `mapush ARGUMENTS` to its end; returns what it printed on standard output.

    Args:
        log: the file for all that it prints.
        arguments: of the command line.
        codes: expected exit codes.
        stop: returns true when it is time to send SIGTERM.

    Raises:
        StepError: it ended with another exit code, took too long, or left processes behind.

    """
    printed: List[bytes] = []
    deadline = _STEP_SECONDS
    stopped = False

    def control(process: ChildProcess) -> None:
        nonlocal deadline, stopped
        if stop is not None and not stopped and stop():
            process.terminate()
            stopped, deadline = True, process.seconds + _STOP_SECONDS
        if process.seconds > deadline:
            process.kill("timeout")

    with log.open("wb", buffering=0) as kept:

        def keep(data: bytes) -> None:
            kept.write(data)
            printed.append(data)

        command = [sys.executable, "-m", "mapush_stack", *arguments]
        with ChildProcess(command, Terminal(keep), Terminal(kept.write), environment=crash_environment()) as process:
            facts = monitor(process, control).facts
            left = process.left_behind()
    if process.stop_reason:
        raise StepError(f"mapush {arguments[0]} did not end in time; it was killed")
    code = process.exit_code
    shown = code if code >= 0 else 128 - code
    if shown not in codes:
        diagnosis = diagnose(Log(log.read_bytes()), rules.registered(), code, facts)
        if diagnosis.findings:
            why = f"{diagnosis.findings[0].cause} {diagnosis.findings[0].remedy}"
        else:
            why = "The cause is unknown; it said: " + " | ".join(line.text for line in diagnosis.telling)
        raise StepError(f"mapush {arguments[0]} ended with exit code {shown}. {why}")
    if left:
        raise StepError(f"mapush {arguments[0]} left processes behind: {', '.join(left)}")
    return b"".join(printed).decode(errors="replace")
