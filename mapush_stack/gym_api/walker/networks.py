"""The two networks that MAPush walks by.

The first estimates the base's velocity from a history of 30 frames. The second estimates the rest of the base's motion
and gives all to the project's own walking policy, which needs it.
"""

from __future__ import annotations

import math
from typing import List

import torch
from torch import Tensor, nn

from ...locomotion import gait, policy
from ...locomotion.kinematics import foot_coordinates, signs

FRAME, FRAMES, LATENT = 70, 30, 2
"""Numbers in a frame, frames in a history, and what the first network tells the second."""
DEFAULT = (0.1, 0.8, -1.5, -0.1, 0.8, -1.5, 0.1, 1.0, -1.5, -0.1, 1.0, -1.5)
"""Joint angles of an action of zero, rad."""
SCALE = (0.125, 0.25, 0.25) * 4
"""Radians for one unit of an action."""
COMMAND_SCALE = (2.0, 2.0, 0.25)
"""Of the command's entries in a frame."""
STRIDE = 3.0 * gait.CONTROL_DT
"""Advance of the clock in a step, of a stride."""
WINDOW = 12
"""Newest frames of a history that are looked at."""
_FOOT_HEIGHT = 0.01
"""A foot that is so much higher than another, m, bears e times less."""
_RATE = 1.0 / gait.CONTROL_DT
_SCALED = 2.0
"""An estimate is so many times the velocity, m/s and rad/s."""
_FEATURES = (WINDOW - 1) * 18 + WINDOW * 12 + 3 + 12 + 36 + 4


def newest(history: Tensor) -> Tensor:
    """The frames `[N, WINDOW, 70]` of histories `[N, 2100 or more]` that the networks look at."""
    return history[:, : FRAMES * FRAME].reshape(-1, FRAMES, FRAME)[:, FRAMES - WINDOW :]


class Features(nn.Module):
    """What the base's velocity nearly follows from: how the feet move below it, and what bears on them."""

    default: Tensor
    scale: Tensor

    def __init__(self) -> None:
        """Nothing to learn."""
        super().__init__()
        for name, values in (("default", DEFAULT), ("scale", SCALE)):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """`[N, _FEATURES]` of the newest frames."""
        # Frames first and robots last, so that each operation goes over long rows: on a CPU twice as fast.
        seen = frames.flatten(1).t().contiguous().view(WINDOW, FRAME, -1)
        gravity, turned = seen[:, :3], seen[:, 18:30]
        default, scale = self.default.unsqueeze(1), self.scale.unsqueeze(1)
        hip, thigh, calf = (turned + default).view(WINDOW, 4, 3, -1).unbind(2)
        side, end = (sign.unsqueeze(1) for sign in signs(frames.dtype, frames.device))
        feet = torch.stack(foot_coordinates(hip, thigh, calf, side, end), dim=2)
        depth = (feet[1:] * gravity[1:].unsqueeze(1)).sum(2)
        standing = torch.softmax(depth / _FOOT_HEIGHT, dim=1)
        moved = (feet[1:] - feet[:-1]) * _RATE
        parts = (
            # The lowest feet stand: what they do below the base, it does over the ground.
            -(standing.unsqueeze(2) * moved).sum(1),
            moved,
            (gravity[1:] - gravity[:-1]) * _RATE,
            5.0 * (scale * seen[:, 42:54].clamp(-10.0, 10.0) - turned),
            gravity[-1],
            5.0 * feet[-1],
            seen[-3:, 30:42],
            seen[-1, 66:],
        )
        return torch.cat([part.flatten(0, -2) for part in parts]).t()


class Estimator(nn.Module):
    """A multilayer perceptron with ELU over the features of a history."""

    def __init__(self, outputs: int) -> None:
        """Untrained."""
        super().__init__()
        self.features = Features()
        layers: List[nn.Module] = [nn.Linear(_FEATURES, 128), nn.ELU(), nn.Linear(128, 64), nn.ELU()]
        self.net = nn.Sequential(*layers, nn.Linear(64, outputs))

    def forward(self, history: Tensor) -> Tensor:
        """Estimates `[N, outputs]`."""
        estimates: Tensor = self.net(self.features(newest(history)))
        return estimates


class Body(nn.Module):
    """2102 -> 12: actions for a history and the velocities vx and vy (x 2, m/s) in the base's frame."""

    command_scale: Tensor
    stance: Tensor

    def __init__(self) -> None:
        """With the project's own policy, and an untrained estimator of vz and the base's spin."""
        super().__init__()
        self.estimator, self.policy = Estimator(4), policy.load("shipped").net.requires_grad_(False)
        for name, values in (("command_scale", COMMAND_SCALE), ("stance", gait.STANCE)):
            self.register_buffer(name, torch.tensor(values), persistent=False)
        turn = 2 * math.pi * STRIDE
        self._cos, self._sin = math.cos(turn), math.sin(turn)
        self._unit, self._standing = gait.ACTION_SCALE, gait.STANDING_SPEED

    def forward(self, known: Tensor) -> Tensor:
        """Actions `[N, 12]` for `known` `[N, 2102]`."""
        return self.act(newest(known), torch.cat((known[:, -2:], self.estimator(known)), dim=-1))

    def act(self, frames: Tensor, motion: Tensor) -> Tensor:
        """Actions `[N, 12]` for the newest frames and the base's motion `[N, 6]` x 2 (m/s, rad/s)."""
        now, before = frames[:, -1], frames[:, -2]
        default, scale = self.estimator.features.default, self.estimator.features.scale
        command = now[:, 3:6] / self.command_scale
        moving = (torch.linalg.vector_norm(command, dim=-1, keepdim=True) >= self._standing).to(now.dtype)
        sine = now[:, 67:68]
        # sin(p - d) = sin p cos d - cos p sin d: the frame before tells the cosine; after a restart it is empty
        cosine = ((self._cos * sine - before[:, 67:68]) / self._sin).clamp(-1.0, 1.0)
        last = (now[:, 42:54].clamp(-10.0, 10.0) * scale + default - self.stance) / self._unit
        seen = (
            motion[:, :3],
            0.25 * motion[:, 3:],
            now[:, :3],
            2.0 * moving * command,
            now[:, 18:30] + default - self.stance,
            now[:, 30:42],
            last,
            moving * sine,
            moving * cosine,
        )
        targets = self.stance + self._unit * self.policy(torch.cat(seen, dim=-1)).clamp(-10.0, 10.0)
        action: Tensor = (targets - default) / scale
        return action


class Walker(nn.Module):
    """Both networks."""

    def __init__(self) -> None:
        """Estimators are untrained."""
        super().__init__()
        self.adaptation, self.body = Estimator(LATENT), Body()

    def forward(self, history: Tensor) -> Tensor:
        """Actions `[N, 12]` for histories `[N, 2100]`."""
        action: Tensor = self.body(torch.cat((history, self.adaptation(history)), dim=-1))
        return action


def truth(body: gait.Proprioception) -> Tensor:
    """What the estimators should say, `[N, 6]`: the first network's two, and the second's four."""
    return _SCALED * torch.cat((body.linear_velocity, body.angular_velocity), dim=-1)
