"""Robots that slide on the plane, and the planar robot, which is one of them (docs/task.md section 12).

Three joints (x, y, yaw) and three velocity servos that act in the body's own frame, so that a held command turns
with the robot. The planar robot stands for a Go1 with its walking policy at a thirtieth of the cost.
"""

from __future__ import annotations

from typing import Any, List, Tuple, TypeVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import Annotated

from ...locomotion.kinematics import ENDS, GO1, SIDES
from ...task.state import SimState
from ..contacts import ENVELOPE_AXIS, ENVELOPE_RADIUS, ROBOT_FRICTION, SLIDING_ROBOT, friction, mean_friction
from ..drawing import DARK, SHELL, STEEL, Colour, Draw
from .base import Bodies, Joints, RobotKind, RobotSettings
from .go1 import Go1
from .quadruped import add_capsule

MASS = 12.74
"""kg, a Go1 with its legs (docs/task.md section 12)."""
YAW_INERTIA = 0.45
"""kg m^2 (docs/task.md section 12)."""
HEIGHT = 0.28
"""Height of the base, m: that of a standing Go1's trunk."""


TimeConstant = Annotated[float, Field(ge=0.01, le=5, description="of the velocity servo along x and y, s")]
Force = Annotated[float, Field(gt=0, le=1000, description="limit of the servo along x and y, N")]


class SlidingSettings(RobotSettings):
    """A body on the plane whose velocity follows the command (docs/task.md section 12)."""

    linear_time_constant: TimeConstant = 0.15
    yaw_time_constant: float = Field(0.12, ge=0.01, le=5, description="of the yaw rate servo, s")
    max_force: Force = 60.0
    max_torque: float = Field(12.0, gt=0, le=1000, description="limit of the yaw servo, N m")


class PlanarSettings(SlidingSettings):
    """The planar robot."""

    fused: bool = Field(False, description="backend=warp: one kernel for the whole scene where all robots are planar")


S = TypeVar("S", bound=SlidingSettings)


class Sliding(RobotKind[S]):
    """Robots whose controls are the velocity commands themselves; they look like the planar robot."""

    positions = velocities = 3
    contacts = 6
    mass, yaw_inertia, height = MASS, YAW_INERTIA, HEIGHT

    def add_to(self, spec: Any, name: str, object_friction: float) -> None:
        """See `RobotKind.add_to`."""
        import mujoco

        body = spec.worldbody.add_body(name=name, pos=[0, 0, self.height])
        body.mass, body.inertia, body.explicitinertial = self.mass, [self.yaw_inertia] * 3, True
        slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
        for joint, kind, axis in (("x", slide, [1, 0, 0]), ("y", slide, [0, 1, 0]), ("yaw", hinge, [0, 0, 1])):
            body.add_joint(name=f"{name}_{joint}", type=kind, axis=axis)
        self.add_hull(body, f"{name}_body", friction(mean_friction(ROBOT_FRICTION, object_friction)))
        body.add_site(name=f"{name}_base")
        settings = self.settings
        add_velocity_servo(spec, name, "vx", 0, self.mass / settings.linear_time_constant, settings.max_force)
        add_velocity_servo(spec, name, "vy", 1, *self.sideways())
        gain = self.yaw_inertia / settings.yaw_time_constant
        add_velocity_servo(spec, name, "yaw_rate", 5, gain, settings.max_torque)

    def add_hull(self, body: Any, name: str, rough: List[float]) -> None:
        """Add the geom `name` of friction `rough` that collides."""
        add_capsule(body, name, ENVELOPE_RADIUS, ENVELOPE_AXIS, SLIDING_ROBOT, rough)

    def sideways(self) -> Tuple[float, float]:
        """Gain (N s/m) and limit (N) of the servo along y."""
        return self.mass / self.settings.linear_time_constant, self.settings.max_force

    def bodies(self, joints: Joints) -> Bodies:
        """See `RobotKind.bodies`."""
        qpos, qvel = joints
        flat = torch.zeros_like(qpos[..., 2])
        xy, yaw = qpos[..., :2], torch.atan2(torch.sin(qpos[..., 2]), torch.cos(qpos[..., 2]))
        return Bodies(
            pos=torch.cat((xy, torch.full_like(flat, self.height).unsqueeze(-1)), dim=-1),
            rpy=torch.stack((flat, flat, yaw), dim=-1),
            lin_vel=torch.cat((qvel[..., :2], flat.unsqueeze(-1)), dim=-1),
            ang_vel=torch.stack((flat, flat, qvel[..., 2]), dim=-1),
        )

    def start(self, env_ids: Tensor, start: SimState, mask: Tensor) -> Joints:
        """See `RobotKind.start`: the part of a start that such a robot has."""
        return Joints(
            qpos=torch.cat((start.robot_pos[..., :2], start.robot_rpy[..., 2:]), dim=-1),
            qvel=torch.cat((start.robot_lin_vel[..., :2], start.robot_ang_vel[..., 2:]), dim=-1),
        )

    def control(self, commands: Tensor, joints: Joints) -> Tensor:
        """See `RobotKind.control`."""
        return commands

    def dress(self, draw: Draw, name: str, accent: Colour) -> None:
        """See `RobotKind.dress`: a Go1's trunk on four short, stiff legs."""
        trunk = draw.spec.body(name)
        Go1.draw_trunk(draw, trunk, accent)
        for side, end in zip(SIDES, ENDS):
            top = [GO1.hip_x * end * 0.85, (GO1.hip_y + 0.5 * GO1.hip) * side, -0.01]
            knee, foot = [top[0] - 0.05, top[1], -0.13], [top[0], top[1], -0.255]
            draw.sphere(trunk, top, 0.046, STEEL)
            draw.capsule(trunk, [*top, *knee], 0.026, SHELL)
            draw.capsule(trunk, [*knee, *foot], 0.018, DARK)


class Planar(Sliding[PlanarSettings]):
    """The planar robot."""

    settings_model = PlanarSettings


def add_velocity_servo(spec: Any, name: str, servo: str, direction: int, gain: float, limit: float) -> None:
    """Add a velocity servo at the site `<name>_base` of a robot, in the frame of its body.

    Args:
        spec: the `mujoco.MjSpec`.
        name: the robot's.
        servo: what follows the robot's name in the actuator's.
        direction: 0 to 5 for x, y, z and the rotations about them.
        gain: N s/m or N m s/rad.
        limit: largest force (N) or torque (N m).

    """
    import mujoco

    actuator = spec.add_actuator(name=f"{name}_{servo}", trntype=mujoco.mjtTrn.mjTRN_SITE, target=f"{name}_base")
    actuator.gear = [float(index == direction) for index in range(6)]
    actuator.set_to_velocity(kv=gain)
    actuator.forcelimited, actuator.forcerange = True, [-limit, limit]
