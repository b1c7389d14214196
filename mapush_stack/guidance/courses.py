"""Courses that can be solved: drawn again until a way with room for the object leads to the goal."""

from __future__ import annotations

from typing import Optional, Tuple

import torch
from torch import Tensor

from ..errors import UserError
from ..task.config import ObjectTask, TaskConfig
from ..task.obstacles import AROUND, Course, Layout, Rooms, draw_course, present
from ..task.outline import narrowest
from ..task.resets import farthest_apart
from ..task.robot import RobotTask
from . import grid, upstream

_SURE, _RARE = 300, 100
"""So many layouts are drawn before one must be solvable; then one in so many."""
_AT_ONCE = 256
"""Courses in a batch, for memory's sake."""
_PLAY = 0.05
"""A way is at least so much wider than an object that is given it, m."""


def rooms(config: TaskConfig, target_object: ObjectTask, outlines: Tensor) -> Rooms:
    """What must be free of obstacles for objects with these outlines `[..., V, 2]` and their team."""
    radius = float(torch.linalg.vector_norm(outlines, dim=-1).max())
    farthest = target_object.robot_start_radius[1] + 0.6
    if config.placement == "apart":
        farthest = radius + farthest_apart(RobotTask().radius)
    return Rooms(start=farthest, goal=radius + 0.35)


def solvable_courses(
    config: TaskConfig, target_object: ObjectTask, seed: int, outlines: Optional[Tensor] = None
) -> Course:
    """The `config.obstacles.layouts` courses that belong to a seed, on the host.

    `outlines` `[N, V, 2]` are those of the objects, if it is not one for all.

    Raises:
        UserError: the arena has no room for them, or the object does not fit through the gaps.

    """
    if config.obstacles.drawing == "upstream":
        return upstream.courses(config, seed)
    outlines = torch.tensor(target_object.vertices) if outlines is None else outlines
    _check_gaps(config, least_width(target_object, outlines))
    numbers, free = torch.arange(config.obstacles.layouts), rooms(config, target_object, outlines)
    parts = [_solvable(config, free, seed, part) for part in torch.split(numbers, _AT_ONCE)]
    layouts = [part.layout for part in parts]
    return Course(
        Layout(*(torch.cat(tensors) for tensors in zip(*layouts))),
        torch.cat([part.goal for part in parts]),
        torch.cat([part.corner for part in parts]),
    )


def least_width(target_object: ObjectTask, outlines: Tensor) -> float:
    """Width of the narrowest gap that an object of these outlines `[..., V, 2]` fits through, m."""
    if target_object.symmetry_fold == 0:  # round: the vertices are on its edge, but not its edge between them
        return 2 * float(torch.linalg.vector_norm(outlines, dim=-1).max())
    return float(narrowest(outlines)[0].min())


def passable(config: TaskConfig, course: Course, outlines: Tensor) -> Tuple[Course, Tensor]:
    """Courses in the order of their width, and through how many of them each object `[N, V, 2]` fits, `[N]`.

    Raises:
        UserError: an object fits through none.

    """
    room = torch.minimum(_gaps(config, course).amin(-1), torch.tensor(2 * config.obstacles.clearance))
    room, order = torch.sort(room, descending=True, stable=True)
    width = narrowest(outlines)[0]
    fitting = torch.searchsorted(-room, -(width + _PLAY), right=True)
    if int(fitting.min()) == 0:
        raise UserError(
            f"task.obstacles: the widest way lets an object of {float(room[0]) - _PLAY:.4g} m through, and the object "
            f"of environment {int(width.argmax())} is {float(width.max()):.4g} m wide; ask for more task.obstacles."
            "clearance and wider gaps, or smaller objects (object.family.size)"
        )
    return course.at(order), fitting


def _solvable(config: TaskConfig, free: Rooms, seed: int, numbers: Tensor) -> Course:
    obstacles = config.obstacles
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
        left = left[~(placed & (_spare(config, drawn) >= 0))]
    return found


def _check_gaps(config: TaskConfig, width: float) -> None:
    """Refuse gaps that an object of this width does not fit through."""
    low, high = config.obstacles.gap
    if config.obstacles.gates and low < width:
        raise UserError(
            f"task.obstacles.gap=[{low:g}, {high:g}] is not allowed: the object is {width:.4g} m wide; give gaps that "
            f"are wider, such as task.obstacles.gap=[{width + 0.3:.1f},{max(high, width + 1.5):.1f}], or "
            "task.obstacles.gates=0"
        )


def _gaps(config: TaskConfig, course: Course) -> Tensor:
    """Widths of the gaps in the gates of each course, `[M, 1 + gates]` m; `grid.NEVER` first and for no gate."""
    found = [torch.full_like(course.goal[:, 0], grid.NEVER)]
    for gate in range(config.obstacles.gates):
        # The two boxes of a gate end where its gap begins and ends.
        lower, upper = AROUND + 2 * gate, AROUND + 2 * gate + 1
        centre, half = course.layout.centre[..., 1], course.layout.half[..., 1]
        gap = (centre[:, upper] - half[:, upper]) - (centre[:, lower] + half[:, lower])
        found.append(torch.where(present(course.layout.at((slice(None), lower))), gap, found[0]))
    return torch.stack(found, dim=-1)


def _spare(config: TaskConfig, course: Course) -> Tensor:
    """How much more clearance than is asked for the widest way of each course has, m; less where negative.

    A gate asks for no more than its gap has.
    """
    assert config.obstacles.arena is not None
    cells, wanted = grid.shape(config.obstacles.arena), config.obstacles.clearance
    gates = slice(AROUND, AROUND + 2 * config.obstacles.gates)
    others = [number for number in range(course.layout.yaw.shape[1]) if not gates.start <= number < gates.stop]
    room = grid.clearance(course._replace(layout=course.layout.at((slice(None), others))), cells) - wanted
    if config.obstacles.gates:
        at_gates = grid.clearance(course._replace(layout=course.layout.at((slice(None), gates))), cells)
        in_gap = 0.5 * _gaps(config, course).amin(-1) - 0.5 * grid.CELL - 1e-3
        room = torch.minimum(room, at_gates - in_gap.clamp_max(wanted).view(-1, 1, 1))
    return grid.width_of_way(course, room)
