"""The planar robot: a capsule that slides on the plane (docs/task.md section 12).

Three joints (x, y, yaw) and three velocity servos that act in the body's own frame, so that a held command turns
with the robot. It stands for a Go1 with its walking policy at a thirtieth of the cost.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from ...locomotion.kinematics import ENDS, HIP_LENGTH, HIP_X, HIP_Y, SIDES
from ...task.state import SimState
from ..contacts import ENVELOPE_AXIS, ENVELOPE_RADIUS, ROBOT_FRICTION, SLIDING_ROBOT, friction, mean_friction
from ..drawing import DARK, SHELL, STEEL, Colour, Draw
from .base import Bodies, Joints, RobotKind, RobotSettings
from .go1 import add_capsule, draw_trunk

MASS = 12.74
"""kg, a Go1 with its legs (docs/task.md section 12)."""
YAW_INERTIA = 0.45
"""kg m^2 (docs/task.md section 12)."""
HEIGHT = 0.28
"""Height of the base, m: that of a standing Go1's trunk."""


class PlanarSettings(RobotSettings):
    """A body on the plane whose velocity follows the command (docs/task.md section 12)."""

    linear_time_constant: float = Field(0.15, ge=0.01, le=5, description="of the velocity servo along x and y, s")
    yaw_time_constant: float = Field(0.12, ge=0.01, le=5, description="of the yaw rate servo, s")
    max_force: float = Field(60.0, gt=0, le=1000, description="limit of the servo along x and y, N")
    max_torque: float = Field(12.0, gt=0, le=1000, description="limit of the yaw servo, N m")
    fused: bool = Field(False, description="backend=warp: one kernel for the whole scene where all robots are planar")


class Planar(RobotKind[PlanarSettings]):
    """Robots whose controls are the velocity commands themselves."""

    settings_model = PlanarSettings
    positions = velocities = 3
    contacts = 6

    def add_to(self, spec: Any, name: str, object_friction: float) -> None:
        """See `RobotKind.add_to`."""
        import mujoco

        body = spec.worldbody.add_body(name=name, pos=[0, 0, HEIGHT])
        body.mass, body.inertia, body.explicitinertial = MASS, [YAW_INERTIA] * 3, True
        slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
        for joint, kind, axis in (("x", slide, [1, 0, 0]), ("y", slide, [0, 1, 0]), ("yaw", hinge, [0, 0, 1])):
            body.add_joint(name=f"{name}_{joint}", type=kind, axis=axis)
        rough = friction(mean_friction(ROBOT_FRICTION, object_friction))
        add_capsule(body, f"{name}_body", ENVELOPE_RADIUS, ENVELOPE_AXIS, SLIDING_ROBOT, rough)
        body.add_site(name=f"{name}_base")
        settings = self.settings
        linear = MASS / settings.linear_time_constant
        add_velocity_servo(spec, name, "vx", 0, linear, settings.max_force)
        add_velocity_servo(spec, name, "vy", 1, linear, settings.max_force)
        add_velocity_servo(spec, name, "yaw_rate", 5, YAW_INERTIA / settings.yaw_time_constant, settings.max_torque)

    def bodies(self, joints: Joints) -> Bodies:
        """See `RobotKind.bodies`."""
        qpos, qvel = joints
        flat = torch.zeros_like(qpos[..., 2])
        xy, yaw = qpos[..., :2], torch.atan2(torch.sin(qpos[..., 2]), torch.cos(qpos[..., 2]))
        return Bodies(
            pos=torch.cat((xy, torch.full_like(flat, HEIGHT).unsqueeze(-1)), dim=-1),
            rpy=torch.stack((flat, flat, yaw), dim=-1),
            lin_vel=torch.cat((qvel[..., :2], flat.unsqueeze(-1)), dim=-1),
            ang_vel=torch.stack((flat, flat, qvel[..., 2]), dim=-1),
        )

    def start(self, env_ids: Tensor, start: SimState, mask: Tensor) -> Joints:
        """See `RobotKind.start`: the part of a start that a planar robot has."""
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
        draw_trunk(draw, trunk, accent)
        for side, end in zip(SIDES, ENDS):
            top = [HIP_X * end * 0.85, (HIP_Y + 0.5 * HIP_LENGTH) * side, -0.01]
            knee, foot = [top[0] - 0.05, top[1], -0.13], [top[0], top[1], -0.255]
            draw.sphere(trunk, top, 0.046, STEEL)
            draw.capsule(trunk, [*top, *knee], 0.026, SHELL)
            draw.capsule(trunk, [*knee, *foot], 0.018, DARK)


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
