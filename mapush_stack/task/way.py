"""What robots see of the way around obstacles, beside the next target, if `task.obstacles.observed`.

A target then has more numbers than its two: see `WayAhead`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .geometry import rotate_by
from .state import SimState

FAR = 2.5
"""Distance along the way of the point that is seen beside the target, m."""
REACH = 2.0
"""Obstacles further away than this are not seen, m."""
MIRROR = (1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0)
"""Signs of what a robot sees under a reflection about its heading."""


class WayAhead(NamedTuple):
    """What there is to see, in the arena frame."""

    far: Tensor
    """`[..., 2]` a point further along the way, m."""
    away: Tensor
    """`[..., 2]` away from the obstacle that is nearest to the object; 1 long at its edge, 0 at `REACH`."""
    narrow: Tensor
    """`[..., 1]` such a length at the point `far`."""
    own: Tensor
    """`[..., A, 2]` as `away`, for each robot."""

    def appended(self, target: Tensor) -> Tensor:
        """A target `[..., 2]` with this behind it, `[..., 7 + 2A]`."""
        return torch.cat((target, self.far, self.away, self.narrow, self.own.flatten(-2)), dim=-1)

    @staticmethod
    def of(target: Tensor) -> WayAhead:
        """What is behind a target `[..., 7 + 2A]`."""
        own = target[..., 7:]
        return WayAhead(target[..., 2:4], target[..., 4:6], target[..., 6:7], own.reshape(*own.shape[:-1], -1, 2))


def seen_by_robots(state: SimState, target: Tensor, yaw: Tensor) -> Tensor:
    """`[..., A, 7]` in the heading frames: the point `far`, `away`, the robot's own, and `narrow`."""
    way = WayAhead.of(target)
    xy = state.robot_pos[..., :2]
    vectors = torch.stack((way.far.unsqueeze(-2) - xy, way.away.unsqueeze(-2).expand_as(xy), way.own))
    far, away, own = rotate_by(vectors, torch.cos(yaw), -torch.sin(yaw)).unbind(0)
    return torch.cat((far, away, own, way.narrow.unsqueeze(-2).expand_as(xy[..., :1])), dim=-1)


def seen_from_object(state: SimState, target: Tensor) -> Tensor:
    """`[..., 5]` for a critic, with the x axis towards the target: the point `far`, `away`, `narrow`."""
    way, xy = WayAhead.of(target), state.object_pos[..., :2]
    towards = target[..., :2] - xy
    towards = towards / torch.linalg.vector_norm(towards, dim=-1, keepdim=True).clamp_min(1e-6)
    far, away = rotate_by(torch.stack((way.far - xy, way.away)), towards[..., 0], -towards[..., 1]).unbind(0)
    return torch.cat((far, away, way.narrow), dim=-1)
