"""What robots see of the way around obstacles, beside the next target, if `task.obstacles.observed`.

A target then has more numbers behind its own: see `WayAhead`.
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
        """A target `[..., T]` with this behind it, `[..., T + 5 + 2A]`."""
        return torch.cat((target, self.far, self.away, self.narrow, self.own.flatten(-2)), dim=-1)

    @staticmethod
    def of(target: Tensor, robots: int) -> WayAhead:
        """What is behind a target for so many robots."""
        far, away, narrow, own = torch.split(target[..., -5 - 2 * robots :], [2, 2, 1, 2 * robots], dim=-1)
        return WayAhead(far, away, narrow, own.reshape(*own.shape[:-1], -1, 2))


def seen_by_robots(state: SimState, target: Tensor, yaw: Tensor) -> Tensor:
    """`[..., A, 7]` in the heading frames: the point `far`, `away`, the robot's own, and `narrow`."""
    xy = state.robot_pos[..., :2]
    way = WayAhead.of(target, xy.shape[-2])
    vectors = torch.stack((way.far.unsqueeze(-2) - xy, way.away.unsqueeze(-2).expand_as(xy), way.own))
    far, away, own = rotate_by(vectors, torch.cos(yaw), -torch.sin(yaw)).unbind(0)
    return torch.cat((far, away, own, way.narrow.unsqueeze(-2).expand_as(xy[..., :1])), dim=-1)


def seen_from_object(state: SimState, target: Tensor) -> Tensor:
    """`[..., 5]` for a critic, with the x axis towards the target: the point `far`, `away`, `narrow`."""
    way, xy = WayAhead.of(target, state.robot_pos.shape[-2]), state.object_pos[..., :2]
    towards = target[..., :2] - xy
    towards = towards / torch.linalg.vector_norm(towards, dim=-1, keepdim=True).clamp_min(1e-6)
    far, away = rotate_by(torch.stack((way.far - xy, way.away)), towards[..., 0], -towards[..., 1]).unbind(0)
    return torch.cat((far, away, way.narrow), dim=-1)
