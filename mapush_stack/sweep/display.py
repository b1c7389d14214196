"""What `mapush sweep` shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import List, Tuple

from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from ..system.signals import StopRequest
from .folder import TrialFolder

_LINE_SECONDS = 30.0
"""Seconds between two rounds of plain lines."""


class SweepDisplay:
    """Shows how far each running trial is, and how each trial ended."""

    def __init__(self, console: Console, stop: StopRequest) -> None:
        self._console, self._stop, self._stop_shown = console, stop, False
        redraws = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False, transient=True) if redraws else None
        self._last_lines = time.monotonic()

    def __enter__(self) -> SweepDisplay:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, given: List[TrialFolder], ended: List[TrialFolder], waiting: int) -> None:
        """Show the state of the sweep.

        Args:
            given: trials that Ray has.
            ended: trials that have ended since the last call.
            waiting: trials that Ray does not have yet.

        """
        for trial in ended:
            self.line(_end(trial))
        if self._stop.signal_number and not self._stop_shown:
            self._stop_shown = True
            self.line("stopping: the running trials write their checkpoints; the same signal again ends all at once")
        due = time.monotonic() - self._last_lines >= _LINE_SECONDS
        if self._live is None and not due:
            return
        running = [trial for trial in given if trial.state().state == "running"]
        figures = [(trial.name, *_figures(trial)) for trial in running]
        count = f"{len(running)} running, {len(given) - len(running) + waiting} waiting"
        if self._live is not None:
            self._live.update(Group(_table(figures), Text(count)), refresh=True)
            return
        self._last_lines = time.monotonic()
        for name, steps, rate, success in figures:
            self.line(f"  {name}  {steps} steps  {rate} FPS  success {success}")
        self.line(f"  {count}")

    def line(self, text: str) -> None:
        """Print one line; above the table where there is one."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def _table(figures: List[Tuple[str, str, str, str]]) -> Table:
    table = Table("running", *(Column(heading, justify="right") for heading in ("steps", "FPS", "success")))
    for row in figures:
        table.add_row(*row)
    return table


def _figures(trial: TrialFolder) -> Tuple[str, str, str]:
    """Environment steps done and to do, their rate, and the success rate; each "-" if it is not known yet."""
    progress = trial.progress()
    if progress is None:
        return "-", "-", "-"
    success = "-" if progress.success_rate is None else f"{progress.success_rate:.1%}"
    return f"{progress.steps:,} / {progress.total_steps:,}", f"{progress.fps:,.0f}", success


def _end(trial: TrialFolder) -> str:
    """The line that says how a trial ended."""
    state = trial.state()
    if state.state == "finished" and state.evaluation:
        row = state.evaluation
        return (
            f"finished  {trial.name}  success {row['success_rate']:.1%}  {state.steps:,} steps  {state.seconds:.0f} s"
        )
    if state.state == "failed":
        return f"failed  {trial.name}: {state.message}; see {trial.log}"
    if state.state == "interrupted":
        return f"interrupted  {trial.name} at {state.steps:,} steps"
    return f"not started  {trial.name}"
