"""Fields on the grid of an arena: clearance, widest way, and arrival time by fast sweeping.

A field is `[M, X, Y]`, one value for the middle of each cell.
"""

from __future__ import annotations

import math
from typing import List, Tuple

import torch
from torch import Tensor

from ..task.obstacles import Course, distances

CELL = 0.25
"""Side of a cell, m."""
NEVER = 1e6
"""Arrival time where no way leads, s."""
_SETTLED = 0.02
"""Arrival times are final when no sweep changes one by more, s."""


def shape(arena: Tuple[float, float]) -> Tuple[int, int]:
    """How many cells an arena has along x and y."""
    return math.ceil(arena[0] / CELL), math.ceil(arena[1] / CELL)


def clearance(course: Course, cells: Tuple[int, int]) -> Tensor:
    """Distance of each cell to the nearest obstacle, m; negative inside."""
    steps = [CELL * (torch.arange(count, device=course.goal.device) + 0.5) for count in cells]
    points = torch.stack(torch.meshgrid(*steps, indexing="ij"), dim=-1).flatten(0, 1)
    points = points + course.corner.unsqueeze(1)
    field = torch.full_like(points[..., 0], NEVER)
    for number in range(course.layout.yaw.shape[1]):  # one by one: all together are slow, because they fill no cache
        one = course.layout.at((slice(None), slice(number, number + 1)))
        field = torch.minimum(field, distances(one, points)[..., 0])
    return field.view(-1, *cells)


def speed(room: Tensor, slow: Tuple[float, float]) -> Tensor:
    """The planned speed by clearance: full at the upper end of `slow`, a twentieth at the lower end.

    Below it falls slowly, so that a narrower gap is passed where there is no other way, and in its middle. Nothing
    passes where the clearance is less than 0.3 of the lower end.
    """
    low, high = slow
    share = ((room - low) / max(high - low, 1e-6)).clamp(0.0, 1.0)
    narrow = 0.05 * (room / low).clamp_min(0.0)
    return torch.where(
        room < 0.3 * low, torch.full_like(room, 1e-3), torch.where(room < low, narrow, 0.05 + 0.95 * share)
    )


def cell_of(points: Tensor, corner: Tensor, cells: Tuple[int, int]) -> Tuple[Tensor, Tensor]:
    """Indices of the cells that hold points `[..., 2]`, the nearest ones for points outside."""
    x, y = ((points - corner) / CELL).floor().to(torch.int64).unbind(-1)
    return x.clamp(0, cells[0] - 1), y.clamp(0, cells[1] - 1)


def widest_way(room: Tensor, start: Tuple[Tensor, Tensor], goal: Tuple[Tensor, Tensor]) -> Tensor:
    """Largest clearance that some way from start to goal, cells `[M]` each, keeps everywhere; `[M]` m."""
    rows = torch.arange(len(room), device=room.device)
    way = torch.full_like(room, -NEVER)
    way[(rows, *start)] = room[(rows, *start)]
    while True:
        near = way.clone()
        near[:, 1:] = torch.maximum(near[:, 1:], way[:, :-1])
        near[:, :-1] = torch.maximum(near[:, :-1], way[:, 1:])
        around = near.clone()
        around[..., 1:] = torch.maximum(around[..., 1:], near[..., :-1])
        around[..., :-1] = torch.maximum(around[..., :-1], near[..., 1:])
        wider = torch.maximum(way, torch.minimum(around, room))
        if torch.equal(wider, way):
            return way[(rows, *goal)]
        way = wider


def width_of_way(course: Course, room: Tensor) -> Tensor:
    """Least `room` `[M, X, Y]` on the way of each course that has most of it, `[M]`; of `clearance` its width, m."""
    cells = (room.shape[1], room.shape[2])
    start = cell_of(torch.zeros_like(course.goal), course.corner, cells)
    return widest_way(room, start, cell_of(course.goal, course.corner, cells))


def arrival_time(pace: Tensor, goal: Tensor) -> Tensor:
    """Time to the goal from every cell, at these speeds `[M, X, Y]` (m/s) to points `[M, 2]` seen from the corner.

    Fast sweeping of the eikonal equation (Zhao, "A fast sweeping method for eikonal equations", 2005), in whose
    sweeps the cells of a diagonal are updated together. Cells near the goal have the exact time at the goal's speed.
    """
    count, width, depth = pace.shape
    cost = torch.full((count, width + 2, depth + 2), NEVER, device=pace.device)
    cost[:, 1:-1, 1:-1] = CELL / pace
    time = torch.full_like(cost, NEVER)
    offsets = torch.arange(-2, 3, device=pace.device)
    rows = torch.arange(count, device=pace.device).view(-1, 1, 1)
    x, y = cell_of(goal, torch.zeros_like(goal), (width, depth))
    near_x = (x.view(-1, 1, 1) + offsets.view(1, -1, 1)).clamp(0, width - 1)
    near_y = (y.view(-1, 1, 1) + offsets.view(1, 1, -1)).clamp(0, depth - 1)
    middles = CELL * (torch.stack((near_x.expand(-1, -1, 5), near_y.expand(-1, 5, -1)), dim=-1) + 0.5)
    away = torch.linalg.vector_norm(middles - goal.view(-1, 1, 1, 2), dim=-1)
    time[rows, near_x + 1, near_y + 1] = away / pace[rows, x.view(-1, 1, 1), y.view(-1, 1, 1)]
    into, back = _diagonals(width + 2, depth + 2, pace.device)
    costs = [_skewed(one, into) for one in (cost, cost.flip(1))]
    while True:
        before = time
        for turned in (False, True):
            skewed = _skewed(time.flip(1) if turned else time, into)
            _sweep(skewed, costs[turned])
            time = skewed.transpose(0, 1).flatten(1)[:, back].view_as(cost)
            time = time.flip(1) if turned else time
        if settled(before, time):
            return time[:, 1:-1, 1:-1].contiguous()


def settled(before: Tensor, time: Tensor) -> bool:
    """Whether arrival times have changed so little that they are final."""
    return float((before - time).abs().max()) < _SETTLED


def _diagonals(width: int, depth: int, device: torch.device) -> Tuple[Tensor, Tensor]:
    """Where the cells of each diagonal `[width + depth - 1, width]` are in a flat field, and the way back."""
    diagonal = torch.arange(width + depth - 1, device=device).view(-1, 1)
    x = torch.arange(width, device=device).view(1, -1)
    y = diagonal - x
    into = torch.where((y >= 0) & (y < depth), x * depth + y, torch.full_like(y, width * depth))
    x, y = torch.arange(width, device=device).view(-1, 1), torch.arange(depth, device=device).view(1, -1)
    return into, ((x + y) * width + x).flatten()


def _skewed(field: Tensor, into: Tensor) -> Tensor:
    """A field with its diagonals as rows, `[D, M, X]`; NEVER outside."""
    flat = torch.nn.functional.pad(field.flatten(1), (0, 1), value=NEVER)
    return flat[:, into.flatten()].view(len(field), *into.shape).transpose(0, 1).contiguous()


def _sweep(time: Tensor, cost: Tensor) -> None:
    """Update all diagonals in their order and back again, in place."""
    last = len(time) - 1
    order: List[int] = [*range(1, last), *range(last - 1, 0, -1)]
    for row in order:
        before, after, step = time[row - 1], time[row + 1], cost[row][:, 1:-1]
        along_x = torch.minimum(before[:, :-2], after[:, 2:])
        along_y = torch.minimum(before[:, 1:-1], after[:, 1:-1])
        apart = torch.minimum((along_x - along_y).abs_(), step)
        # Godunov's scheme: (a + b + sqrt(2 c^2 - (a - b)^2)) / 2, or min(a, b) + c where a and b are further apart.
        new = (2 * step * step).addcmul_(apart, apart, value=-1).clamp_min_(0.0).sqrt_().add_(apart).mul_(0.5)
        own = time[row][:, 1:-1]
        torch.minimum(own, new.add_(torch.minimum(along_x, along_y)), out=own)
