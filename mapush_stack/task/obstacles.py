"""Obstacles and the walls of an arena: where they stand, and how far things are from them (docs/long_way.md).

The object starts at the origin. The arena's sides are parallel to the axes; its corner differs between layouts.
"""

from __future__ import annotations

import math
from typing import Any, List, NamedTuple, Tuple, Union

import torch
from torch import Tensor

from ..errors import UserError
from .geometry import rotate_by
from .obstacle_config import ObstacleConfig
from .random import STREAM_OBSTACLES, uniform

WALL = 0.1
"""Half the thickness of walls, m."""
HEIGHT = 0.5
"""Of obstacles and walls, m, as upstream's."""
_TRIES = 8
"""Places that are drawn for an obstacle before its layout is given up."""
_BETWEEN_GATES = 2.6
"""Least distance of two walls with gates, m: an object of 1.2 m with a robot behind it fits in between."""
AROUND = 4
"""A layout begins with so many walls around the arena, then come two for each gate."""
_NOWHERE = 1000.0
"""Where obstacles are that a layout does not have, m."""


class Layout(NamedTuple):
    """Obstacles `[..., K]` of an arena each."""

    centre: Tensor
    """`[..., K, 2]` m"""
    yaw: Tensor
    """`[..., K]` rad"""
    half: Tensor
    """`[..., K, 2]` half the sides of a box; a cylinder's radius, twice; m"""
    round: Tensor
    """`[..., K]` bool: a cylinder."""

    def at(self, index: Any) -> Layout:
        """Every tensor indexed by `index` along its leading dimensions."""
        return Layout(*(tensor[index] for tensor in self))

    def chosen(self, numbers: Tensor) -> Layout:
        """The obstacles with these numbers `[..., P]`, of each layout its own."""
        pairs = numbers.unsqueeze(-1).expand(*numbers.shape, 2)
        return Layout(
            self.centre.gather(-2, pairs), self.yaw.gather(-1, numbers), self.half.gather(-2, pairs),
            self.round.gather(-1, numbers),
        )  # fmt: skip


class Course(NamedTuple):
    """Ways to go in `M` arenas: obstacles and goal; the object starts at the origin."""

    layout: Layout
    goal: Tensor
    """`[M, 2]` m"""
    corner: Tensor
    """`[M, 2]` corner of the arena with the least x and y, m"""

    def at(self, index: Any) -> Course:
        """The courses with these indices."""
        return Course(self.layout.at(index), self.goal[index], self.corner[index])

    def to(self, device: Union[str, torch.device]) -> Course:
        """The same courses on a device."""
        layout = Layout(*(tensor.to(device) for tensor in self.layout))
        return Course(layout, self.goal.to(device), self.corner.to(device))


class Rooms(NamedTuple):
    """What must be free of obstacles."""

    start: float
    """Around the object's start, m."""
    goal: float
    """Around the goal, m."""


def largest(config: ObstacleConfig) -> List[Tuple[float, float]]:
    """Half the sides that each obstacle has at most, m; the walls around always have them."""
    if config.arena is None:
        return []
    length, width = (0.5 * side for side in config.arena)
    around = [(WALL, width + 2 * WALL)] * 2 + [(length, WALL)] * 2
    half = 0.5 * config.size[1]
    return [*around, *[(WALL, width)] * (2 * config.gates), *[(half, half)] * (config.boxes + config.cylinders)]


def distances(layout: Layout, points: Tensor) -> Tensor:
    """Signed distances of points `[..., P, 2]` to the obstacles `[..., K]`, negative inside; `[..., P, K]` m."""
    x, y = (points.unsqueeze(-2) - layout.centre.unsqueeze(-3)).unbind(-1)
    cos, sin = torch.cos(layout.yaw).unsqueeze(-2), torch.sin(layout.yaw).unsqueeze(-2)
    half_x, half_y = layout.half.unsqueeze(-3).unbind(-1)
    beyond_x, beyond_y = (cos * x + sin * y).abs() - half_x, (cos * y - sin * x).abs() - half_y
    inside = torch.maximum(beyond_x, beyond_y).clamp_max(0.0)
    box = (beyond_x.clamp_min(0.0) ** 2 + beyond_y.clamp_min(0.0) ** 2).sqrt() + inside
    return torch.where(layout.round.unsqueeze(-2), (x * x + y * y).sqrt() - half_x, box)


def nearest(layout: Layout, points: Tensor, count: int) -> Layout:
    """The `count` obstacles `[..., P, count]` of each layout that are nearest to each point `[..., P, 2]`."""
    away = distances(layout, points)
    numbers = away.topk(min(count, away.shape[-1]), dim=-1, largest=False, sorted=False).indices
    found = layout.chosen(numbers.flatten(-2))
    return Layout(*(tensor.reshape(*numbers.shape, *tensor.shape[numbers.dim() - 1 :]) for tensor in found))


def present(layout: Layout) -> Tensor:
    """Which obstacles a layout has, `[..., K]` bool; the others are far away."""
    return layout.centre.abs().amax(-1) < 0.5 * _NOWHERE


def outlines(layout: Layout) -> List[Tensor]:
    """Polygons `[P, 2]` around the obstacles of one layout `[K]` that are there, on the host."""
    angle = torch.arange(48) * (2 * math.pi / 48)
    circle = torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)
    square = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    found = []
    for is_there, centre, yaw, half, is_round in zip(present(layout), *(tensor.cpu() for tensor in layout)):
        if is_there:
            corners = (circle if is_round else square) * half
            found.append(centre + rotate_by(corners, torch.cos(yaw), torch.sin(yaw)))
    return found


def closest(layout: Layout, points: Tensor) -> Tensor:
    """The point of each obstacle `[...]` that is nearest to a point `[..., 2]`, which may be within; m."""
    cos, sin = torch.cos(layout.yaw), torch.sin(layout.yaw)
    offset, half = rotate_by(points - layout.centre, cos, -sin), layout.half
    length = torch.linalg.vector_norm(offset, dim=-1, keepdim=True).clamp_min(1e-6)
    rim = offset * (half[..., :1] / length).clamp_max(1.0)
    edge = torch.where(layout.round.unsqueeze(-1), rim, torch.minimum(torch.maximum(offset, -half), half))
    return layout.centre + rotate_by(edge, cos, sin)


def away(layout: Layout, points: Tensor, reach: float) -> Tensor:
    """Vectors `[..., P, 2]` away from the obstacle that is nearest to each point `[..., P, 2]`.

    They are 1 long at its edge, and 0 at `reach` (m) and inside.
    """
    outside = points - closest(layout.chosen(distances(layout, points).argmin(-1)), points)
    length = torch.linalg.vector_norm(outside, dim=-1, keepdim=True)
    vectors: Tensor = outside / length.clamp_min(1e-6) * (1 - length / reach).clamp_min(0.0)
    return vectors


def gaps(layout: Layout, outline: Tensor) -> Tensor:
    """Distance of outlines, polygons `[..., P, 2]` in the arena frame, to the nearest obstacle, `[...]` m.

    Exact while they do not overlap, else not positive or small. An outline of two points is a line.
    """
    to_corners = distances(layout, outline).amin((-1, -2))
    reach = torch.where(layout.round.unsqueeze(-1), torch.zeros_like(layout.half), layout.half)
    half_x, half_y = reach.unbind(-1)
    x, y = torch.stack((half_x, half_x, -half_x, -half_x), -1), torch.stack((half_y, -half_y, -half_y, half_y), -1)
    cos, sin = torch.cos(layout.yaw).unsqueeze(-1), torch.sin(layout.yaw).unsqueeze(-1)
    corner_x = (layout.centre[..., :1] + cos * x - sin * y).unsqueeze(-1)
    corner_y = (layout.centre[..., 1:] + sin * x + cos * y).unsqueeze(-1)
    # Obstacles, corners and the outline's edges have a dimension each. x and y apart are faster than together.
    start = outline.unsqueeze(-3).unsqueeze(-3)
    (start_x, start_y), (edge_x, edge_y) = start.unbind(-1), (torch.roll(start, -1, dims=-2) - start).unbind(-1)
    off_x, off_y = corner_x - start_x, corner_y - start_y
    along = (off_x * edge_x + off_y * edge_y) / (edge_x**2 + edge_y**2).clamp_min(1e-9)
    along = along.clamp(0.0, 1.0)
    off_x, off_y = off_x - along * edge_x, off_y - along * edge_y
    away = (off_x * off_x + off_y * off_y).amin((-1, -2)).sqrt() - layout.half[..., 0] * layout.round
    return torch.minimum(to_corners, away.amin(-1))


def draw_course(
    config: ObstacleConfig, target_distance: Tuple[float, float], rooms: Rooms, seed: int, numbers: Tensor, attempt: int
) -> Tuple[Course, Tensor]:
    """Courses `[M]` that belong to (seed, numbers, attempt), and whether all obstacles found a place, `[M]` bool.

    Raises:
        UserError: the arena is too small for these distances of the target.

    """
    random, gates_end = config.boxes + config.cylinders, 8 + 3 * config.gates
    count = gates_end + random * (4 * _TRIES + 1)
    draws = uniform(seed, STREAM_OBSTACLES, numbers, torch.full_like(numbers, attempt), count)
    corner, goal = _start_and_goal(config, target_distance, rooms, draws[:, :6])
    assert config.arena is not None
    length, width = config.arena
    half_length, half_width, fixed = length / 2, width / 2, torch.ones(len(numbers))
    walls = [
        (fixed * -WALL, fixed * half_width, fixed * WALL, fixed * (half_width + 2 * WALL)),
        (fixed * (length + WALL), fixed * half_width, fixed * WALL, fixed * (half_width + 2 * WALL)),
        (fixed * half_length, fixed * -WALL, fixed * half_length, fixed * WALL),
        (fixed * half_length, fixed * (width + WALL), fixed * half_length, fixed * WALL),
    ]
    walls += _gates(config, rooms, goal, corner, draws[:, 6:gates_end])
    numbers_of_walls = torch.stack([torch.stack(wall, dim=-1) for wall in walls], dim=1)
    layout = Layout(
        centre=numbers_of_walls[..., :2] + corner.unsqueeze(1),
        yaw=torch.zeros(numbers_of_walls.shape[:-1]),
        half=numbers_of_walls[..., 2:],
        round=torch.zeros(numbers_of_walls.shape[:-1], dtype=torch.bool),
    )
    placed = torch.ones(len(numbers), dtype=torch.bool)
    per_obstacle = draws[:, gates_end:].view(len(numbers), random, 4 * _TRIES + 1)
    for number in range(random):
        is_round = number >= config.boxes
        found, one = _place(config, rooms, layout, goal, corner, per_obstacle[:, number], is_round)
        there = draws[:, 7] * (random + 1) >= random - number if config.fewer else torch.ones_like(found)
        one.centre.masked_fill_(~there.view(-1, 1, 1), _NOWHERE)
        layout = Layout(*(torch.cat((before, new), dim=1) for before, new in zip(layout, one)))
        placed = placed & (found | ~there)
    return Course(layout, goal, corner), placed


def _start_and_goal(
    config: ObstacleConfig, target_distance: Tuple[float, float], rooms: Rooms, draws: Tensor
) -> Tuple[Tensor, Tensor]:
    """Corner of the arena and goal, seen from the start, `[M, 2]` each."""
    assert config.arena is not None
    low, high = target_distance
    free_x, free_y = (side - rooms.start - rooms.goal for side in config.arena)
    gates_need = rooms.start + rooms.goal + (config.gates - 1) * _BETWEEN_GATES if config.gates else 0.0
    if min(free_x, free_y) <= 0 or high > math.hypot(free_x, free_y) or gates_need > min(free_x, low):
        gates = f" and {config.gates} gate{'s' * (config.gates > 1)}" if config.gates else ""
        raise UserError(
            f"task.obstacles.arena={list(config.arena)} is too small for targets up to {high:g} m away{gates}: make it "
            "larger, or task.target_distance smaller"
        )
    distance = low + (high - low) * draws[:, 0]
    least = torch.acos((free_x / distance).clamp_max(1.0))
    most = torch.asin((free_y / distance).clamp_max(1.0))
    if config.gates:
        most = torch.minimum(most, torch.acos(gates_need / distance))
    angle = least + (most - least).clamp_min(0.0) * draws[:, 1]
    shift = torch.stack((distance * torch.cos(angle), distance * torch.sin(angle)), dim=-1)
    sides = torch.tensor(config.arena)
    back = draws[:, 2:4] < 0.5
    spare = (sides - rooms.start - rooms.goal - shift) * draws[:, 4:6]
    start = torch.where(back, rooms.goal + shift, torch.full_like(shift, rooms.start)) + spare
    return -start, torch.where(back, -shift, shift)


def _gates(config: ObstacleConfig, rooms: Rooms, goal: Tensor, corner: Tensor, draws: Tensor) -> List[Any]:
    """The walls with gaps between start and goal, two boxes each, in the arena's own frame.

    `draws` are two numbers, of which the first says whether there are gates, then three of each gate.
    """
    assert config.arena is not None
    width, boxes = config.arena[1], []
    forward, reach = torch.sign(goal[:, 0]), goal[:, 0].abs()
    room = reach - rooms.start - rooms.goal - (config.gates - 1) * _BETWEEN_GATES
    shift = torch.where(draws[:, 0] < config.gate_share, torch.zeros_like(reach), torch.full_like(reach, _NOWHERE))
    low, high = config.gap
    for number in range(config.gates):
        where, share, wide = draws[:, 2 + 3 * number : 5 + 3 * number].unbind(-1)
        along = rooms.start + room * where / config.gates + number * (_BETWEEN_GATES + room / config.gates)
        gap = low + (high - low) * wide
        edge = (0.5 * gap + 0.6).clamp_max(0.5 * width)
        if config.gates > 1:  # on one side and the other, by turns
            share = 0.5 * (share + number % 2)
        x = forward * along - corner[:, 0] + shift
        middle = edge + (width - 2 * edge) * share
        lower, upper = middle - 0.5 * gap, width - middle - 0.5 * gap
        thin = torch.full_like(x, WALL)
        boxes.append((x, 0.5 * lower, thin, 0.5 * lower.clamp_min(0.01)))
        boxes.append((x, width - 0.5 * upper, thin, 0.5 * upper.clamp_min(0.01)))
    return boxes


def _place(
    config: ObstacleConfig, rooms: Rooms, others: Layout, goal: Tensor, corner: Tensor, draws: Tensor, is_round: bool
) -> Tuple[Tensor, Layout]:
    """One more obstacle: whether it found a place `[M]`, and itself `[M, 1]`.

    The first of some places counts where it is away from start and goal, and does not overlap the other obstacles.
    """
    assert config.arena is not None
    u = draws[:, 1:].view(len(draws), _TRIES, 4)
    low, high = config.size
    first = 0.5 * (low + (high - low) * u[..., 2])
    second = 0.5 * (low + (high - low) * u[..., 3]) if not is_round else first
    yaw = (0.5 * math.pi * draws[:, :1]).expand(-1, _TRIES)
    tries = Layout(
        centre=u[..., :2] * torch.tensor(config.arena) + corner.unsqueeze(1),
        yaw=torch.zeros_like(yaw) if is_round else yaw,
        half=torch.stack((first, second), dim=-1),
        round=torch.full_like(yaw, is_round, dtype=torch.bool),
    )
    ends = torch.stack((torch.zeros_like(goal), goal), dim=1)
    radius = first if is_round else torch.linalg.vector_norm(tries.half, dim=-1)
    free = (distances(tries, ends) > torch.tensor([[rooms.start], [rooms.goal]])).all(1)
    walls = AROUND + 2 * config.gates
    standing = Layout(*(tensor[:, walls:] for tensor in others))
    if standing.yaw.shape[1]:
        free = free & (distances(standing, tries.centre).amin(-1) > radius)
    chosen = free.to(torch.uint8).argmax(-1, keepdim=True)
    rows = torch.arange(len(draws)).unsqueeze(-1)
    return free.any(-1), tries.at((rows, chosen))
