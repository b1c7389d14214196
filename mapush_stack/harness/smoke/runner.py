"""Runs the steps of the smoke test and keeps their results."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from ...errors import UserError
from ...settings import Settings
from ...system.stored_file import StoredFile
from ...system.supervisor import ChildProcess, Terminal
from ..triage import rules
from ..triage.diagnosis import diagnose
from ..triage.log import Log
from ..triage.monitor import crash_environment, monitor
from ..triage.rules import Fact

STEP_SECONDS = 600.0
"""A step that takes longer has failed; the first one on a GPU compiles kernels for about a minute."""
_STOP_SECONDS = 60.0
"""How long a command may take to end after SIGTERM."""


class StepResult(Settings):
    """The result of a step."""

    step: str
    passed: Optional[bool]
    """None: left out, because it needs a step that failed, or does not apply."""
    seconds: float = 0.0
    """With the start and the end of its process."""
    told: str = ""
    """What was measured, or why it failed."""
    log: str = ""


class SmokeResult(Settings):
    """`smoke.json`: the results of all steps."""

    passed: bool
    backend: str
    """Empty for another program."""
    reason: str
    """Why this simulator was used; for another program its command."""
    seconds: float
    steps: List[StepResult]


SMOKE_FILE = StoredFile(SmokeResult)


class StepError(Exception):
    """A step failed; the message says why."""


class StepRunner:
    """Runs steps; `results` has their results so far."""

    def __init__(
        self, folder: Path, announce: Callable[[str], None], tell: Callable[[StepResult], None] = lambda result: None
    ) -> None:
        """`folder` is for logs; `announce` is called with the name of each step that begins, `tell` with its result."""
        self.folder, self.announce, self._tell = folder, announce, tell
        self.results: List[StepResult] = []

    def log(self, name: str) -> Path:
        """The log of a step."""
        return self.folder / f"{name.replace(' ', '-').lower()}.log"

    def step(self, name: str, work: Callable[[Path], str]) -> bool:
        """Run a step: `work` gets the path of its log and returns what to tell; returns whether it passed."""
        self.announce(name)
        log = self.log(name)
        begun = time.monotonic()
        try:
            told, passed = work(log), True
        except StepError as failure:
            told, passed = str(failure), False
        seconds = round(time.monotonic() - begun, 2)
        self.results.append(StepResult(step=name, passed=passed, seconds=seconds, told=told, log=str(log)))
        self._tell(self.results[-1])
        return passed

    def leave_out(self, *names: str) -> None:
        """Say that steps are left out."""
        for name in names:
            self.results.append(StepResult(step=name, passed=None))
            self._tell(self.results[-1])


def make_folder(folder: Path) -> None:
    """Make the folder of a smoke test.

    Raises:
        UserError: it exists or cannot be written.

    """
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"nothing can be written to {folder}: {error.strerror or error}") from None


def from_json(printed: str, log: Path) -> Any:
    """The content of the JSON that a command printed; all that it said is in `log`.

    Raises:
        StepError: it printed something else.

    """
    try:
        return json.loads(printed)
    except ValueError:
        said = " ".join(log.read_text(encoding="utf-8", errors="replace").split())
        raise StepError(f"no JSON was printed, but: {said[-200:]}") from None


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    """0 to 255, or a signal's negative number."""
    seconds: float
    in_time: bool
    """False if it had to be killed."""
    left: List[str]
    """Number and name of each process that it left behind."""
    facts: Dict[Fact, float]

    @property
    def shown_code(self) -> int:
        """The exit code as shells show it."""
        return self.code if self.code >= 0 else 128 - self.code


def run_command(
    command: Sequence[str],
    log: Path,
    seconds: float,
    read: Callable[[bytes], object] = lambda data: None,
    stop: Optional[Callable[[float], bool]] = None,
    cwd: Optional[str] = None,
) -> Ended:
    """Run a command to its end.

    Args:
        command: the program and its arguments.
        log: the file for all that it prints.
        seconds: it is killed after so many, or `_STOP_SECONDS` after SIGTERM.
        read: called with what it prints on standard output.
        stop: called with the seconds since the start; returns true when it is time to send SIGTERM.
        cwd: the folder that it starts in.

    Raises:
        StepError: there is no such program.

    """
    deadline, stopped = seconds, False

    def control(process: ChildProcess) -> None:
        nonlocal deadline, stopped
        if stop is not None and not stopped and stop(process.seconds):
            process.terminate()
            stopped, deadline = True, process.seconds + _STOP_SECONDS
        if process.seconds > deadline:
            process.kill("timeout")

    with log.open("wb", buffering=0) as kept:

        def keep(data: bytes) -> None:
            kept.write(data)
            read(data)

        try:
            process = ChildProcess(
                command, Terminal(keep), Terminal(kept.write), environment=crash_environment(), cwd=cwd
            )
        except OSError as error:
            raise StepError(f"{command[0]} cannot be run: {error.strerror or error}") from None
        with process:
            facts = monitor(process, control).facts
            ended, left = process.seconds, process.left_behind()
    return Ended(process.exit_code, ended, not process.stop_reason, left, facts)


def why(log: Path, ended: Ended) -> str:
    """The reason for a failure, by the rules of triage."""
    diagnosis = diagnose(Log(log.read_bytes()), rules.registered(), ended.code, ended.facts)
    if diagnosis.findings:
        return f"{diagnosis.findings[0].cause} {diagnosis.findings[0].remedy}"
    return "The cause is unknown; it said: " + " | ".join(line.text for line in diagnosis.telling)


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
    command = [sys.executable, "-m", "mapush_stack", *arguments]
    ended = run_command(command, log, STEP_SECONDS, printed.append, stop and (lambda _: stop()))
    if not ended.in_time:
        raise StepError(f"mapush {arguments[0]} did not end in time; it was killed")
    if ended.shown_code not in codes:
        raise StepError(f"mapush {arguments[0]} ended with exit code {ended.shown_code}. {why(log, ended)}")
    if ended.left:
        raise StepError(f"mapush {arguments[0]} left processes behind: {', '.join(ended.left)}")
    return b"".join(printed).decode(errors="replace")
