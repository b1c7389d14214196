"""The contract that every simulator keeps, and the registry of simulators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..registry import Registry
from ..task.obstacle_config import ObstacleConfig
from ..task.obstacles import Layout
from ..task.robot import RobotTask
from ..task.state import SimState
from .config import ObjectBody, SimConfig
from .family import Shapes


class Simulator(ABC):
    """`num_envs` independent copies of a floor, an object and a team of robots.

    Frames and units are those of `SimState`. A robot takes velocity commands in its heading frame.
    """

    num_envs: int
    """Number of environments N."""
    robots: Tuple[RobotTask, ...]
    """What the task knows of each of the A robots of an environment."""
    device: torch.device
    """Where the tensors live."""
    joint_path: Optional[Tensor] = None
    """`[T, N, nq]` joint positions after each control step of the last `step`, for pictures; None where the simulator
    is not a MuJoCo scene. On a GPU the next call may overwrite it."""
    work_path: Optional[Tensor] = None
    """`[T, N, A]` work of each robot on the object in each control step of the last `step`, J; None if not measured."""
    outlines: Optional[Tensor] = None
    """`[N, V, 2]` outline of each environment's object in its own frame, counter-clockwise, m; None if it is the one
    that the task is configured for."""
    measures_work: bool = False
    """True if `step` measures the robots' work."""
    masked_reset: bool = False
    """True if `reset` is to be called for all environments with a mask, because to pick those that ended would wait for
    the GPU; else it is called for these alone."""

    @property
    def num_robots(self) -> int:
        """Robots in an environment, A."""
        return len(self.robots)

    @abstractmethod
    def reset(self, env_ids: Tensor, start: SimState, mask: Optional[Tensor] = None) -> None:
        """Put environments `env_ids` `[n]` into the poses and twists `start` `[n, ...]`.

        Those where `mask` `[n]` is false are left alone; without a mask none is.
        """

    @abstractmethod
    def step(self, commands: Tensor, repeat: int = 1) -> SimState:
        """Hold velocity commands for some control steps.

        Args:
            commands: `[N, A, 3]` vx, vy (m/s) and yaw rate (rad/s) in the robot's heading frame.
            repeat: number of control steps.

        Returns:
            The state after each control step, `[repeat, N, ...]`; on a GPU the next call may overwrite it.

        """

    @abstractmethod
    def state(self) -> SimState:
        """The present state, `[N, ...]`."""

    def joint_positions(self) -> Optional[Tensor]:
        """Present joint positions `[N, nq]`; None where the simulator is not a MuJoCo scene."""
        return None

    def place_obstacles(self, env_ids: Tensor, layout: Layout, mask: Tensor) -> None:
        """Put up the obstacles `[n, K]` of environments `env_ids` `[n]` where `mask` `[n]` is true."""
        raise NotImplementedError("this simulator was made without obstacles")

    @abstractmethod
    def state_dict(self) -> Dict[str, Tensor]:
        """All that the next step depends on, so that a resumed simulation continues bit for bit."""

    @abstractmethod
    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned for a simulator with the same configuration."""

    def overflows(self) -> Tensor:
        """How many physics steps had no room for an environment's contacts, `[]` int64."""
        return torch.zeros((), dtype=torch.int64, device=self.device)

    def close(self) -> None:  # noqa: B027 - most simulators have nothing to release
        """Release what the simulator holds; may be called twice."""


class Backend(NamedTuple):
    """Which simulator runs, and where."""

    name: str
    """In `SIMULATORS`."""
    device: torch.device
    """Where the simulation's tensors live, and with them the learner's."""
    reason: str
    """Why, in a few words."""


class SimulationRequest(NamedTuple):
    """What to simulate."""

    sim: SimConfig
    body: ObjectBody
    team: Sequence[str]
    """Kind of each robot of an environment."""
    friction: Tensor
    """`[N]` friction coefficient of each environment's object."""
    seed: int
    """Of what is random in the robots."""
    device: torch.device
    first_env: int = 0
    """Number of the first environment in a larger set."""
    measure_work: bool = False
    """Whether to measure the robots' work on the object. It costs time; a simulator that cannot leaves it out."""
    around: Optional[ObstacleConfig] = None
    """Obstacles to have room for; None for none."""
    shapes: Optional[Shapes] = None
    """The object of each environment; without it all have `body`."""
    layout: Optional[Layout] = None
    """`[N, K]` each environment's obstacles, for simulators with `SimulatorKind.lasting_obstacles`."""


class SimulatorKind(ABC):
    """A simulator that can be asked for as `sim.backend`."""

    bytes_per_env: int
    """Memory of one environment: physics, frictions, bookkeeping and its share of the update, rounded up."""
    robots: Optional[Tuple[str, ...]] = None
    """Kinds of robots that it can simulate; None for all."""
    max_command: Optional[float] = None
    """It clips velocity commands to this, m/s and rad/s; None if it does not."""
    lasting_obstacles: bool = False
    """It can have obstacles that stay as they are: in all episodes of an environment they are the same."""

    def check(self, sim: SimConfig, team: Sequence[str]) -> None:
        """Refuse settings and robots that it cannot simulate.

        Raises:
            ValueError: which field of `sim` must be what.

        """
        for kind in team:
            if self.robots is not None and kind not in self.robots:
                raise ValueError(f"robot must be {' or '.join(self.robots)} with backend={sim.backend}, not {kind}")

    @abstractmethod
    def place(self, device: str) -> Backend:
        """Where it runs for this `sim.device`.

        Raises:
            UserError: it cannot run there, or not on this machine.

        """

    @abstractmethod
    def make(self, request: SimulationRequest) -> Simulator:
        """A simulation.

        Raises:
            UserError: something that it needs is not installed or cannot be read.

        """


SIMULATORS: Registry[SimulatorKind] = Registry("simulator")
"""Every simulator by its name in `sim.backend`."""
