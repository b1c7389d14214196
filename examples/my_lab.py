"""A plug-in: a reward term, an object, a robot and a learner of your own, in your own file.

    mapush train --plugin examples/my_lab.py --object plank --robot cart --learner greedy task.rewards.calm=0.01

docs/extend.md explains each part.
"""

from pathlib import Path
from typing import Any, Type

import torch
from pydantic import Field
from torch import Tensor

from mapush_stack import register_learner, register_object, register_reward_term, register_robot
from mapush_stack.learning.contract import Metrics
from mapush_stack.learning.native.kind import NativeKind
from mapush_stack.learning.native.mappo import MAPPO
from mapush_stack.sim.contacts import ROBOT_FRICTION, SLIDING_ROBOT, friction, mean_friction
from mapush_stack.sim.robots.base import Bodies, Joints, RobotKind, RobotSettings
from mapush_stack.sim.robots.planar import add_velocity_servo
from mapush_stack.task.rewards import Transition
from mapush_stack.task.robot import RobotTask
from mapush_stack.task.state import SimState


@register_reward_term
def calm(step: Transition) -> Tensor:
    """Minus the turning rate of each robot, rad/s: robots that turn less wear out less."""
    return -step.state.robot_ang_vel[..., 2].abs()


register_object("plank", Path(__file__).with_name("plank.yaml"))


class CartSettings(RobotSettings):
    """The section `sim.cart`."""

    max_force: float = Field(80.0, gt=0, le=1000, description="largest force of the drive, N")
    max_torque: float = Field(12.0, gt=0, le=1000, description="largest torque of the steering, N m")


@register_robot("cart")
class Cart(RobotKind[CartSettings]):
    """A box on two driven wheels: it drives ahead and turns, and cannot go sideways."""

    settings_model = CartSettings
    task = RobotTask(command_axes=(0, 2), sense_mirror=(1.0,))
    positions = velocities = 3
    contacts = 8
    mass, inertia, height = 15.0, 0.6, 0.25

    def add_to(self, spec: Any, name: str, object_friction: float) -> None:
        """A box with three joints, a drive and a steering."""
        import mujoco

        body = spec.worldbody.add_body(name=name, pos=[0, 0, self.height])
        body.mass, body.inertia, body.explicitinertial = self.mass, [self.inertia] * 3, True
        slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
        for joint, kind, axis in (("x", slide, [1, 0, 0]), ("y", slide, [0, 1, 0]), ("yaw", hinge, [0, 0, 1])):
            body.add_joint(name=f"{name}_{joint}", type=kind, axis=axis)
        body.add_geom(
            name=f"{name}_body",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.25, 0.2, 0.12],
            friction=friction(mean_friction(ROBOT_FRICTION, object_friction)),
            **SLIDING_ROBOT._asdict(),
        )
        body.add_site(name=f"{name}_base")
        add_velocity_servo(spec, name, "vx", 0, self.mass / 0.15, self.settings.max_force)
        add_velocity_servo(spec, name, "vy", 1, self.mass / 0.02, 1000.0)  # wheels do not slide sideways
        add_velocity_servo(spec, name, "yaw_rate", 5, self.inertia / 0.12, self.settings.max_torque)

    def bodies(self, joints: Joints) -> Bodies:
        """Position, attitude and velocities of each cart."""
        (x, y, yaw), (vx, vy, rate) = joints.qpos.unbind(-1), joints.qvel.unbind(-1)
        zero = torch.zeros_like(x)
        return Bodies(
            pos=torch.stack((x, y, zero + self.height), dim=-1),
            rpy=torch.stack((zero, zero, torch.atan2(torch.sin(yaw), torch.cos(yaw))), dim=-1),
            lin_vel=torch.stack((vx, vy, zero), dim=-1),
            ang_vel=torch.stack((zero, zero, rate), dim=-1),
        )

    def start(self, env_ids: Tensor, start: SimState, mask: Tensor) -> Joints:
        """Where a start puts each cart; it begins at rest."""
        qpos = torch.cat((start.robot_pos[..., :2], start.robot_rpy[..., 2:]), dim=-1)
        return Joints(qpos=qpos, qvel=torch.zeros_like(qpos))

    def control(self, commands: Tensor, joints: Joints) -> Tensor:
        """The servos take the velocity command as it is."""
        return commands

    def senses(self, joints: Joints) -> Tensor:
        """The speed of its wheels: its velocity along its heading, m/s."""
        vx, vy, _ = joints.qvel.unbind(-1)
        yaw = joints.qpos[..., 2]
        return (vx * torch.cos(yaw) + vy * torch.sin(yaw)).unsqueeze(-1)


class Greedy(MAPPO):
    """MAPPO that learns only from actions that were better than expected."""

    def _update_actors(self, advantages: Tensor) -> Metrics:
        return super()._update_actors(advantages.clamp_min(0.0))


class GreedyKind(NativeKind):
    """What `--learner greedy` makes."""

    algorithms = ("greedy",)

    def algorithm(self, name: str) -> Type[MAPPO]:
        """The class of the algorithm."""
        return Greedy


register_learner("greedy", GreedyKind())
