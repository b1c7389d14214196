"""Whether a run fits into memory, before anything is allocated; how much it has taken."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Optional

import psutil
import torch

from ..errors import UserError
from ..sim import backend
from ..sim.simulators import SIMULATORS
from ..system.machine import available_memory
from .config import ExperimentConfig

_checking = True


@contextmanager
def unchecked() -> Iterator[None]:
    """While this is active runs start whether they seem to fit or not: for whoever measures what does."""
    global _checking
    _checking = False
    try:
        yield
    finally:
        _checking = True


def check(config: ExperimentConfig, observation_size: int, state_numbers: int) -> None:
    """Refuse a run that does not fit into the memory of the device that it runs on.

    Args:
        config: the run.
        observation_size: numbers in a robot's observation.
        state_numbers: numbers of the critic's state, all values together.

    Raises:
        UserError: it needs more memory than is free, or the device cannot be had.

    """
    chosen = backend.choose(config.sim)
    free = _free(chosen.device) if _checking else None
    if free is None:
        return
    sim, length = config.sim, config.training.rollout_length
    per_decision = config.object.task.num_robots * (observation_size + 6) + 2 * state_numbers + 2
    # The update works on copies and activations about as large as the buffer.
    needed = sim.num_envs * (SIMULATORS[chosen.name].bytes_per_env + 2 * 4 * length * per_decision)
    if needed > free:
        raise UserError(
            f"sim.num_envs={sim.num_envs} with training.rollout_length={length} needs about {needed / 2**30:.0f} GiB, "
            f"more than the {free / 2**30:.0f} GiB that are free; lower one of them"
        )


def resident_mib() -> float:
    """Host memory that this process holds, MiB."""
    return psutil.Process().memory_info().rss / 2**20


def _free(device: torch.device) -> Optional[int]:
    """Free bytes where a run's tensors lie, None where nobody says."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
