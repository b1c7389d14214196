"""The folder of a sweep: `sweep.json`, and `trials/<name>/` with `trial.json`, `state.json`, `trial.log` and the run.

A trial's folder is a results folder like any other: its run lies in it as `mapush/<task>/<algorithm>/...`.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Literal, NamedTuple, Optional, Type, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from ..errors import UserError
from ..settings import Settings
from ..system.atomic import new_directory, write_json
from .request import Trial, TrialName

_SWEEP, _TRIALS, _TRIAL, _STATE, _LOG, _LOCK = "sweep.json", "trials", "trial.json", "state.json", "trial.log", ".lock"
_LOG_TAIL = 8192
"""Bytes at a log's end that surely hold its last line of progress."""
_PROGRESS = re.compile(r"([\d,]+) / ([\d,]+) steps +([\d,]+) FPS +success (?:([\d.]+)%|-)")
_RATE = re.compile(r"\(([\d,]+) FPS\)")

Model = TypeVar("Model", bound=Settings)


class SweepFile(Settings):
    """`sweep.json`: how the sweep was asked for."""

    mapush_stack: str
    """The version that made it."""
    started: str
    command: List[str]
    cwd: str
    """Where the command was given; paths within configurations are relative to it."""
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
    """`CUDA_VISIBLE_DEVICES`, as Ray gave it."""
    seconds: float = 0.0
    """Wall time of all attempts."""
    run: Optional[str] = None
    """The run directory, relative to the trial's."""
    steps: int = 0
    """Environment steps of the last checkpoint."""
    fps: Optional[float] = None
    """Environment steps per second of the last process that trained."""
    train_exit_code: Optional[int] = None
    """Of the last `mapush train`; negative for a signal."""
    evaluate_exit_code: Optional[int] = None
    message: str = ""
    """Why it failed."""
    evaluation: Optional[Dict[str, Any]] = None
    """The row of `mapush evaluate --json`."""


class Progress(NamedTuple):
    """What a training said last."""

    steps: int
    total_steps: int
    fps: float
    success_rate: Optional[float]
    """None until an episode has ended."""


class TrialFolder:
    """One trial's folder. Its state is written by the process that runs it, and by the sweep where that one died."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / _LOG

    @property
    def name(self) -> str:
        """The trial's name."""
        return self.path.name

    def request(self) -> Trial:
        """What the trial is.

        Raises:
            UserError: the file is missing, damaged, or of another version.

        """
        return _read(self.path / _TRIAL, Trial)

    def state(self) -> TrialState:
        """How far it is; waiting where nobody has started it.

        Raises:
            UserError: the file is damaged, or of another version.

        """
        file = self.path / _STATE
        return _read(file, TrialState) if file.is_file() else TrialState()

    def update(self, **changes: Any) -> TrialState:
        """Change fields of the state."""
        changed = self.state().model_copy(update=changes)
        write_json(self.path / _STATE, changed.model_dump(mode="json"))
        return changed

    def progress(self) -> Optional[Progress]:
        """What the training said last, by its log; None before it has said anything."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(self.log.stat().st_size - _LOG_TAIL, 0))
                found = _PROGRESS.findall(file.read().decode(errors="replace"))
        except OSError:
            return None
        if not found:
            return None
        steps, total, fps, success = found[-1]
        return Progress(_int(steps), _int(total), _int(fps), float(success) / 100.0 if success else None)

    def rate(self) -> Optional[float]:
        """Environment steps per second of the last process that trained to its end or a stop."""
        found = _RATE.findall(self.log.read_text(encoding="utf-8", errors="replace"))
        return float(_int(found[-1])) if found else None

    def last_line(self) -> str:
        """The log's last line with something on it."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class SweepFolder:
    """A sweep that exists."""

    def __init__(self, path: Path) -> None:
        """Open the sweep at `path`.

        Raises:
            UserError: there is none, or its file is damaged.

        """
        self.path = path
        if not (path / _SWEEP).is_file():
            raise UserError(f"{path} is not the folder of a sweep: it has no {_SWEEP}")
        self.file = _read(path / _SWEEP, SweepFile)
        self.trials = [TrialFolder(path / _TRIALS / trial.name) for trial in self.file.trials]
        self._lock = FileLock(str(path / _LOCK))

    @classmethod
    def create(cls, path: Path, file: SweepFile, trials: List[Trial]) -> SweepFolder:
        """Make the folder of a new sweep; it appears with everything in it.

        Raises:
            UserError: it exists, or cannot be written.

        """
        if path.exists():
            raise UserError(f"{path} exists; go on with mapush sweep --resume {path}, or choose another --name")
        try:
            with new_directory(path) as temporary:
                write_json(temporary / _SWEEP, file.model_dump(mode="json"))
                for trial in trials:
                    folder = temporary / _TRIALS / trial.name
                    folder.mkdir(parents=True)
                    write_json(folder / _TRIAL, trial.model_dump(mode="json"))
        except OSError as error:
            raise UserError(f"no sweep can be started at {path}: {error.strerror or error}") from None
        return cls(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The sweep belongs to this process for as long as the block lasts.

        Raises:
            UserError: another process runs it, or the folder cannot be written.

        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.path} is being run by another process; wait for it or stop it") from None
        except OSError as error:
            raise UserError(f"{self.path} cannot be gone on with: {error.strerror or error}") from None
        try:
            yield
        finally:
            self._lock.release()

    def unfinished(self) -> List[TrialFolder]:
        """The trials that are not finished, in order.

        Raises:
            UserError: a state file is damaged.

        """
        return [trial for trial in self.trials if trial.state().state != "finished"]

    def states(self) -> List[TrialState]:
        """Every trial's state; one that says that it runs while nobody runs the sweep was interrupted.

        Raises:
            UserError: a state file is damaged.

        """
        states = [trial.state() for trial in self.trials]
        if any(state.state == "running" for state in states) and not self._is_in_use():
            states = [trial.state() for trial in self.trials]  # it may have ended in between
            states = [
                state.model_copy(update={"state": "interrupted"}) if state.state == "running" else state
                for state in states
            ]
        return states

    def _is_in_use(self) -> bool:
        if self._lock.is_locked:
            return True
        try:
            with FileLock(str(self.path / _LOCK)).acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a folder that can only be read
            return False


def contents(path: Path) -> str:
    """`sweep.json` of the sweep at `path` as it can be read here; empty where it cannot."""
    try:
        return (path / _SWEEP).read_text(encoding="utf-8")
    except OSError:
        return ""


def _read(file: Path, model: Type[Model]) -> Model:
    try:
        return model.model_validate_json(file.read_text(encoding="utf-8"), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = " ".join([".".join(map(str, first["loc"])), first["msg"]]).strip()
        raise UserError(f"{file} is damaged or of another version: {reason}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None


def _int(text: str) -> int:
    return int(text.replace(",", ""))
