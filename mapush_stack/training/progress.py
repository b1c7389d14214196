"""What a training says while it runs: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from types import TracebackType
from typing import Dict, Optional, Type

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_LINE_INTERVAL = 5.0
"""Seconds between two plain lines."""


class TrainingReport:
    """Shows steps, frames per second, success and time left."""

    def __init__(self, console: Console, total_steps: int) -> None:
        self._console, self._total = console, total_steps
        self._started, self._first_steps, self._last_line = time.monotonic(), 0, -_LINE_INTERVAL
        self._progress: Optional[Progress] = None

    def __enter__(self) -> TrainingReport:
        if self._console.is_terminal:
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

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def start(self, steps: int) -> None:
        """The training goes on from `steps`."""
        self._started, self._first_steps = time.monotonic(), steps

    def update(self, steps: int, metrics: Dict[str, float], last: bool = False) -> None:
        """Show where the training stands."""
        elapsed = time.monotonic() - self._started
        fps = (steps - self._first_steps) / max(elapsed, 1e-9)
        success = metrics.get("mapush/success_rate")
        figures = f"{fps:,.0f} FPS  success {'-' if success is None else f'{success:.1%}'}"
        if self._progress is not None:
            self._progress.update(self._task, completed=min(steps, self._total), figures=figures)
            return
        if not last and elapsed - self._last_line < _LINE_INTERVAL:
            return
        self._last_line = elapsed
        left = timedelta(seconds=round(max(self._total - steps, 0) / max(fps, 1e-9)))
        self.line(f"{steps:>12,} / {self._total:,} steps  {figures}  ETA {left}")

    def line(self, text: str) -> None:
        """Print one line; above the bar where there is one."""
        self._console.print(text, highlight=False, soft_wrap=True)
