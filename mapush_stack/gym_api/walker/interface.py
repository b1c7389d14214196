"""The walking networks as a walking policy, so that this project's legs walk and give way as in MAPush's program."""

from __future__ import annotations

import math
from typing import Tuple

import torch
from torch import Tensor, nn

from ...locomotion import gait
from . import files
from .networks import COMMAND_SCALE, DEFAULT, FRAME, SCALE, STRIDE, WINDOW

_TROT = (0.0, 3.0, 0.5, 0.0, 0.0, 0.5, 0.08 * 0.15, 0.0, 0.0, 0.25, 0.428, 0.0)
"""Entries 6 to 17 of a frame (docs/task.md section 7)."""
_LEGS = (0.5, 0.0, 0.0, 0.5)
"""Phases of FL, FR, RL and RR in the stride of a trot; stance is the first half."""
_BEFORE = slice(42, 54)
"""The last action's place in a frame."""
_MAX_COMMAND = 1.0
"""MAPush clips commands to this, m/s and rad/s."""


class Frames(nn.Module):
    """What MAPush's walking networks see of one moment."""

    scale: Tensor
    trot: Tensor
    default: Tensor
    legs: Tensor

    def __init__(self) -> None:
        """Nothing to learn."""
        super().__init__()
        for name, values in (("scale", COMMAND_SCALE), ("trot", _TROT), ("default", DEFAULT), ("legs", _LEGS)):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, body: gait.Proprioception, command: Tensor, now: gait.Gait) -> Tensor:
        """A frame `[..., 70]` for commands `[..., 3]`; velocities and spins of the base are not in it."""
        phase, before = now.phase.unsqueeze(-1), now.history[..., -FRAME:][..., _BEFORE]
        parts = (
            body.gravity,
            command * self.scale,
            self.trot.expand(*now.phase.shape, len(_TROT)),
            body.joint_pos - self.default,
            0.05 * body.joint_vel,
            now.action,
            before,
            torch.sin(2 * math.pi * (phase + self.legs)),
        )
        return torch.cat(parts, dim=-1)


class UpstreamPolicy(nn.Module):
    """Walks like `WalkingPolicy`, by this project's networks in MAPush's interface.

    It is told neither how fast the base moves nor how it spins, and so turns a little with what it pushes.
    """

    scale: Tensor

    def __init__(self) -> None:
        """The networks that `mapush gym walker` writes.

        Raises:
            UserError: their file is damaged.

        """
        super().__init__()
        self.frames, self.net = Frames(), files.load()
        self.register_buffer("scale", torch.tensor(SCALE), persistent=False)

    def at_rest(self, leading: Tuple[int, ...], device: torch.device) -> gait.Gait:
        """A gait that has not begun; its history holds all frames but the present one."""
        sizes = (gait.NUM_JOINTS,), (), ((WINDOW - 1) * FRAME,)
        return gait.Gait(*(torch.zeros(*leading, *size, device=device) for size in sizes))

    def observe(self, body: gait.Proprioception, command: Tensor, now: gait.Gait) -> Tensor:
        """The newest frames `[..., WINDOW * 70]`, the oldest first."""
        frame = self.frames(body, command.clamp(-_MAX_COMMAND, _MAX_COMMAND), now)
        return torch.cat((now.history, frame), dim=-1)

    @torch.no_grad()
    def forward(self, observation: Tensor) -> Tensor:
        """Actions `[..., 12]` for `observe`'s numbers."""
        frames = observation.reshape(-1, WINDOW, FRAME)
        body = self.net.body
        seen = body.estimator.features(frames)
        motion = torch.cat((self.net.adaptation.net(seen), body.estimator.net(seen)), dim=-1)
        return body.act(frames, motion).view(*observation.shape[:-1], gait.NUM_JOINTS)

    def advance(self, now: gait.Gait, action: Tensor, command: Tensor, observation: Tensor) -> gait.Gait:
        """The gait after `action` on `observation`; the clock never rests."""
        return gait.Gait(action, torch.remainder(now.phase + STRIDE, 1.0), observation[..., FRAME:])

    def targets(self, action: Tensor) -> Tensor:
        """Actions `[..., 12]` as joint angles for the servos, rad."""
        return self.frames.default + self.scale * action.clamp(-10.0, 10.0)
