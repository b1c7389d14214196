"""Whether a run fits into memory, before anything is allocated."""

from __future__ import annotations

from ..errors import UserError
from ..machine import available_memory
from .config import ExperimentConfig

_BYTES_PER_ENV = 40_000
"""State row, frictions and episode bookkeeping of one environment, rounded up."""


def check(config: ExperimentConfig, observation_size: int, state_numbers: int) -> None:
    """Refuse a rollout buffer that does not fit.

    Args:
        config: the run.
        observation_size: numbers in a robot's observation.
        state_numbers: numbers of the critic's state, all values together.

    Raises:
        UserError: it needs more memory than is free.

    """
    free = available_memory()
    if free is None:
        return
    sim, length = config.sim, config.training.rollout_length
    per_decision = config.object.task.num_robots * (observation_size + 6) + 2 * state_numbers + 2
    # The update works on copies and activations about as large as the buffer.
    needed = sim.num_envs * (_BYTES_PER_ENV + 2 * 4 * length * per_decision)
    if needed > free:
        raise UserError(
            f"sim.num_envs={sim.num_envs} with training.rollout_length={length} needs about {needed / 2**30:.0f} GiB, "
            f"more than the {free / 2**30:.0f} GiB that are free; lower one of them"
        )
