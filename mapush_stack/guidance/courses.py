"""Courses that can be solved: drawn again until a way with room for the object leads to the goal."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Sequence, Tuple

import torch
from torch import Tensor

from ..errors import UserError
from ..task.config import ObjectTask, TaskConfig
from ..task.obstacles import AROUND, Course, Layout, Rooms, draw_course, present
from ..task.resets import farthest_apart
from ..task.robot import RobotTask
from . import grid

_SURE, _RARE = 300, 100
"""So many layouts are drawn before one must be solvable; then one in so many."""
_AT_ONCE = 256
"""Courses in a batch, for memory's sake."""


def rooms(config: TaskConfig, target_object: ObjectTask) -> Rooms:
    """What must be free of obstacles for an object and its team."""
    outline = torch.tensor(target_object.vertices)
    radius = float(torch.linalg.vector_norm(outline, dim=-1).max())
    farthest = target_object.robot_start_radius[1] + 0.6
    if config.placement == "apart":
        farthest = radius + farthest_apart(RobotTask().radius)
    return Rooms(start=farthest, goal=radius + 0.35)


def solvable_courses(config: TaskConfig, target_object: ObjectTask, seed: int) -> Course:
    """The `config.obstacles.layouts` courses that belong to a seed, on the host.

    Raises:
        UserError: the arena has no room for them, or the object does not fit through the gaps.

    """
    _check_gaps(config, target_object)
    numbers = torch.arange(config.obstacles.layouts)
    parts = [_solvable(config, target_object, seed, part) for part in torch.split(numbers, _AT_ONCE)]
    layouts = [part.layout for part in parts]
    return Course(
        Layout(*(torch.cat(tensors) for tensors in zip(*layouts))),
        torch.cat([part.goal for part in parts]),
        torch.cat([part.corner for part in parts]),
    )


def _solvable(config: TaskConfig, target_object: ObjectTask, seed: int, numbers: Tensor) -> Course:
    obstacles, free = config.obstacles, rooms(config, target_object)
    found, _ = draw_course(obstacles, config.target_distance, free, seed, numbers, 0)
    left, attempt, drawings = torch.arange(len(numbers)), 0, 0
    while len(left):
        solved = len(numbers) - len(left)
        if drawings > _SURE + _RARE * solved:
            raise UserError(
                f"task.obstacles: of {drawings} layouts that were drawn, {solved} have room for all obstacles and a "
                f"way of clearance {obstacles.clearance:g} m; ask for fewer or smaller obstacles, a larger arena, or "
                "less clearance"
            )
        drawn, placed = draw_course(obstacles, config.target_distance, free, seed, numbers[left], attempt)
        for kept, new in zip((*found.layout, found.goal, found.corner), (*drawn.layout, drawn.goal, drawn.corner)):
            kept[left] = new
        attempt, drawings = attempt + 1, drawings + len(left)
        left = left[~(placed & (_width(config, drawn) >= _wanted(config, drawn)))]
    return found


def _check_gaps(config: TaskConfig, target_object: ObjectTask) -> None:
    """Refuse gaps that the object does not fit through."""
    low, high = config.obstacles.gap
    width = narrowest(target_object.vertices)
    if config.obstacles.gates and low < width:
        raise UserError(
            f"task.obstacles.gap=[{low:g}, {high:g}] is not allowed: the object is {width:.4g} m wide; give gaps that "
            "are wider, or task.obstacles.gates=0"
        )


def narrowest(outline: Sequence[Tuple[float, float]]) -> float:
    """Least width of a polygon, m: that of the narrowest gap it fits through."""
    widths = []
    for (x, y), (other_x, other_y) in combinations(outline, 2):
        length = math.hypot(other_x - x, other_y - y)
        if length > 0:
            across = [((other_x - x) * v - (other_y - y) * u) / length for u, v in outline]
            widths.append(max(across) - min(across))
    return min(widths)


def _wanted(config: TaskConfig, course: Course) -> Tensor:
    """The clearance that a way of each course must have on the grid; in a gap no more than the gap has."""
    wanted = torch.full_like(course.goal[:, 0], config.obstacles.clearance)
    for gate in range(config.obstacles.gates):
        # The two boxes of a gate end where its gap begins and ends.
        lower, upper = AROUND + 2 * gate, AROUND + 2 * gate + 1
        centre, half = course.layout.centre[..., 1], course.layout.half[..., 1]
        gap = (centre[:, upper] - half[:, upper]) - (centre[:, lower] + half[:, lower])
        in_gap = torch.minimum(wanted, 0.5 * gap - 0.5 * grid.CELL - 1e-3)
        there = present(course.layout.at((slice(None), lower)))
        wanted = torch.where(there, in_gap, wanted)
    return wanted


def _width(config: TaskConfig, course: Course) -> Tensor:
    """Clearance of the widest way of each course, m."""
    assert config.obstacles.arena is not None
    cells = grid.shape(config.obstacles.arena)
    room = grid.clearance(course, cells)
    start = grid.cell_of(torch.zeros_like(course.goal), course.corner, cells)
    return grid.widest_way(room, start, grid.cell_of(course.goal, course.corner, cells))
