"""The contract that every simulator keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Dict, Optional

import torch
from torch import Tensor

from ..task.state import SimState


class Simulator(ABC):
    """`num_envs` independent copies of a floor, an object and a team of robots.

    Frames and units are those of `SimState`. A robot takes velocity commands in its heading frame.
    """

    num_envs: int
    """Number of environments N."""
    num_robots: int
    """Robots in an environment A."""
    device: torch.device
    """Where the tensors live."""
    control_dt: float
    """Seconds per control step."""
    counting_waits: bool = False
    """Whether to know how many environments are to be reset means to wait for the device. Then `reset` is better
    called for all environments with a mask than for a few without one."""
    joint_path: Optional[Tensor] = None
    """`[T, N, nq]` joint positions after each control step of the last `step`, for pictures; None where the simulator
    is not a MuJoCo scene. On a GPU the next call may overwrite it."""

    @abstractmethod
    def reset(self, env_ids: Tensor, start: SimState, mask: Optional[Tensor] = None) -> None:
        """Put environments `env_ids` `[n]` into the poses and twists `start` `[n, ...]`.

        Those where `mask` `[n]` is false are left alone; without a mask none is.
        """

    @abstractmethod
    def step(self, commands: Tensor, repeat: int = 1) -> SimState:
        """Hold `commands` `[N, A, 3]` (vx, vy in m/s, yaw rate in rad/s, heading frame) for `repeat` control steps.

        Returns:
            The state after each control step, `[repeat, N, ...]`; on a GPU the next call may overwrite it.

        """

    @abstractmethod
    def state(self) -> SimState:
        """The present state, `[N, ...]`."""

    def joint_positions(self) -> Optional[Tensor]:
        """Present joint positions `[N, nq]`; None where the simulator is not a MuJoCo scene."""
        return None

    @abstractmethod
    def state_dict(self) -> Dict[str, Tensor]:
        """Everything that the next step depends on, so that a resumed simulation continues bit for bit."""

    @abstractmethod
    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned for a simulator with the same configuration."""

    def overflows(self) -> Tensor:
        """How often so far a physics step found no room for an environment's contacts, `[]` int64."""
        return torch.zeros((), dtype=torch.int64, device=self.device)

    def close(self) -> None:  # noqa: B027 - most simulators have nothing to release
        """Release what the simulator holds; may be called twice."""
