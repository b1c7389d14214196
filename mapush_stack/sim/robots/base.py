"""The contract of a kind of robot. Each kind is one file, beside this one or in a plug-in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Dict, Generic, NamedTuple, Tuple, Type, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import Annotated

from ...registry import Registry
from ...settings import Settings
from ...task.config import CONTROL_DT
from ...task.robot import RobotTask
from ...task.state import SimState
from ..drawing import Colour, Draw

PhysicsStep = Annotated[float, Field(ge=1e-5, le=CONTROL_DT, description="seconds per physics step; divides 0.02")]


class RobotSettings(Settings):
    """The configuration section `sim.<kind>`; a kind adds fields, each with a default."""

    physics_dt: PhysicsStep = CONTROL_DT

    @model_validator(mode="after")
    def _check(self) -> RobotSettings:
        if abs(self.substeps * self.physics_dt - CONTROL_DT) > 1e-9:
            raise ValueError(f"physics_dt must divide the control step of {CONTROL_DT} s, not {self.physics_dt:g}")
        return self

    @property
    def substeps(self) -> int:
        """Physics steps per control step."""
        return max(round(CONTROL_DT / self.physics_dt), 1)


class Placement(NamedTuple):
    """How many robots of one kind there are, and where their tensors live."""

    num_envs: int
    """Environments N."""
    num_robots: int
    """Robots of this kind in each environment, R."""
    seed: int
    """Of what is random in them."""
    device: torch.device
    first_env: int = 0
    """Number of the first environment in a larger set."""
    numbers: Tuple[int, ...] = ()
    """Which robots of their team they are, R numbers; empty: the first ones. No two kinds should draw the same."""


class Bodies(NamedTuple):
    """Bases of robots in the arena frame, each `[..., R, 3]`, as in `SimState`."""

    pos: Tensor
    rpy: Tensor
    lin_vel: Tensor
    ang_vel: Tensor


class Joints(NamedTuple):
    """Joint states of robots of one kind."""

    qpos: Tensor
    """`[..., R, positions]`"""
    qvel: Tensor
    """`[..., R, velocities]`"""


S = TypeVar("S", bound=RobotSettings)


class RobotKind(ABC, Generic[S]):
    """All robots of one kind: R in each of N environments.

    The class attributes describe one robot; register the class in `ROBOTS`.
    """

    settings_model: Type[S]
    """Of the section `sim.<kind>`."""
    task = RobotTask()
    """What the task knows of it: start height, steered axes, senses."""
    positions: int
    """Numbers in a robot's joint positions."""
    velocities: int
    """Numbers in a robot's joint velocities."""
    contacts: int
    """Contacts of a robot at once, with room to spare."""
    closed_loop: bool = False
    """True if `control` depends on the joint states: it is then called every control step, not every decision."""
    own_friction: Tuple[str, ...] = ()
    """Geoms, without the robot's name and `_` in front, whose friction does not depend on the object's."""

    def __init__(self, settings: S, placement: Placement) -> None:
        self.settings, self.placement = settings, placement

    @abstractmethod
    def add_to(self, spec: Any, name: str, object_friction: float) -> None:
        """Add a robot to a `mujoco.MjSpec`.

        Its base is a body called `name`; all other names begin with `name` and `_`.

        Args:
            spec: the scene so far.
            name: of the robot.
            object_friction: coefficient of the object that it may touch.

        """

    @abstractmethod
    def bodies(self, joints: Joints) -> Bodies:
        """Poses and velocities of the bases for these joint states."""

    @abstractmethod
    def start(self, env_ids: Tensor, start: SimState, mask: Tensor) -> Joints:
        """Joint states `[n, R, ...]` with which environments `env_ids` start.

        Bases start as in `start` `[n, ...]`. Only environments where `mask` `[n]` is true start; the joint states of
        the others are not used.
        """

    @abstractmethod
    def control(self, commands: Tensor, joints: Joints) -> Tensor:
        """Actuator controls `[N, R, k]` that follow velocity commands `[N, R, 3]`.

        `joints` are the present joint states.
        """

    def senses(self, joints: Joints) -> Tensor:
        """What the robots sense of themselves, `[..., R, M]`; by default nothing.

        M is the length of `task.sense_mirror`.
        """
        return joints.qpos[..., :0]

    def dress(self, draw: Draw, name: str, accent: Colour) -> None:
        """Draw the robot called `name`; by default its collision geoms in its own colour `accent`."""
        draw.collision_geoms(draw.spec.body(name), accent)

    def state_dict(self) -> Dict[str, Tensor]:
        """What the robots remember from step to step; most kinds nothing."""
        return {}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""


ROBOTS: Registry[Type[RobotKind[Any]]] = Registry("robot")
"""Every kind of robot by its name in a team."""
