"""Upstream's planner, written anew from its parameters: a rapidly exploring random tree (docs/long_way.md)."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
import torch
from torch import Tensor

from ..task.obstacles import Course, distances

_STEP, _GOAL_BIAS, _GOAL_REACH = 0.75, 0.75, 1.5
"""Length of a branch (m), share of branches that grow towards the goal, distance at which the goal is reached (m)."""
_ROOM = 0.6
"""Least distance of a vertex from obstacles, m: upstream asks for 1.1 m between the centres of its boxes of 1 m."""
_POINTS = 13
_MOST_VERTICES = 3000


def waypoints(course: Course, arena: Tuple[float, float], seed: int) -> Tensor:
    """Waypoints `[M, 13, 2]` from each start to each goal; the goal thirteen times where the tree did not reach it."""
    ways = []
    for number in range(len(course.goal)):
        layout = course.layout.at(slice(number, number + 1))
        corner, goal = course.corner[number].cpu().numpy(), course.goal[number].cpu().numpy()
        one = Course(type(layout)(*(tensor.cpu() for tensor in layout)), course.goal[:0], course.corner[:0])
        path = _path(one, corner, corner + np.array(arena), goal, np.random.default_rng([seed, number]))
        ways.append(resampled(path, _POINTS + 1)[1:])  # without the start
    return torch.tensor(np.stack(ways), dtype=torch.float32)


def _path(
    course: Course, low: np.ndarray, high: np.ndarray, goal: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Vertices `[K, 2]` from the origin to the goal. Only vertices are checked, not the branches between them."""
    vertices, parents = np.zeros((_MOST_VERTICES, 2)), [0]
    for _ in range(10 * _MOST_VERTICES):
        aim = goal if random.random() < _GOAL_BIAS else random.uniform(low, high)
        count = len(parents)
        nearest = int(((vertices[:count] - aim) ** 2).sum(1).argmin())
        way = aim - vertices[nearest]
        new = vertices[nearest] + way * min(1.0, _STEP / max(float(np.hypot(*way)), 1e-9))
        point = torch.tensor(new, dtype=torch.float32).view(1, 1, 2)
        if float(distances(course.layout, point).min()) < _ROOM:
            continue
        vertices[count] = new
        parents.append(nearest)
        if np.hypot(*(goal - new)) < _GOAL_REACH or count + 1 == _MOST_VERTICES:
            break
    if np.hypot(*(goal - vertices[len(parents) - 1])) >= _GOAL_REACH:
        return np.stack((goal, goal))
    order: List[int] = [len(parents) - 1]
    while order[-1]:
        order.append(parents[order[-1]])
    return np.concatenate((vertices[order[::-1]], goal[None]))


def resampled(path: np.ndarray, count: int) -> np.ndarray:
    """`[count, 2]` points at equal distances along a path `[K, 2]`, with its ends."""
    along = np.concatenate(([0.0], np.hypot(*np.diff(path, axis=0).T).cumsum()))
    wanted = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(wanted, along, path[:, axis]) for axis in (0, 1)], axis=1)
