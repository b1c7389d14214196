"""The smoke test of any training program: it starts, logs, writes checkpoints and ends cleanly, in time."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from pathlib import Path
from typing import Callable, List, Optional

from ..programs import Program
from .runner import SMOKE_FILE, Ended, SmokeResult, StepError, StepResult, StepRunner, make_folder, run_command, why

_LOGS = ["**/events.out.tfevents*", "**/*.csv", "**/*.jsonl", "**/*.wandb"]
_TRACEBACK = "Traceback (most recent call last)"
_ENDINGS = ("pt", "pth", "ckpt", "safetensors", "zip", "h5", "onnx", "msgpack", "npz", "pkl")
_CHECKPOINTS = [f"**/*.{ending}" for ending in _ENDINGS]
_COUNTS = "step|timestep|episode|epoch|iteration|iter|update|fps|loss|reward|return"
_NUMBERS = rf"(?im)^\W*[a-z_][\w/ .-]*[:=|][ |]*-?\d|\b({_COUNTS})s?\b[^\n]{{0,20}}\d"
"""A printed line with a name and its number, or with a word of training and a number."""


def run(folder: Path, program: Program, seconds: float, announce: Callable[[str], None]) -> SmokeResult:
    """Run the program once, shortly, and say for each step whether it passed.

    Args:
        folder: for the log and `smoke.json`; must not exist.
        program: its short run.
        seconds: it must have ended after so many.
        announce: called with the name of each step that begins.

    Raises:
        UserError: nothing can be written to the folder.

    """
    make_folder(folder)
    words = program.words(program.num_envs, program.steps)
    runner = StepRunner(folder, announce)
    trial = _Trial(folder, program)
    runner.step("starts", lambda log: trial.run(words, log, seconds))
    if trial.ended is not None:
        runner.step("logs", lambda log: trial.logs())
        if program.checkpoint == []:
            runner.results.append(StepResult(step="checkpoints", passed=None, told="a short run writes none"))
        else:
            runner.step("checkpoints", lambda log: trial.checkpoints())
        runner.step("ends clean", lambda log: trial.ends(seconds))
    result = SmokeResult(
        passed=all(one.passed is not False for one in runner.results),
        backend="",
        reason=" ".join(words),
        seconds=0.0 if trial.ended is None else trial.ended.seconds,
        steps=[one.model_copy(update={"log": str(trial.log)}) for one in runner.results],
    )
    SMOKE_FILE.write(folder / "smoke.json", result)
    return result


class _Trial:
    """One run of the program, and what is there to see afterwards."""

    def __init__(self, folder: Path, program: Program) -> None:
        self._program, self._folder, self._own = program, Path(program.folder or ".").resolve(), folder.resolve()
        self._began, self._printed = 0.0, ""
        self.log = folder
        self.ended: Optional[Ended] = None

    def run(self, words: List[str], log: Path, seconds: float) -> str:
        """Run it to its end; SIGTERM ends it if that takes too long."""
        self.log = log
        log.write_bytes(b"")
        self._began = log.stat().st_ctime  # by the clock of files
        ended = run_command(words, log, seconds, stop=lambda now: now > seconds, cwd=str(self._folder))
        self.ended, self._printed = ended, log.read_text(encoding="utf-8", errors="replace")
        if self._program.ready and not re.search(self._program.ready, self._printed):
            raise StepError(f"no line matched {self._program.ready}. {why(log, ended)}")
        if ended.code and not self._numbers() and not self._new(_LOGS):
            raise StepError(f"it ended with exit code {ended.shown_code}. {why(log, ended)}")
        return f"{self._printed.count(chr(10)):,} lines printed"

    def logs(self) -> str:
        """Its event files, or else the lines with numbers."""
        files, numbers = self._new(_LOGS), self._numbers()
        if not files and not numbers:
            kind = f"that matches {self._program.rate}" if self._program.rate else "with a number"
            raise StepError(f"it wrote no event file in {self._folder}, and printed no line {kind}")
        return f"{len(files)} files, such as {files[0]}" if files else f"{numbers} lines with numbers"

    def checkpoints(self) -> str:
        """The files that look like checkpoints."""
        patterns = self._program.checkpoint or _CHECKPOINTS
        files = self._new(patterns)
        if not files:
            raise StepError(
                f"no new file in {self._folder} is called {' or '.join(patterns)}: --checkpoint names others"
            )
        return f"{len(files)} files, such as {files[0]}"

    def ends(self, seconds: float) -> str:
        """How it ended."""
        ended = self.ended
        assert ended is not None
        if ended.seconds > seconds:
            how = "" if ended.in_time else ", also a minute after SIGTERM"
            raise StepError(f"it was still running after {seconds:g} s{how}: give it fewer steps, or more --seconds")
        if ended.code:
            hint = (
                ""
                if ended.code > 0
                else " If its work was done, `mapush guard -- PROGRAM` gives the exit code of that."
            )
            raise StepError(f"it ended with exit code {ended.shown_code}. {why(self.log, ended)}{hint}")
        if ended.left:
            raise StepError(f"it left processes behind: {', '.join(ended.left)}")
        return "exit code 0, no process left"

    def _numbers(self) -> int:
        """How many lines with the rate, or else with any number, were printed."""
        failed = self.ended is not None and self.ended.code != 0
        printed = self._printed.partition(_TRACEBACK)[0] if failed else self._printed
        return sum(1 for _ in re.finditer(self._program.rate or _NUMBERS, printed))

    def _new(self, patterns: List[str]) -> List[str]:
        """Files of these names that were written since the start, in the program's folder; none of ours, none empty."""
        found, root = set(), glob.escape(str(self._folder))
        for pattern in patterns:
            for name in glob.iglob(os.path.join(root, pattern), recursive=True):  # noqa: PTH118, PTH207  # may be absolute
                path = Path(name)
                with contextlib.suppress(OSError):  # deleted just now
                    status = path.stat()
                    fresh = status.st_ctime >= self._began and status.st_size > 0 and path.is_file()
                    if fresh and self._own not in path.resolve().parents:
                        found.add(os.path.relpath(name, str(self._folder)))
        return sorted(found)
