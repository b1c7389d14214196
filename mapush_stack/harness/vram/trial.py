"""One trial, in its own process: the real training of so many environments, until its rate and its memory are known."""

from __future__ import annotations

import contextlib
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from rich.console import Console

from ...settings import Settings
from ...sim import isaacgym_import
from ...system.atomic import write_json
from ...training import config as configuration
from ...training.config import ExperimentConfig
from ...training.progress import ProgressDisplay

_WARM_UP = {"cuda": 3, "cpu": 1}
"""Updates that are not timed; on a GPU the first ones load kernels and capture graphs."""
_MOST_UPDATES = 1000


class TrialRequest(Settings):
    """What the parent asks for."""

    config: Dict[str, Any]
    """The experiment, its number of environments included."""
    updates: int
    """To be timed."""
    result: str
    """File for the answer."""


class ContactPairs(Settings):
    """Isaac Gym's, as `sim.isaacgym.ContactPairs`."""

    available: int
    used: int
    exact: bool


class TrialResult(Settings):
    """What a trial that ran to its end found."""

    backend: str
    device: str
    fps: float
    """Environment steps of 0.02 s a second, the median over the timed updates."""
    updates: int
    torch_mib: Optional[float]
    """The most that torch's allocator held of a GPU; the rest is the simulator's, CUDA's and its libraries'."""
    host_mib: Optional[float]
    """The most host memory that the process had, as the kernel counted it."""
    contact_pairs: Optional[ContactPairs]


class _Enough(BaseException):
    """The trial knows what it was started for; no library's `except Exception` should keep it."""


class _Measurement(ProgressDisplay):
    """Listens to a training and ends it after the updates that were asked for."""

    def __init__(self, warm_up: int, updates: int, measured: Callable[[List[float]], None]) -> None:
        """`measured` is called with the timed rates, while the simulation is still there."""
        super().__init__(Console(file=sys.stderr), 1)
        self._warm_up, self._updates, self._measured = warm_up, updates, measured
        self._rates: List[float] = []

    def update(self, steps: int, metrics: Dict[str, float], last: bool = False) -> None:
        """An update is done."""
        self._rates.append(metrics["perf/fps"])
        if last or len(self._rates) >= self._warm_up + self._updates:
            self._measured(self._rates[self._warm_up :] or self._rates)
            raise _Enough


def run(path: Path) -> None:
    """Do what the request at `path` says and write the result; how it ends otherwise is the parent's to see.

    Raises:
        UserError: the simulator, the learner or the device is not here.

    """
    request = TrialRequest.model_validate_json(path.read_text(encoding="utf-8"), strict=True)
    config = _endless(configuration.validated(request.config))
    if config.sim.backend == "isaacgym":
        isaacgym_import.require()
    # These import torch, which has to come after Isaac Gym.
    from ...sim import backend
    from ...training import memory, session

    chosen = backend.choose(config.sim)

    def measured(rates: List[float]) -> None:
        result = TrialResult(
            backend=chosen.name,
            device=str(chosen.device),
            fps=statistics.median(rates),
            updates=len(rates),
            torch_mib=_torch_mib(chosen.device),
            host_mib=_host_mib(),
            contact_pairs=_contact_pairs(chosen.name),
        )
        write_json(Path(request.result), result.model_dump(mode="json"))

    measurement = _Measurement(_WARM_UP[chosen.device.type], request.updates, measured)
    with tempfile.TemporaryDirectory() as results, memory.unchecked(), contextlib.suppress(_Enough):
        session.start(config, Path(results), ["mapush", "vram-probe"], measurement)


def _endless(config: ExperimentConfig) -> ExperimentConfig:
    """The experiment, long enough to be measured, with no checkpoint on the way."""
    changes = [f"training.checkpoint_interval={10**12}"]
    if not config.training.stages:
        changes.append(f"training.total_steps={min(config.steps_per_update * _MOST_UPDATES, 10**12)}")
    return configuration.overridden(config, changes)


def _contact_pairs(backend: str) -> Optional[ContactPairs]:
    if backend != "isaacgym":
        return None
    from ...sim import isaacgym

    found = isaacgym.contact_pairs()
    return None if found is None else ContactPairs(**found._asdict())


def _torch_mib(device: Any) -> Optional[float]:
    import torch

    return torch.cuda.max_memory_reserved(device) / 2**20 if device.type == "cuda" else None


def _host_mib() -> Optional[float]:
    """Linux's high-water mark of this process; `getrusage` has the parent's in it."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found.group(1)) / 1024 if found else None
