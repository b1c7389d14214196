"""Runs a program to its end, and says what its exit code is."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import List, Sequence

from ...errors import UserError
from ...system import closing, exit
from ...system.supervisor import ChildProcess
from . import command_line, runner

_FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
_POLL_SECONDS = 0.1


def run(command: Sequence[str], seconds: float) -> int:
    """Run a command with our terminal and environment; returns its exit code, 128 + N for signal N.

    A Python program that has finished its work keeps the exit code that it had then, whatever happens while it shuts
    down. Of other programs only the end is known. What a program leaves running is ended.

    Args:
        command: the program and its arguments; no shell reads them.
        seconds: how long a Python program's threads and exit handlers, and its shutdown, may take after its last line.

    Raises:
        UserError: there is no such program.

    """
    told, pipe = os.pipe()
    os.set_blocking(told, False)
    news = b""
    try:
        with ChildProcess(
            _words(command, pipe, seconds), None, None, stdin=None, pass_fds=[pipe]
        ) as process, process.forwarding(_FORWARDED):
            due = float("inf")
            while process.running(_POLL_SECONDS):
                if not news:
                    news = _read(told)
                    due = process.seconds + runner.limit(news[1], seconds) if news else due
                if process.seconds > due:
                    process.kill("deadline")
            if process.left_behind():
                exit.reap()
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run: {error.strerror or error}") from None
    finally:
        news += _read(told)
        os.close(told)
        os.close(pipe)
    return _true_code(process, news, seconds)


def _words(command: Sequence[str], pipe: int, seconds: float) -> List[str]:
    """The command, with our runner before a Python program."""
    program = command_line.find(command)
    if program is None:
        return list(command)
    ours = str(Path(runner.__file__).resolve())
    return [*program.interpreter, ours, str(pipe), str(seconds), program.kind, program.target, *program.arguments]


def _read(told: int) -> bytes:
    try:
        return os.read(told, 100)
    except BlockingIOError:
        return b""


def _true_code(process: ChildProcess, news: bytes, seconds: float) -> int:
    """The exit code at the end of the work if the program died or hung after that, else the one that it ended with."""
    code = process.exit_code
    late = process.stop_reason == "deadline"
    if late or (code < 0 and runner.WORK_DONE in news[2:]):
        how = f"did not end within {runner.limit(news[1], seconds):g} s; it was killed"
        died = f"died of signal {-code} ({signal.Signals(-code).name}) while it shut down"
        closing.warn(f"the program had finished with exit code {news[1]} and {how if late else died}")
        return news[1]
    return code if code >= 0 else 128 - code
