"""The planar robot: a capsule that slides on the plane and follows velocity commands (task_spec section 12.1).

Three joints (x, y, yaw) and three velocity servos that act in the body's own frame, so that a held command turns
with the robot. It stands for a Go1 with its walking policy at a thirtieth of the cost.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...task.state import SimState
from ..config import PlanarConfig
from ..contacts import ENVELOPE, PLANAR_ROBOT, ROBOT_FRICTION, friction, mean_friction
from ..engine import Engine, Path
from .base import Bodies, Joints, Team

MASS = 12.74
"""kg, a Go1 with its legs (task_spec section 12.1)."""
YAW_INERTIA = 0.45
"""kg m^2 (task_spec section 12.1)."""
HEIGHT = 0.28
"""Height of the base, m: that of a standing Go1's trunk."""


class PlanarTeam(Team):
    """Robots whose controls are the velocity commands themselves."""

    positions = velocities = 3
    contacts = 6

    def __init__(self, config: PlanarConfig) -> None:
        self._config = config

    def add_to(self, spec: Any, name: str, object_friction: float) -> None:
        """See `Team.add_to`."""
        import mujoco

        body = spec.worldbody.add_body(name=name, pos=[0, 0, HEIGHT])
        body.mass, body.inertia, body.explicitinertial = MASS, [YAW_INERTIA] * 3, True
        for axis, kind in (("x", mujoco.mjtJoint.mjJNT_SLIDE), ("y", mujoco.mjtJoint.mjJNT_SLIDE)):
            body.add_joint(name=f"{name}_{axis}", type=kind, axis=[axis == "x", axis == "y", 0])
        body.add_joint(name=f"{name}_yaw", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1])
        body.add_geom(
            name=f"{name}_body",
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            size=[ENVELOPE.radius, 0, 0],
            fromto=ENVELOPE.axis,
            friction=friction(mean_friction(ROBOT_FRICTION, object_friction)),
            **PLANAR_ROBOT._asdict(),
        )
        body.add_site(name=f"{name}_base")
        servo = self._config
        linear = (MASS / servo.linear_time_constant, servo.max_force)
        turning = (YAW_INERTIA / servo.yaw_time_constant, servo.max_torque)
        for axis, (gain, limit) in enumerate((linear, linear, turning)):
            gear = [0.0] * 6
            gear[5 if axis == 2 else axis] = 1.0
            spec.add_actuator(
                name=f"{name}_{('vx', 'vy', 'yaw_rate')[axis]}",
                trntype=mujoco.mjtTrn.mjTRN_SITE,
                target=f"{name}_base",
                gear=gear,
                gaintype=mujoco.mjtGain.mjGAIN_FIXED,
                gainprm=[gain] + [0] * 9,
                biastype=mujoco.mjtBias.mjBIAS_AFFINE,
                biasprm=[0, 0, -gain] + [0] * 7,
                forcelimited=True,
                forcerange=[-limit, limit],
            )

    def bodies(self, joints: Joints) -> Bodies:
        """See `Team.bodies`."""
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
        """See `Team.start`: the part of a start that a planar robot has."""
        return Joints(
            qpos=torch.cat((start.robot_pos[..., :2], start.robot_rpy[..., 2:]), dim=-1),
            qvel=torch.cat((start.robot_lin_vel[..., :2], start.robot_ang_vel[..., 2:]), dim=-1),
        )

    def drive(self, engine: Engine, commands: Tensor, repeat: int) -> Path:
        """See `Team.drive`."""
        return engine.advance(commands.flatten(1), repeat, self._config.substeps)
