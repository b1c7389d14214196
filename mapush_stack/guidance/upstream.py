"""Courses as upstream's high level draws them: two boxes anywhere, in an arena where everything starts at one end.

Upstream does not check them: obstacles may overlap the object or a robot, and there may be no way to the goal.
"""

from __future__ import annotations

import math
from typing import Dict

import torch
from torch import Tensor

from ..errors import UserError
from ..task.config import ObjectTask, TaskConfig
from ..task.geometry import rotate
from ..task.obstacles import AROUND, WALL, Course, Layout, distances, gaps, largest
from ..task.random import STREAM_OBSTACLES, uniform
from ..task.resets import draw_start
from ..task.robot import RobotTask
from . import grid

_START = 1.6
"""Distance of the object's start from the wall behind it, m; it is in the middle of the others."""
_GOAL_X, _GOAL_Y = 9.5, 2.0
"""A goal is at |N(0, 1)| beyond the first, from that wall, and at N(0, 1) beyond the second to either side, m."""
_MARGIN = 0.5
"""Obstacles' centres are so far from the walls at the sides, m."""


def courses(config: TaskConfig, seed: int) -> Course:
    """The `config.obstacles.layouts` courses that belong to a seed, on the host.

    Raises:
        UserError: the arena is too small.

    """
    obstacles = config.obstacles
    assert obstacles.arena is not None
    length, width = obstacles.arena
    if length < _GOAL_X + 1 or width < 2 * _GOAL_Y + 2:
        raise UserError(
            f"task.obstacles.arena={list(obstacles.arena)} is too small for drawing=upstream; upstream's is [14, 15]"
        )
    numbers = torch.arange(obstacles.layouts)
    draws = uniform(seed, STREAM_OBSTACLES, numbers, torch.zeros_like(numbers), 4 + 5 * obstacles.boxes)
    corner = torch.tensor([-_START, -0.5 * width]).expand(len(numbers), 2)
    # Box and Muller's normal numbers; goals that would be in a wall stand at it.
    radius = (-2 * torch.log(1 - draws[:, 0])).sqrt()
    first, second = radius * torch.cos(2 * math.pi * draws[:, 1]), radius * torch.sin(2 * math.pi * draws[:, 1])
    goal_x = (_GOAL_X + first.abs()).clamp_max(length - _MARGIN)
    goal_y = (second + _GOAL_Y * torch.sign(second)).clamp(-0.5 * width + _MARGIN, 0.5 * width - _MARGIN)
    goal = torch.stack((goal_x - _START, goal_y), dim=-1)
    walls = torch.tensor([[-WALL, 0.5 * width], [length + WALL, 0.5 * width]])
    walls = torch.cat((walls, torch.tensor([[0.5 * length, -WALL], [0.5 * length, width + WALL]])))
    u = draws[:, 4:].view(len(numbers), obstacles.boxes, 5)
    low, high = obstacles.size
    spread = torch.tensor([length, width - 2 * _MARGIN])
    layout = Layout(
        centre=torch.cat((walls.expand(len(u), -1, -1), u[..., :2] * spread + torch.tensor([0.0, _MARGIN])), 1)
        + corner.unsqueeze(1),
        yaw=torch.cat((torch.zeros(len(u), AROUND), 2 * math.pi * u[..., 2]), dim=1),
        half=torch.cat(
            (torch.tensor(largest(obstacles)[:AROUND]).expand(len(u), -1, -1), 0.5 * (low + (high - low) * u[..., 3:])),
            dim=1,
        ),
        round=torch.zeros(len(u), AROUND + obstacles.boxes, dtype=torch.bool),
    )
    return Course(layout, goal, corner)


def kinds(
    config: TaskConfig, target_object: ObjectTask, robots: int, course: Course, least: float
) -> Dict[str, Tensor]:
    """Which courses are `clear`, `blocked` or `impossible`, `[M]` bool; each is one of them.

    Impossible: an obstacle overlaps the object or a robot at the start, or no way is as wide as the object. Blocked: an
    obstacle is nearer to the straight line to the goal than half the object's width `least`, m.
    """
    zero = torch.zeros(1, dtype=torch.int64)
    start = draw_start(config, target_object, 0, zero, zero, torch.zeros(robots)).state
    outline = rotate(torch.tensor(target_object.vertices), start.object_rpy[:, 2:])
    overlaps = gaps(course.layout, outline.expand(len(course.goal), -1, -1)) <= 0
    places = start.robot_pos[..., :2].expand(len(course.goal), -1, -1)
    overlaps |= (distances(course.layout, places) < RobotTask().radius).flatten(1).any(-1)
    assert config.obstacles.arena is not None
    widest = grid.width_of_way(course, grid.clearance(course, grid.shape(config.obstacles.arena)))
    impossible = overlaps | (widest < 0.5 * least - 0.5 * grid.CELL)
    along = torch.linspace(0.0, 1.0, 101).view(1, -1, 1) * course.goal.unsqueeze(1)
    standing = course.layout.at((slice(None), slice(AROUND, None)))
    near = torch.zeros_like(impossible)
    if standing.yaw.shape[1]:
        near = distances(standing, along).amin((-1, -2)) < 0.5 * least
    return {"clear": ~near & ~impossible, "blocked": near & ~impossible, "impossible": impossible}
