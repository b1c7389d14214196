"""Several steps of the smoke test in one process, which imports and loads everything once: both ends of it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Callable, Iterator, List, Sequence

from ...system import closing, exit
from .runner import STEP_SECONDS, Ended, StepError, StepResult, StepRunner, run_command, why

_BEGINS = "begins "
"""Starts the line that names a step; a line with its `StepResult` follows when it ends."""


def follow(runner: StepRunner, names: Sequence[str], options: Sequence[str]) -> None:
    """Let another process run the steps `names`, and add their results to those of `runner`.

    If that process ends within a step, this step has failed, and those after it are left out.

    Args:
        runner: of the smoke test.
        names: in order.
        options: of each training.

    """
    results: List[StepResult] = []
    running, rest = "", b""

    def read(data: bytes) -> None:
        nonlocal running, rest
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            text = line.decode()
            if text.startswith(_BEGINS):
                running = text[len(_BEGINS) :]
                runner.announce(running)
            else:
                results.append(StepResult.model_validate_json(text))
                running = ""

    log = runner.log("learning")
    command = [sys.executable, "-m", "mapush_stack.cli.smoke_learning", str(runner.folder), *options]
    ended = run_command(command, log, STEP_SECONDS, read)
    if running:
        log = runner.log(running)
        _gather(log)
    told = "" if ended.in_time else "it did not end in time; it was killed"
    if ended.code:
        told = told or f"it ended with exit code {ended.shown_code}. {why(log, ended)}"
    elif ended.left:
        told = f"left processes behind: {', '.join(ended.left)}"
    missing = names[len(results) :]
    runner.results += results
    if told or missing:
        failed = missing[0] if missing else "end of these"
        runner.results.append(StepResult(step=failed, passed=False, told=told or "it did not begin", log=str(log)))
        runner.leave_out(*missing[1:])


def report(
    folder: Path, learn: Callable[[StepRunner, Callable[..., str]], None], main: Callable[[List[str]], int]
) -> None:
    """The other end: run the steps, and print what `follow` reads.

    Args:
        folder: of the smoke test.
        learn: runs the steps, with a runner and a function that runs a command.
        main: `mapush`, a function of its arguments that returns the exit code.

    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)

    def mapush(log: Path, *arguments: str) -> str:
        with _redirected(log):
            code = exit.outcome(lambda: main(list(arguments)))
            closing.close_all()
        printed = _gather(log)
        if code:
            ended = Ended(code, 0.0, in_time=True, left=[], facts={})
            raise StepError(f"mapush {arguments[0]} ended with exit code {code}. {why(log, ended)}")
        return printed

    def announce(name: str) -> None:
        print(f"{_BEGINS}{name}", file=answers)

    def tell(result: StepResult) -> None:
        print(result.model_dump_json(), file=answers)

    learn(StepRunner(folder, announce, tell), mapush)


@contextlib.contextmanager
def _redirected(log: Path) -> Iterator[None]:
    """Within the block this process prints to files: errors to `log`, the rest to one beside it."""
    kept = [os.dup(1), os.dup(2)]
    try:
        for number, path in ((1, _beside(log)), (2, log)):
            new = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(new, number)
            os.close(new)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in zip((1, 2), kept):
            os.dup2(old, number)
            os.close(old)


def _beside(log: Path) -> Path:
    return log.with_suffix(".out")


def _gather(log: Path) -> str:
    """Put what was printed before what was said of errors in the log; returns what was printed."""
    printed, errors = (path.read_bytes() if path.exists() else b"" for path in (_beside(log), log))
    log.write_bytes(printed + errors)
    with contextlib.suppress(FileNotFoundError):
        _beside(log).unlink()
    return printed.decode(errors="replace")
