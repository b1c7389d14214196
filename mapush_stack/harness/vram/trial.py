"""One trial in its own process: trains so many environments for a few updates and reports rate and memory."""

from __future__ import annotations

import contextlib
import re
import statistics
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional

from rich.console import Console

from ...errors import FaultError
from ...settings import Settings
from ...sim import isaacgym_import
from ...system.atomic import write_json
from ...system.stored_file import StoredFile
from ...training import config as configuration
from ...training.config import ExperimentConfig
from ...training.progress import ProgressDisplay
from ...training.progress_file import TrainingProgress
from ...training.upgrades import StoredConfig

_WARM_UP = {"cuda": 3, "cpu": 1}
"""Updates before the timed ones; on a GPU they load kernels and capture CUDA graphs."""
_MOST_UPDATES = 1000


class TrialRequest(Settings):
    """What the probe asks a trial to do."""

    config: StoredConfig
    """The experiment, with the number of environments of this trial."""
    updates: int
    """Number of timed updates."""
    result: str
    """The file for the `TrialResult`."""


class ContactPairs(Settings):
    """Isaac Gym's room for contact pairs, as `sim.isaacgym.ContactPairs`."""

    available: int
    used: int
    exact: bool


class TrialResult(Settings):
    """What a trial measured."""

    backend: str = ""
    """Empty for another program, which does not say; so is `device`."""
    device: str = ""
    fps: Optional[float]
    """Environment steps per second, median over the timed updates; None if another program does not print it."""
    updates: int
    torch_mib: Optional[float] = None
    """Peak of torch's allocator on a GPU; the simulator, CUDA and its libraries hold the rest."""
    host_mib: Optional[float] = None
    """Peak of the process's host memory, by the kernel's count."""
    contact_pairs: Optional[ContactPairs] = None


class _Measured(BaseException):
    """Ends the training after the measurement; not an `Exception`, which a library might catch."""


class _Measurement(ProgressDisplay):
    """Receives the progress of a training and ends it after the updates that were asked for."""

    def __init__(self, warm_up: int, updates: int, measured: Callable[[List[float]], None]) -> None:
        """`measured` is called with the timed rates before the simulation is closed."""
        super().__init__(Console(file=sys.stderr), 1)
        self._warm_up, self._updates, self._measured = warm_up, updates, measured
        self._rates: List[float] = []

    def update(self, now: TrainingProgress, metrics: Dict[str, float]) -> None:
        """Record the rate of an update."""
        self._rates.append(metrics["perf/fps"])
        if now.steps >= now.total_steps or len(self._rates) >= self._warm_up + self._updates:
            self._measured(self._rates[self._warm_up :] or self._rates)
            raise _Measured


def run(path: Path) -> None:
    """Run the trial of the request at `path` and write its result.

    Raises:
        UserError: the simulator, the learner or the device is missing.
        FaultError: the training cannot go on, for example because memory ran out.

    """
    request = StoredFile(TrialRequest).read(path)
    config = _endless(request.config)
    if config.sim.backend == "isaacgym":
        isaacgym_import.require()
    # These import torch, which must come after Isaac Gym.
    import torch

    from ...training import memory, placement, session

    chosen = placement.place(config)
    device = chosen.device.type

    def measured(rates: List[float]) -> None:
        result = TrialResult(
            backend=chosen.name,
            device=str(chosen.device),
            fps=statistics.median(rates),
            updates=len(rates),
            torch_mib=torch.cuda.max_memory_reserved(chosen.device) / 2**20 if device == "cuda" else None,
            host_mib=_host_mib(),
            contact_pairs=_contact_pairs() if chosen.name == "isaacgym" else None,
        )
        write_json(Path(request.result), result.model_dump(mode="json"))

    measurement = _Measurement(_WARM_UP[device], request.updates, measured)
    # The probe removes the run with the request, also where this process is killed.
    try:
        with memory.unchecked(), contextlib.suppress(_Measured):
            session.start(config, path.parent, ["mapush", "vram-probe"], measurement)
    except FaultError as error:
        raise FaultError(error.fault) from None  # nobody goes on with this run


def _endless(config: ExperimentConfig) -> ExperimentConfig:
    """The experiment, long enough for the measurement and without checkpoints."""
    changes = [f"training.checkpoint_interval={10**12}"]
    if not config.training.stages:
        changes.append(f"training.total_steps={min(config.steps_per_update * _MOST_UPDATES, 10**12)}")
    return configuration.overridden(config, changes)


def _contact_pairs() -> Optional[ContactPairs]:
    from ...sim import isaacgym

    found = isaacgym.contact_pairs()
    return None if found is None else ContactPairs(**found._asdict())


def _host_mib() -> Optional[float]:
    """Linux's peak for this process; `getrusage` would include the parent's."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found.group(1)) / 1024 if found else None
