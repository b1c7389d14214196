"""Planners: each gives the team its next target, for the courses of all environments at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Dict, Tuple, Type

import torch
from torch import Tensor

from ..task.config import TaskConfig
from ..task.obstacles import Course
from . import grid
from .rrt import waypoints

_STRIDE = 0.5 * grid.CELL
"""Length of a step along the way, m."""
_REACHED = 1.3
"""Upstream's team turns to the next waypoint when its object is this near to one, m."""


class Planner(ABC):
    """The way to the goal of each of M courses."""

    def __init__(self, config: TaskConfig, course: Course, seed: int) -> None:
        """Plan all courses; tensors live where `course` does."""
        self.course, self.look_ahead = course, config.obstacles.look_ahead

    def target(self, numbers: Tensor, place: Tensor, passed: Tensor) -> Tuple[Tensor, Tensor]:
        """The next target `[N, 2]` on courses `numbers` `[N]` for objects at `place` `[N, 2]`, m.

        `passed` `[N]` int64 is what the planner wants to remember of an episode, 0 at its start; the new one is
        returned too.
        """
        return self.follow(numbers, place, self.look_ahead), passed

    @abstractmethod
    def follow(self, numbers: Tensor, place: Tensor, length: float) -> Tensor:
        """The points `[N, 2]` at this length along the way from `place` `[N, 2]`, m."""


class Direct(Planner):
    """The goal itself."""

    def follow(self, numbers: Tensor, place: Tensor, length: float) -> Tensor:
        """See `Planner.follow`."""
        return self.course.goal[numbers]


class Straight(Planner):
    """A point on the straight line to the goal."""

    def follow(self, numbers: Tensor, place: Tensor, length: float) -> Tensor:
        """See `Planner.follow`."""
        return towards(place, self.course.goal[numbers], length)


class FastMarching(Planner):
    """A point at the look-ahead distance on the fastest way, where clearance limits the speed.

    Source: Valero-Gomez et al., "The path to efficiency: fast marching method for safer, more efficient mobile robot
    trajectories", 2013. The arrival times of a course are computed once; the way is followed anew from wherever the
    object is.
    """

    def __init__(self, config: TaskConfig, course: Course, seed: int) -> None:
        """See `Planner`."""
        super().__init__(config, course, seed)
        assert config.obstacles.arena is not None
        self._cells = grid.shape(config.obstacles.arena)
        times = []
        for rows in torch.split(torch.arange(len(course.goal), device=course.goal.device), 1024):
            part = Course(course.layout.at(rows), course.goal[rows], course.corner[rows])
            pace = grid.speed(grid.clearance(part, self._cells), config.obstacles.slow)
            times.append(grid.arrival_time(pace, part.goal - part.corner))
        self._time = torch.cat(times).flatten()

    def follow(self, numbers: Tensor, place: Tensor, length: float) -> Tensor:
        """See `Planner.follow`."""
        corner, goal = self.course.corner[numbers], self.course.goal[numbers]
        for _ in range(max(round(length / _STRIDE), 1)):
            near = torch.linalg.vector_norm(goal - place, dim=-1, keepdim=True) < grid.CELL
            ahead = place - _STRIDE * self._slope(numbers, place - corner)
            place = torch.where(near, towards(place, goal, _STRIDE), ahead)
        return place

    def _slope(self, numbers: Tensor, place: Tensor) -> Tensor:
        """Gradient of the arrival time at `place` `[N, 2]`, seen from the corner, up to its length."""
        (width, depth), at = self._cells, place / grid.CELL - 0.5
        x = at[:, 0].floor().clamp(0, width - 2)
        y = at[:, 1].floor().clamp(0, depth - 2)
        u, v = (at[:, 0] - x).clamp(0, 1), (at[:, 1] - y).clamp(0, 1)
        first = (numbers * width + x.to(torch.int64)) * depth + y.to(torch.int64)
        low, right, above, both = (self._time[first + step] for step in (0, depth, 1, depth + 1))
        along_x = (1 - v) * (right - low) + v * (both - above)
        along_y = (1 - u) * (above - low) + u * (both - right)
        slope = torch.stack((along_x, along_y), dim=-1)
        unit: Tensor = slope / torch.linalg.vector_norm(slope, dim=-1, keepdim=True).clamp_min(1e-9)
        return unit


class Waypoints(Planner):
    """Upstream's planner, made anew from its description: a random tree of coarse steps, and waypoints on its path.

    The team goes to a waypoint until the object is 1.3 m from it, then to the next one.
    """

    def __init__(self, config: TaskConfig, course: Course, seed: int) -> None:
        """See `Planner`."""
        super().__init__(config, course, seed)
        assert config.obstacles.arena is not None
        self._points = waypoints(course, config.obstacles.arena, seed).to(course.goal.device)

    def target(self, numbers: Tensor, place: Tensor, passed: Tensor) -> Tuple[Tensor, Tensor]:
        """See `Planner.target`."""
        last = self._points.shape[1] - 1
        away = torch.linalg.vector_norm(self._points[numbers, passed] - place, dim=-1)
        passed = (passed + (away < _REACHED).to(torch.int64)).clamp_max(last)
        return self._points[numbers, passed], passed

    def follow(self, numbers: Tensor, place: Tensor, length: float) -> Tensor:
        """See `Planner.follow`: the way ends where it is."""
        return place


PLANNERS: Dict[str, Type[Planner]] = {
    "fast_marching": FastMarching,
    "straight": Straight,
    "direct": Direct,
    "rrt": Waypoints,
}
"""Every planner by its name in `task.obstacles.planner`."""


def towards(start: Tensor, end: Tensor, length: float) -> Tensor:
    """The points `[..., 2]` at most `length` from `start` on the way to `end`."""
    way = end - start
    distance = torch.linalg.vector_norm(way, dim=-1, keepdim=True).clamp_min(1e-9)
    return torch.lerp(start, end, (length / distance).clamp_max(1.0))
