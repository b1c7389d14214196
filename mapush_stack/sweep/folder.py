"""The folder of a sweep: `sweep.json`, and `trials/NAME/` with `trial.json`, `state.json`, `trial.log` and the run.

A trial's folder is a results folder like any other: its run is `mapush/<task>/<algorithm>/...` in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Literal, Optional

from pydantic import Field, field_validator

from ..errors import UserError
from ..settings import Settings
from ..system.limits import read_tail, read_text
from ..system.stored_file import StoredFile
from ..system.trials_folder import TrialsFolder
from ..training import progress_file
from ..training.progress_file import TrainingProgress
from .request import Trial, TrialName

_SWEEP, _TRIAL, _STATE, _LOG = "sweep.json", "trial.json", "state.json", "trial.log"
FIGURES = ("success_rate", "valid_success_rate", "finished_time", "collaboration_degree")
"""What the table of a sweep shows of an evaluation."""
_MOST = 10**15
"""Of a figure."""
_TAIL = 2**16
"""Bytes at the end of a log that hold its last line."""


class SweepFile(Settings):
    """`sweep.json`: what the sweep was asked for."""

    mapush_stack: str
    """The version that made it."""
    started: str
    command: List[str]
    cwd: str
    """The folder in which the command was given; paths in configurations are relative to it."""
    cpus_per_trial: int
    gpus_per_trial: float
    max_concurrent: Optional[int]
    trials: List[TrialName]
    """In the order in which they start."""


class TrialState(Settings):
    """`state.json`: how far a trial is."""

    state: Literal["waiting", "running", "interrupted", "failed", "finished"] = "waiting"
    attempts: int = 0
    host: str = ""
    gpu: str = ""
    """`CUDA_VISIBLE_DEVICES`, as Ray set it."""
    seconds: float = 0.0
    """Wall time of all attempts."""
    run: Optional[str] = None
    """The run directory, relative to the trial's folder."""
    steps: int = 0
    """Environment steps of the last checkpoint."""
    fps: Optional[float] = Field(None, ge=0, le=_MOST)
    """Environment steps per second of the last process that trained."""
    train_exit_code: Optional[int] = None
    """Of the last `mapush train`; negative for a signal."""
    evaluate_exit_code: Optional[int] = None
    message: str = ""
    """Why it failed."""
    evaluation: Optional[Dict[str, Any]] = None
    """The row of `mapush evaluate --json`."""

    @field_validator("evaluation")
    @classmethod
    def _figures(cls, row: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
        figures = {} if row is None else {name: row.get(name) for name in FIGURES}
        for name, value in figures.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _MOST:
                raise ValueError(f"{name} is not a number, or it is too large")
        return row


SWEEP_FILE, TRIAL_FILE, STATE_FILE = StoredFile(SweepFile), StoredFile(Trial), StoredFile(TrialState)


class TrialFolder:
    """The folder of a trial. The process that runs the trial writes the state; if that dies, the sweep does."""

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.log = path, path.name, path / _LOG

    def request(self) -> Trial:
        """What the trial is.

        Raises:
            UserError: the file cannot be read.

        """
        return TRIAL_FILE.read(self.path / _TRIAL)

    def state(self) -> TrialState:
        """How far it is; "waiting" if nobody has started it.

        Raises:
            UserError: the file cannot be read.

        """
        file = self.path / _STATE
        return STATE_FILE.read(file) if file.is_file() else TrialState()

    def update(self, **changes: Any) -> TrialState:
        """Change fields of the state."""
        changed = self.state().model_copy(update=changes)
        STATE_FILE.write(self.path / _STATE, changed)
        return changed

    def run(self) -> Optional[Path]:
        """The trial's run directory; None before there is one."""
        runs = sorted(self.path.glob("mapush/*/*/*/seed-*"))
        return runs[-1] if runs else None

    def progress(self) -> Optional[TrainingProgress]:
        """How far the training is; None before its first update."""
        run = self.run()
        return None if run is None else progress_file.read(run)

    def last_line(self) -> str:
        """The last line of the log that is not blank."""
        lines = read_tail(self.log, _TAIL).decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class SweepFolder(TrialsFolder[SweepFile]):
    """A sweep that exists."""

    kind, resume, elsewhere = "sweep", "mapush sweep --resume", "--name"
    settings_file, stored = _SWEEP, SWEEP_FILE

    @property
    def trials(self) -> List[TrialFolder]:
        """The folders of its trials, in order."""
        return [TrialFolder(self.trials_path / trial.name) for trial in self.file.trials]

    def unfinished(self) -> List[TrialFolder]:
        """The trials that are not finished, in order.

        Raises:
            UserError: a state file cannot be read.

        """
        return [trial for trial in self.trials if trial.state().state != "finished"]

    def states(self) -> List[TrialState]:
        """The state of every trial; "interrupted" for one that was running when the sweep's process died.

        Raises:
            UserError: a state file cannot be read.

        """
        states = [trial.state() for trial in self.trials]
        if not any(state.state == "running" for state in states) or self.in_use():
            return states
        states = [trial.state() for trial in self.trials]  # the sweep may have ended in between
        return [
            state.model_copy(update={"state": "interrupted"}) if state.state == "running" else state for state in states
        ]


def write_trials(trials: List[Trial], folder: Path) -> None:
    """Make the folders of new trials in `folder`."""
    for trial in trials:
        (folder / trial.name).mkdir()
        TRIAL_FILE.write(folder / trial.name / _TRIAL, trial)


def settings_text(path: Path) -> str:
    """The text of `sweep.json` of the sweep at `path`; empty if it cannot be read."""
    try:
        return read_text(path / _SWEEP)
    except UserError:
        return ""
