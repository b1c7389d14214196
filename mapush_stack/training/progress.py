"""How far a training is: a bar or lines for people, a small JSON file for programs."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Dict, Literal, Optional

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from . import progress_file
from .config import ExperimentConfig
from .progress_file import TrainingProgress

_LINE_INTERVAL = 5.0
"""Seconds between two plain lines."""
_FILE_INTERVAL = 1.0
"""Seconds between two versions of the file."""


class ProgressDisplay:
    """Shows steps, frames per second, success and time left: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, total_steps: int) -> None:
        self._console, self._total, self._last_line = console, total_steps, -_LINE_INTERVAL
        self._progress: Optional[Progress] = None

    def __enter__(self) -> ProgressDisplay:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._progress = Progress(
                TextColumn("training"),
                BarColumn(),
                TaskProgressColumn(),
                MofNCompleteColumn(),
                TextColumn("steps  {task.fields[figures]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._progress.add_task("training", total=self._total, figures="")
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, config: ExperimentConfig) -> None:
        """Called before the first line, with what is trained from now on; it is not shown here."""

    def update(self, now: TrainingProgress, metrics: Dict[str, float]) -> None:
        """Show where the training stands; `metrics` are everything that is logged of the update."""
        steps, success = now.steps, now.success_rate
        figures = f"{now.fps:,.0f} FPS  success {'-' if success is None else f'{success:.1%}'}"
        if self._progress is not None:
            self._progress.update(self._task, completed=min(steps, self._total), figures=figures)
            return
        if steps < self._total and now.seconds - self._last_line < _LINE_INTERVAL:
            return
        self._last_line = now.seconds
        left = timedelta(seconds=round(max(self._total - steps, 0) / max(now.fps, 1e-9)))
        self.line(f"{steps:>12,} / {self._total:,} steps  {figures}  ETA {left}")

    def line(self, text: str) -> None:
        """Print one line; above the bar where there is one."""
        self._console.print(text, highlight=False, soft_wrap=True)


class ProgressFile:
    """Writes `progress.json` of a run while a process trains it."""

    def __init__(self, run: Optional[Path], steps: int, total_steps: int) -> None:
        """Begin at `steps`; without the folder of a run nothing is written."""
        self._run, self._first_steps = run, steps
        self._started, self._written = time.monotonic(), 0.0
        self._known: Dict[str, Any] = {"steps": steps, "total_steps": total_steps, "fps": 0.0, "success_rate": None}
        self._write("training")

    def update(self, steps: int, metrics: Dict[str, float]) -> TrainingProgress:
        """Where the training stands after an update; it is written if the file is a second old."""
        seconds = time.monotonic() - self._started
        rate = metrics.get("mapush/success_rate", math.nan)
        fps = (steps - self._first_steps) / max(seconds, 1e-9)
        self._known.update(steps=steps, fps=fps, success_rate=rate if math.isfinite(rate) else None)
        if seconds - self._written >= _FILE_INTERVAL:
            self._written = seconds
            self._write("training")
        return TrainingProgress(**self._known, seconds=seconds, state="training")

    def end(self, state: Literal["stopped", "finished"]) -> None:
        """Write the last version: the training was stopped, or has finished."""
        self._write(state)

    def _write(self, state: Literal["training", "stopped", "finished"]) -> None:
        if self._run is not None:
            progress = TrainingProgress(**self._known, seconds=time.monotonic() - self._started, state=state)
            progress_file.FILE.write(self._run / progress_file.NAME, progress)
