"""The interface of a walking policy: what it senses, remembers and commands.

Legs are ordered FL, FR, RL, RR and joints hip, thigh, calf within a leg, as upstream (docs/task.md section 7).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple, Tuple

import torch
from torch import Tensor

LEGS = ("FL", "FR", "RL", "RR")
JOINTS = ("hip", "thigh", "calf")
NUM_JOINTS = len(LEGS) * len(JOINTS)
STANCE = (0.1, 0.9, -1.7, -0.1, 0.9, -1.7, 0.1, 0.9, -1.7, -0.1, 0.9, -1.7)
"""Joint angles at which the robot stands with its trunk about 0.30 m above the floor, rad."""
ACTION_SCALE = 0.3
"""Radians of joint target for one unit of a policy's output; a servo of 20 N m/rad then gives 6 N m a unit."""
STEP_FREQUENCY = 2.5
"""Strides per second of the trot, Hz; upstream's is 3.0 (docs/task.md section 7)."""
TROT_OFFSETS = (0.0, 0.5, 0.5, 0.0)
"""Phase offset of each leg: diagonal legs swing together."""
STANDING_SPEED = 0.05
"""A command whose norm (over m/s, m/s, rad/s) is below this means standing still."""
CONTROL_DT = 0.02
"""Seconds per decision of a walking policy."""
FRAME_SIZE = 3 + 3 + 3 + 3 + 3 * NUM_JOINTS + 2
MOST_FRAMES = 50
"""Of a policy, 1 s."""


class View(NamedTuple):
    """What a policy sees."""

    frames: int = 1
    """The present one and those just before it; a frame from before the start is zero."""
    linear_velocity: bool = True
    """Whether the base's linear velocity is in a frame: a robot can hardly measure it."""

    @property
    def size(self) -> int:
        """Numbers in an observation."""
        return self.frames * self.frame_size

    @property
    def frame_size(self) -> int:
        """Numbers in a frame."""
        return FRAME_SIZE if self.linear_velocity else FRAME_SIZE - 3


SIGHTED = View()
"""The present alone, with the velocity."""


class Proprioception(NamedTuple):
    """What a robot senses of itself; `...` are any leading dimensions."""

    linear_velocity: Tensor
    """`[..., 3]` of the base, in the base's frame, m/s. A simulator knows it; a real robot has to estimate it."""
    angular_velocity: Tensor
    """`[..., 3]` in the base's frame, rad/s."""
    gravity: Tensor
    """`[..., 3]` direction of gravity in the base's frame."""
    joint_pos: Tensor
    """`[..., 12]` rad"""
    joint_vel: Tensor
    """`[..., 12]` rad/s"""


class Gait(NamedTuple):
    """What a policy remembers from decision to decision."""

    action: Tensor
    """`[..., 12]` its last output."""
    phase: Tensor
    """`[...]` of the stride, in [0, 1)."""
    history: Tensor
    """`[..., k]` the frames before the present one that it sees, the oldest first."""


def at_rest(leading: Tuple[int, ...], device: torch.device, view: View = SIGHTED) -> Gait:
    """A gait that has not begun."""
    past = view.size - view.frame_size
    return Gait(*(torch.zeros(*leading, *shape, device=device) for shape in ((NUM_JOINTS,), (), (past,))))


def is_standing(command: Tensor) -> Tensor:
    """`[...]` bool for commands `[..., 3]` (m/s, m/s, rad/s)."""
    speed: Tensor = torch.linalg.vector_norm(command, dim=-1)
    return speed < STANDING_SPEED


def advance(gait: Gait, action: Tensor, command: Tensor, observation: Tensor) -> Gait:
    """The gait after `action` `[..., 12]` on `observation` under `command` `[..., 3]`.

    The clock rests while the command is to stand.
    """
    phase = torch.remainder(gait.phase + STEP_FREQUENCY * CONTROL_DT, 1.0)
    oldest = observation.shape[-1] - gait.history.shape[-1]
    return Gait(action, torch.where(is_standing(command), torch.zeros_like(phase), phase), observation[..., oldest:])


def observe(body: Proprioception, command: Tensor, gait: Gait, view: View = SIGHTED) -> Tensor:
    """A policy's input `[..., view.size]`: frames scaled to about one, the oldest first."""
    moving = (~is_standing(command)).to(command.dtype).unsqueeze(-1)
    clock = 2 * math.pi * gait.phase.unsqueeze(-1)
    stance = _stance(command.dtype, command.device)
    past = (gait.history,) if view.frames > 1 else ()
    velocity = (2.0 * body.linear_velocity,) if view.linear_velocity else ()
    return torch.cat(
        (
            *past,
            *velocity,
            0.5 * body.angular_velocity,
            body.gravity,
            command * moving * 2.0,
            body.joint_pos - stance,
            0.05 * body.joint_vel,
            gait.action,
            moving * torch.sin(clock),
            moving * torch.cos(clock),
        ),
        dim=-1,
    )


def joint_targets(action: Tensor) -> Tensor:
    """A policy's output `[..., 12]` as joint angles for the servos, rad."""
    return _stance(action.dtype, action.device) + ACTION_SCALE * action.clamp(-10.0, 10.0)


def action_of(targets: Tensor) -> Tensor:
    """The output `[..., 12]` whose joint targets these are."""
    return (targets - _stance(targets.dtype, targets.device)) / ACTION_SCALE


@functools.lru_cache(maxsize=None)
def _stance(dtype: torch.dtype, device: torch.device) -> Tensor:
    """`STANCE` as a tensor, made once: copying it from the host waits for the device."""
    return torch.tensor(STANCE, dtype=dtype, device=device)
