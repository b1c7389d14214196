"""What can be configured about a simulation. Defaults live in `presets/default.yaml`."""

from __future__ import annotations

from typing import List, Literal, Tuple

from pydantic import Field, model_validator

from ..settings import Settings
from ..task.config import CONTROL_DT


class PartConfig(Settings):
    """One rigid primitive of an object, in the object's frame."""

    shape: Literal["box", "cylinder"] = Field(description="a cylinder stands upright")
    size: Tuple[float, ...] = Field(description="box: length, width, height; cylinder: radius, height; m")
    position: Tuple[float, float, float] = Field(description="centre of the part, m")
    mass: float = Field(gt=0, description="kg")
    inertia: Tuple[float, float, float] = Field(description="about the part's centre, diagonal, kg m^2")

    @model_validator(mode="after")
    def _check(self) -> PartConfig:
        wanted = {"box": 3, "cylinder": 2}[self.shape]
        if len(self.size) != wanted or min(self.size) <= 0:
            raise ValueError(f"size of a {self.shape} must be {wanted} positive lengths, not {list(self.size)}")
        if min(self.inertia) <= 0:
            raise ValueError(f"inertia must be three positive numbers, not {list(self.inertia)}")
        return self


class ObjectBody(Settings):
    """The object as a rigid body (task_spec section 1)."""

    parts: List[PartConfig] = Field(min_length=1, description="shapes, masses and inertias of the object")
    friction: Tuple[float, float] = Field(description="range of the object's own friction coefficient")

    @model_validator(mode="after")
    def _check(self) -> ObjectBody:
        low, high = self.friction
        if not 0 <= low <= high:
            raise ValueError(f"friction must be two coefficients, 0 <= low <= high, not [{low:g}, {high:g}]")
        return self


class TierConfig(Settings):
    """What every kind of robot has: the physics step that its contacts need."""

    physics_dt: float = Field(gt=0, le=CONTROL_DT, description="seconds per physics step; divides 0.02")

    @model_validator(mode="after")
    def _check(self) -> TierConfig:
        if abs(self.substeps * self.physics_dt - CONTROL_DT) > 1e-9:
            raise ValueError(f"physics_dt must divide the control step of {CONTROL_DT} s, not {self.physics_dt:g}")
        return self

    @property
    def substeps(self) -> int:
        """Physics steps per control step."""
        return max(round(CONTROL_DT / self.physics_dt), 1)


class PlanarConfig(TierConfig):
    """The planar robot: a body on the plane whose velocity follows the command (task_spec section 12.1)."""

    linear_time_constant: float = Field(ge=0.01, le=5, description="of the velocity servo along x and y, s")
    yaw_time_constant: float = Field(ge=0.01, le=5, description="of the yaw rate servo, s")
    max_force: float = Field(gt=0, le=1000, description="limit of the servo along x and y, N")
    max_torque: float = Field(gt=0, le=1000, description="limit of the yaw servo, N m")


class Go1Config(TierConfig):
    """The articulated Unitree Go1, walking by a policy of its own."""

    walking_policy: str = Field(min_length=1, description="`shipped`, or the path of a .safetensors file")
    stiffness: float = Field(gt=0, le=500, description="of the joint position servos, N m/rad")
    damping: float = Field(ge=0, le=50, description="of the joint position servos, N m s/rad")


class SimConfig(Settings):
    """Which simulator steps the scene, and how finely."""

    backend: Literal["auto", "mujoco", "warp", "isaacgym"] = Field(
        description="mujoco: any CPU; warp: an NVIDIA GPU; auto: warp where there is one; isaacgym: MAPush's own "
        "scene and walking controller, with none of the settings below num_envs but threads"
    )
    device: str = Field(
        pattern=r"^(auto|cpu|cuda|cuda:\d+)$", description="auto, cpu, cuda or cuda:N; the learner's too"
    )
    robot: Literal["planar", "go1"] = Field(description="planar: bodies that slide on the plane; go1: legs")
    num_envs: int = Field(ge=1, le=1_000_000, description="environments stepped together")
    solver_iterations: int = Field(ge=1, le=100, description="Newton iterations of the contact solver")
    threads: int = Field(ge=0, le=1024, description="physics threads; 0: one a CPU. Results do not depend on it")
    planar: PlanarConfig
    go1: Go1Config

    @model_validator(mode="after")
    def _check(self) -> SimConfig:
        if self.backend == "isaacgym":
            if self.robot != "go1":
                raise ValueError(f"robot must be go1 with backend=isaacgym, not {self.robot}: MAPush has no other")
            if self.go1.walking_policy != "shipped":
                raise ValueError("go1.walking_policy has no effect with backend=isaacgym, which walks by MAPush's own")
        return self

    @property
    def tier(self) -> TierConfig:
        """The settings of the chosen robot."""
        return getattr(self, self.robot)
