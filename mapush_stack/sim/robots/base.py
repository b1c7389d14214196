"""What a kind of robot has to say of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Dict, NamedTuple

from torch import Tensor

from ...task.state import SimState
from ..engine import Engine, Path

OBJECT_QPOS, OBJECT_QVEL = 7, 6
"""The object comes first in a scene's joint positions and velocities: one free joint."""


class Bodies(NamedTuple):
    """Bases of robots in the arena frame, each `[..., A, 3]`, as in `SimState`."""

    pos: Tensor
    rpy: Tensor
    lin_vel: Tensor
    ang_vel: Tensor


class Joints(NamedTuple):
    """Joint states of robots."""

    qpos: Tensor
    """`[..., A, positions]`"""
    qvel: Tensor
    """`[..., A, velocities]`"""


class Team(ABC):
    """`num_robots` robots of one kind in each of `num_envs` environments."""

    positions: int
    """Numbers in a robot's joint positions."""
    velocities: int
    """Numbers in a robot's joint velocities."""
    contacts: int
    """Contacts of a robot at once, with room to spare."""

    @abstractmethod
    def add_to(self, spec: Any, name: str, object_friction: float) -> None:
        """Add one robot called `name` to a `mujoco.MjSpec`, for an object with this friction coefficient."""

    @abstractmethod
    def bodies(self, joints: Joints) -> Bodies:
        """The bases that joint states amount to."""

    @abstractmethod
    def start(self, env_ids: Tensor, start: SimState, mask: Tensor) -> Joints:
        """Joint states `[n, A, ...]` of environments `env_ids` whose bases start as in `start` `[n, ...]`.

        Only those where `mask` `[n]` is true do start; the others' joint states are not used.
        """

    @abstractmethod
    def drive(self, engine: Engine, commands: Tensor, repeat: int) -> Path:
        """Follow velocity commands `[N, A, 3]` for `repeat` control steps."""

    def state_dict(self) -> Dict[str, Tensor]:
        """What the robots remember from step to step; most kinds nothing."""
        return {}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:  # noqa: B027 - most kinds remember nothing
        """Restore what `state_dict` returned."""


def split_robots(team: Team, qpos: Tensor, qvel: Tensor) -> Joints:
    """The robots' part of joint states `[..., nq]` and `[..., nv]`, as `[..., A, k]`."""
    return Joints(
        qpos[..., OBJECT_QPOS:].unflatten(-1, (-1, team.positions)),
        qvel[..., OBJECT_QVEL:].unflatten(-1, (-1, team.velocities)),
    )
