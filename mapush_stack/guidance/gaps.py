"""Narrow gaps on the way: between which obstacles they are, and how an object goes through them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..task.geometry import wrap_to_pi
from ..task.obstacles import Layout, closest
from ..task.outline import narrowest

_OPPOSITE = -0.2
"""Two obstacles are on opposite sides of a point if the cosine of the angle between their directions is below this."""
_ROUNDS = 2
"""So often the middle of a gap is moved to the middle between its sides; a wall's gap needs once."""
_CARE = (0.1, 0.5)
"""A gap is narrow, and not narrow at all, if it is so much wider than the object's diameter, m."""
_STRAIGHT = (1.0, 2.0)
"""So near to a gap's middle a target is on its axis, and so far away the gap has no influence; m."""
_MOST = 0.3
"""A target is moved by so much at most, m."""
_NONE = 1e3
"""Width where there is no gap, m."""


class Gap(NamedTuple):
    """The narrowest gap on the way of each of N teams."""

    middle: Tensor
    """`[N, 2]` m"""
    across: Tensor
    """`[N, 2]` unit vector from one side to the other."""
    width: Tensor
    """`[N]` m"""

    def centred(self, points: Tensor, care: Tensor, lean: Tensor) -> Tensor:
        """Points `[N, 2]` moved to where an object's origin goes through the middle, as far as `care` `[N]` asks.

        `lean` `[N]` is how far the middle of the object is from its origin, along `across`, m.
        """
        offset = points - self.middle
        aside = (offset * self.across).sum(-1)
        along = torch.linalg.vector_norm(offset - aside.unsqueeze(-1) * self.across, dim=-1)
        near = ((_STRAIGHT[1] - along) / (_STRAIGHT[1] - _STRAIGHT[0])).clamp(0.0, 1.0)
        shift: Tensor = (care * near * (aside + lean).clamp(-_MOST, _MOST)).unsqueeze(-1) * self.across
        return points - shift


class Fit:
    """How objects fit through gaps."""

    def __init__(self, outline: Tensor, symmetry_fold: int) -> None:
        """For objects with outlines `[V, 2]` or `[N, V, 2]` that look the same after turns by a part of a circle."""
        _, self._edge, self._middle = narrowest(outline)
        between = outline.unsqueeze(-2) - outline.unsqueeze(-3)
        self._diameter: Tensor = torch.linalg.vector_norm(between, dim=-1).amax((-1, -2))
        # Every object is as wide after half a turn.
        self._fold = symmetry_fold * (1 + symmetry_fold % 2) or 2

    def care(self, gap: Gap) -> Tensor:
        """How narrow gaps are for the objects, `[N]` from 0 to 1."""
        return ((_CARE[1] + self._diameter - gap.width) / (_CARE[1] - _CARE[0])).clamp(0.0, 1.0)

    def yaw(self, gap: Gap, now: Tensor) -> Tensor:
        """The yaw nearest to `now` `[N]` at which an object is narrowest across the gap, rad."""
        wanted = torch.atan2(gap.across[:, 1], gap.across[:, 0]) + 0.5 * math.pi - self._edge
        return now + wrap_to_pi(self._fold * (wanted - now)) / self._fold

    def lean(self, gap: Gap, yaw: Tensor) -> Tensor:
        """How far the middle of objects at `yaw` `[N]` is from their origin, along `gap.across`, m."""
        edge = yaw + self._edge
        return self._middle * (torch.cos(edge) * gap.across[:, 1] - torch.sin(edge) * gap.across[:, 0])


def narrowest_gap(layout: Layout, way: Tensor) -> Gap:
    """The narrowest gap between two obstacles of `[N, K]` that points `[N, P, 2]` of the ways pass."""
    rows, points = torch.arange(len(way), device=way.device), way.unsqueeze(-2)
    offset = closest(layout.at((slice(None), None)), points) - points
    length = torch.linalg.vector_norm(offset, dim=-1)
    direction = offset / length.clamp_min(1e-6).unsqueeze(-1)
    one = length.argmin(-1, keepdim=True)
    cosine = (direction * torch.take_along_dim(direction, one.unsqueeze(-1), dim=-2)).sum(-1)
    length, other = torch.where(cosine < _OPPOSITE, length, torch.full_like(length, _NONE)).min(-1, keepdim=True)
    pair = torch.cat((one, other), dim=-1)
    sides = torch.take_along_dim(offset, pair.unsqueeze(-1), dim=-2)
    width = torch.linalg.vector_norm(sides[..., 0, :] - sides[..., 1, :], dim=-1)
    width = torch.where(length.squeeze(-1) < _NONE, width, torch.full_like(width, _NONE))
    best = width.argmin(-1)
    middle, chosen, there = way[rows, best], layout.chosen(pair[rows, best]), width[rows, best] < _NONE
    for _ in range(_ROUNDS):
        edges = closest(chosen, middle.unsqueeze(1))
        middle = edges.mean(1)
    across = edges[:, 1] - edges[:, 0]
    width = torch.linalg.vector_norm(across, dim=-1)
    across = across / width.clamp_min(1e-6).unsqueeze(-1)
    return Gap(middle, across, torch.where(there, width, torch.full_like(width, _NONE)))
