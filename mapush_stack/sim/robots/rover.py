"""The rover: a Clearpath Jackal, whose wheels drive ahead and turn, but do not go sideways (docs/teams.md).

Mass, size and top speed are those of Clearpath Robotics' data sheet of the Jackal UGV: 17 kg, 508 x 430 x 250 mm,
2.0 m/s. The inertia is that of a solid box. It slides on the plane like a planar robot.
"""

from __future__ import annotations

from typing import Any, List, Tuple

import torch
from torch import Tensor

from ...task.robot import RobotTask
from ..contacts import BUMPER, HULL, ROBOT_FRICTION
from ..drawing import DARK, SHELL, STEEL, TURN_Y, Colour, Draw
from .base import Joints
from .planar import HEIGHT, Force, Sliding, SlidingSettings, TimeConstant

LENGTH, WIDTH, TALL = 0.508, 0.430, 0.250
"""m, wheels included."""
MASS = 17.0
"""kg"""
TOP_SPEED = 2.0
"""m/s"""
_GRIP = ROBOT_FRICTION * MASS * 9.81
"""Force with which the wheels hold sideways, N."""
_GRIP_TIME_CONSTANT = 0.02
"""s, a control step: the wheels stop a slip at once."""


class RoverSettings(SlidingSettings):
    """A rover, with twice the planar robot's largest force, which it reaches when held at a full command."""

    linear_time_constant: TimeConstant = 0.07
    max_force: Force = 120.0


class Rover(Sliding[RoverSettings]):
    """Rovers, whose actions are speed and yaw rate. They sense both of themselves, by their wheels."""

    settings_model = RoverSettings
    task = RobotTask(
        start_height=TALL / 2,
        command_axes=(0, 2),
        sense_mirror=(1.0, -1.0),
        outline=tuple((0.5 * LENGTH * x, 0.5 * WIDTH * y) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))),
        round=0.0,
    )
    contacts = 12
    mass, yaw_inertia, height = MASS, MASS * (LENGTH**2 + WIDTH**2) / 12, TALL / 2

    def add_hull(self, body: Any, name: str, rough: List[float]) -> None:
        """See `Sliding.add_hull`: a box, which for other robots is taller, so that they are pushed aside, not up."""
        import mujoco

        size, box = [LENGTH / 2, WIDTH / 2, TALL / 2], mujoco.mjtGeom.mjGEOM_BOX
        body.add_geom(name=name, type=box, size=size, friction=rough, **HULL._asdict())
        place, taller = [0, 0, HEIGHT - self.height], [*size[:2], HEIGHT - 0.01]
        body.add_geom(name=f"{name}_bumper", type=box, pos=place, size=taller, friction=rough, **BUMPER._asdict())

    def sideways(self) -> Tuple[float, float]:
        """See `Sliding.sideways`: the wheels' grip."""
        return self.mass / _GRIP_TIME_CONSTANT, _GRIP

    def control(self, commands: Tensor, joints: Joints) -> Tensor:
        """See `RobotKind.control`; the rover goes no faster than it can, and never sideways."""
        vx, vy, yaw_rate = commands.unbind(-1)
        return torch.stack((vx.clamp(-TOP_SPEED, TOP_SPEED), torch.zeros_like(vy), yaw_rate), dim=-1)

    def senses(self, joints: Joints) -> Tensor:
        """See `RobotKind.senses`: speed ahead (m/s) and yaw rate (rad/s)."""
        (vx, vy, rate), yaw = joints.qvel.unbind(-1), joints.qpos[..., 2]
        return torch.stack((vx * torch.cos(yaw) + vy * torch.sin(yaw), rate), dim=-1)

    def dress(self, draw: Draw, name: str, accent: Colour) -> None:
        """See `RobotKind.dress`: a low chassis on four wheels."""
        body = draw.spec.body(name)
        draw.rounded(body, [0, 0, 0.02], [0.21, 0.155, 0.07], DARK)
        draw.rounded(body, [0, 0, 0.095], [0.16, 0.13, 0.02], accent)
        draw.rounded(body, [0.215, 0, 0.03], [0.025, 0.13, 0.04], SHELL)
        for x in (-0.131, 0.131):
            for y in (-0.188, 0.188):
                draw.cylinder(body, [x, y, -0.027], 0.098, 0.02, DARK, turn=TURN_Y)
                draw.cylinder(body, [x, y * 1.11, -0.027], 0.05, 0.004, STEEL, turn=TURN_Y)
