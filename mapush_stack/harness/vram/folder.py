"""The folder of a probe: `probe.json` says what was asked for, `trials/` holds a record and a log of each trial."""

from __future__ import annotations

from pathlib import Path
from typing import List, Literal, Optional, Tuple

from pydantic import Field

from ...presets import the_object
from ...settings import Settings
from ...system.stored_file import StoredFile
from ...system.trials_folder import TrialsFolder
from ...training.upgrades import StoredConfig
from ..programs import Program
from .outcome import Outcome
from .trial import TrialResult

Purpose = Literal["search", "held-out", "contact-pairs"]
"""Finding the limit, checking the fit at a size that it does not use, or trying Isaac Gym's room for contact pairs."""
Method = Literal["process", "device", "rss"]
"""How memory was measured: NVML, for the process; NVML, growth of the card's use; resident memory of the host."""


class ProbeSettings(Settings):
    """What was asked for."""

    config: Optional[StoredConfig]
    """The experiment; the probe chooses its number of environments. None for another program."""
    program: Optional[Program] = None
    """The program that is probed instead of `mapush train`."""
    device: str
    """`cpu` or `cuda:N`."""
    start: int
    growth: float
    max_envs: int
    resolution: float
    limit_mib: Optional[int]
    updates: int
    timeout: float

    @property
    def sweeps_contact_pairs(self) -> bool:
        """Whether Isaac Gym's room for contact pairs is varied."""
        if self.program is not None:
            return self.program.contact_pairs
        return self.config is not None and self.config.sim.backend == "isaacgym"

    @property
    def subject(self) -> str:
        """What is probed, in words."""
        if self.config is None:
            return self.program.run if self.program is not None else ""
        robots, pushed = " and ".join(dict.fromkeys(self.config.team_kinds)), the_object(self.config.object.name)
        return f"{self.config.learner.algorithm.upper()} · {robots} robots push {pushed}"


class Machine(Settings):
    """The machine of the measurement."""

    name: str
    """Of the card or the processor."""
    total_mib: float
    capacity_mib: float
    """What a trial may use: the memory that was free, or the limit."""


class ProbeFile(Settings):
    """`probe.json`."""

    mapush_stack: str
    started: str
    command: List[str]
    settings: ProbeSettings
    machine: Machine


class TrialRecord(Settings):
    """A finished trial, `trials/NNN.json`."""

    purpose: Purpose
    num_envs: int
    multiplier: Optional[int]
    """Of Isaac Gym's contact pairs; None for other simulators."""
    outcome: Outcome
    evidence: str
    """Why this outcome."""
    exit_code: int
    peak_mib: float
    measured_by: Method
    seconds: float
    trace: List[Tuple[float, float]] = Field(default=[])
    """Seconds since the start and MiB; `vram.json` leaves it out."""
    result: Optional[TrialResult]


PROBE_FILE, RECORD_FILE = StoredFile(ProbeFile), StoredFile(TrialRecord)


class ProbeFolder(TrialsFolder[ProbeFile]):
    """A probe that exists."""

    kind, resume, elsewhere = "probe", "mapush vram-probe --resume", "--out"
    settings_file, stored = "probe.json", PROBE_FILE

    def records(self) -> List[TrialRecord]:
        """The finished trials, in order.

        Raises:
            UserError: a record cannot be read.

        """
        return [RECORD_FILE.read(file) for file in sorted(self.trials_path.glob("[0-9]*.json"))]

    def add(self, number: int, record: TrialRecord) -> None:
        """Keep the record of a finished trial."""
        RECORD_FILE.write(self.trials_path / f"{number:03d}.json", record)

    def log(self, number: int) -> Path:
        """The file for what the trial of this number prints."""
        return self.trials_path / f"{number:03d}.log"
