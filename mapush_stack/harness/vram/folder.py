"""The folder of a probe: `probe.json` says what is asked, `trials/` holds each trial's record and log."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Literal, Optional, Tuple, Type, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from ...errors import UserError
from ...settings import Settings
from ...system.atomic import new_directory, remove_leftovers, write_json
from .outcome import Outcome
from .trial import TrialResult

_PROBE, _TRIALS, _LOCK = "probe.json", "trials", ".lock"

Model = TypeVar("Model", bound=Settings)


class ProbeSettings(Settings):
    """What is asked for."""

    config: Dict[str, Any]
    """The experiment; its number of environments is the probe's to choose."""
    device: str
    """`cpu` or `cuda:N`."""
    start: int
    growth: float
    max_envs: int
    resolution: float
    limit_mib: Optional[int]
    updates: int
    timeout: float


class Machine(Settings):
    """Where it was measured."""

    name: str
    """Of the card or the processor."""
    total_mib: float
    capacity_mib: float
    """What there was for a trial: what was free, or the limit."""


class ProbeFile(Settings):
    """`probe.json`."""

    mapush_stack: str
    started: str
    command: List[str]
    settings: ProbeSettings
    machine: Machine


class TrialRecord(Settings):
    """A finished trial, `trials/NNN.json`."""

    purpose: Literal["search", "held-out", "contact-pairs"]
    num_envs: int
    multiplier: Optional[int]
    """Of Isaac Gym's contact pairs."""
    outcome: Outcome
    evidence: str
    """What says so."""
    exit_code: int
    peak_mib: float
    measured_by: Literal["process", "device", "rss"]
    seconds: float
    trace: List[Tuple[float, float]]
    """Seconds since the start and MiB."""
    result: Optional[TrialResult]


class ProbeFolder:
    """A probe that exists."""

    def __init__(self, path: Path) -> None:
        """Open the probe at `path`.

        Raises:
            UserError: there is none, or its file is damaged.

        """
        self.path, self._trials = path, path / _TRIALS
        if not (path / _PROBE).is_file():
            raise UserError(f"{path} is not the folder of a probe: it has no {_PROBE}")
        self.file = _read(path / _PROBE, ProbeFile)
        self._lock = FileLock(str(path / _LOCK))

    @classmethod
    def create(cls, path: Path, file: ProbeFile) -> ProbeFolder:
        """Make the folder of a new probe; it appears with its file in it.

        Raises:
            UserError: it exists, or cannot be written.

        """
        if path.exists():
            raise UserError(f"{path} exists; go on with mapush vram-probe --resume {path}, or choose another --out")
        try:
            with new_directory(path) as temporary:
                write_json(temporary / _PROBE, file.model_dump(mode="json"))
                (temporary / _TRIALS).mkdir()
        except OSError as error:
            raise UserError(f"no probe can be started at {path}: {error.strerror or error}") from None
        return cls(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The probe belongs to this process for as long as the block lasts.

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
            remove_leftovers(self._trials)
            yield
        finally:
            self._lock.release()

    def records(self) -> List[TrialRecord]:
        """The finished trials, in order.

        Raises:
            UserError: a record is damaged.

        """
        return [_read(file, TrialRecord) for file in sorted(self._trials.glob("[0-9]*.json"))]

    def add(self, number: int, record: TrialRecord) -> None:
        """Keep a finished trial."""
        write_json(self._trials / f"{number:03d}.json", record.model_dump(mode="json"))

    def log(self, number: int) -> Path:
        """What the trial of this number printed."""
        return self._trials / f"{number:03d}.log"


def _read(file: Path, model: Type[Model]) -> Model:
    try:
        return model.model_validate_json(file.read_text(encoding="utf-8"), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = " ".join([".".join(map(str, first["loc"])), first["msg"]]).strip()
        raise UserError(f"{file} is damaged or of another version: {reason}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
