"""OMPL's RRT* (Karaman and Frazzoli, 2011): for each course a short way on which the object's centre keeps clear."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..task.obstacles import Course
from . import grid
from .rrt import resampled

_POINTS = 96
_TREE = 1500
"""Growths of a tree: 0.15 s on one CPU."""
_RANGE, _RESOLUTION = 1.0, 0.01
"""Longest branch, m; distance at which branches are checked, as a share of the arena's diagonal."""
_LOST = 0.05
"""A way that is needed is this much narrower than the widest one on the grid, m."""


def ways(course: Course, arena: Tuple[float, float], clearance: float, seed: int) -> Tensor:
    """Ways `[M, 96, 2]` from each start to its goal, as points at equal distances; straight where no way was found.

    Where no way has this clearance (m) they keep nearly what the widest one has.

    Raises:
        UserError: OMPL is not installed.

    """
    ompl = _import_ompl()
    cells = grid.shape(arena)
    found = []
    for rows in torch.split(torch.arange(len(course.goal)), 256):
        part = course.at(rows)
        room = grid.clearance(part, cells)
        least = (grid.width_of_way(part, room) - _LOST).clamp_max(clearance)
        fields, leasts, goals, corners = (one.cpu().numpy() for one in (room, least, part.goal, part.corner))
        for row, field, least, goal, corner in zip(rows.tolist(), fields, leasts, goals, corners):
            path = _path(ompl, field, -corner, goal - corner, arena, float(least), seed + row)
            found.append(resampled(path + corner, _POINTS))
    return torch.tensor(np.stack(found), dtype=torch.float32)


def _path(
    ompl: Any,
    field: np.ndarray,
    start: np.ndarray,
    goal: np.ndarray,
    arena: Tuple[float, float],
    least: float,
    seed: int,
) -> np.ndarray:
    """Vertices `[K, 2]` from start to goal, all seen from the arena's corner, where the field is at least `least`."""
    base, geometric = ompl.base, ompl.geometric
    ompl.util.RNG.setSeed(1 + seed % 2**31)
    space, bounds = base.RealVectorStateSpace(2), base.RealVectorBounds(2)
    for axis in (0, 1):
        bounds.setLow(axis, 0.0)
        bounds.setHigh(axis, arena[axis])
    space.setBounds(bounds)
    setup, ends = geometric.SimpleSetup(space), []
    setup.setStateValidityChecker(lambda state: _at(field, state[0], state[1]) >= least)
    setup.getSpaceInformation().setStateValidityCheckingResolution(_RESOLUTION)
    for place in (start, goal):
        state = space.allocState()
        state[0], state[1] = (float(value) for value in place)
        ends.append(state)
    setup.setStartAndGoalStates(*ends)
    planner = geometric.RRTstar(setup.getSpaceInformation())
    planner.setRange(_RANGE)
    setup.setPlanner(planner)
    grown = iter(range(_TREE))
    setup.solve(base.PlannerTerminationCondition(lambda: next(grown, None) is None))
    if not setup.haveExactSolutionPath():
        return np.stack((start, goal))
    path = setup.getSolutionPath()
    states = [path.getState(number) for number in range(path.getStateCount())]
    return np.array([(state[0], state[1]) for state in states])


def _at(field: np.ndarray, x: float, y: float) -> float:
    """The field `[X, Y]` at a point seen from the corner, linear between the middles of its cells."""
    u = min(max(x / grid.CELL - 0.5, 0.0), field.shape[0] - 1.001)
    v = min(max(y / grid.CELL - 0.5, 0.0), field.shape[1] - 1.001)
    i, j = int(u), int(v)
    u, v = u - i, v - j
    low = (1 - v) * field[i, j] + v * field[i, j + 1]
    return float((1 - u) * low + u * ((1 - v) * field[i + 1, j] + v * field[i + 1, j + 1]))


def _import_ompl() -> Any:
    try:
        import ompl
        import ompl.base
        import ompl.geometric
        import ompl.util
    except ImportError:
        raise UserError(
            "planner=rrt_star needs OMPL: pip install 'mapush_stack[ompl]' on Python 3.11 to 3.13"
        ) from None
    ompl.util.setLogLevel(ompl.util.LOG_NONE)
    return ompl
