"""How much memory a run needs, before anything is allocated, and how much this process holds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import psutil
import torch

from ..errors import UserError
from ..sim.simulators import SIMULATORS, choose
from ..system.machine import available_memory
from .config import ExperimentConfig

_checking = True


@contextmanager
def unchecked() -> Iterator[None]:
    """A block in which runs start whether they seem to fit or not, to measure what fits."""
    global _checking
    _checking = False
    try:
        yield
    finally:
        _checking = True


def check(config: ExperimentConfig, per_decision: int) -> None:
    """Refuse a run that does not fit into the memory of the device that it runs on.

    Args:
        config: the run.
        per_decision: numbers that a rollout holds of one decision of one environment.

    Raises:
        UserError: it needs more memory than is free, or the device cannot be had.

    """
    chosen = choose(config.sim)
    on_gpu = chosen.device.type == "cuda"
    free = torch.cuda.mem_get_info(chosen.device)[0] if on_gpu else available_memory()
    if free is None or not _checking:  # the system does not say how much is free, or nobody wants to know
        return
    sim, length = config.sim, config.training.rollout_length
    # The update works on copies and activations about as large as the buffer.
    needed = sim.num_envs * (SIMULATORS[chosen.name].bytes_per_env + 2 * 4 * length * per_decision)
    if needed > free:
        raise UserError(
            f"sim.num_envs={sim.num_envs} with training.rollout_length={length} needs about {needed / 2**30:.0f} GiB, "
            f"more than the {free / 2**30:.0f} GiB that are free; lower one of them"
        )


def resident_mib() -> float:
    """Host memory that this process holds, MiB."""
    return float(psutil.Process().memory_info().rss) / 2**20
