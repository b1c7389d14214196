"""Planners: each gives the team its next target, for the courses of all environments at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Dict, Tuple, Type

import torch
from torch import Tensor

from ..task.config import TaskConfig
from ..task.obstacles import Course
from ..task.state import SimState
from . import grid
from .rrt import waypoints
from .rrt_star import ways

_STRIDE = 0.5 * grid.CELL
"""Length of a step along the way, m."""
_REACHED = 1.3
"""Upstream's team turns to the next waypoint when its object is this near to one, m."""


class Planner(ABC):
    """The way to the goal of each of M courses."""

    def __init__(self, config: TaskConfig, course: Course, seed: int) -> None:
        """Plan all courses; tensors live where `course` does."""
        self.course, self.look_ahead = course, config.obstacles.look_ahead

    def see(self, state: SimState) -> None:  # noqa: B027 (most need no more than the object's place)
        """Take note of the state `[N]` for which `target` is asked next."""

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
            part = course.at(rows)
            pace = grid.speed(grid.clearance(part, self._cells), config.obstacles.slow)
            times.append(grid.arrival_time(pace, part.goal - part.corner))
        self._slopes = _slopes(torch.cat(times))
        self._last = torch.tensor([size - 2.0 for size in self._cells], device=course.goal.device)

    def follow(self, numbers: Tensor, place: Tensor, length: float) -> Tensor:
        """See `Planner.follow`."""
        corner, (width, depth) = self.course.corner[numbers], self._cells
        # In cells, seen from the middle of the first one.
        at, goal = ((point - corner) / grid.CELL - 0.5 for point in (place, self.course.goal[numbers]))
        first, step = numbers * (width * depth), _STRIDE / grid.CELL
        for _ in range(max(round(length / _STRIDE), 1)):
            cell = torch.minimum(at.floor().clamp_min(0.0), self._last)
            within, (x, y) = (at - cell).clamp(0.0, 1.0), cell.to(torch.int64).unbind(-1)
            slope = self._slopes[first + x * depth + y]
            slope = torch.addcmul(slope[:, :2], slope[:, 2:], within.flip(-1))
            way = goal - at
            left = torch.linalg.vector_norm(way, dim=-1, keepdim=True)
            downhill = slope * (-step / torch.linalg.vector_norm(slope, dim=-1, keepdim=True).clamp_min(1e-9))
            straight = way * (step / left.clamp_min(1e-9)).clamp_max(1.0)
            at = at + torch.where(left < 1.0, straight, downhill)
        return corner + (at + 0.5) * grid.CELL


def _slopes(time: Tensor) -> Tensor:
    """Gradients of arrival times `[M, X, Y]` interpolated between four cells' middles, `[M X Y, 3]`.

    In the square that begins at a cell, at (u, v) in cells, the gradient is (first + third * v, second + third * u), in
    seconds a cell.
    """
    low = time
    right, above, both = (torch.roll(time, shift, (1, 2)) for shift in ((-1, 0), (0, -1), (-1, -1)))
    return torch.stack((right - low, above - low, (both - above) - (right - low)), dim=-1).view(-1, 3)


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


class RRTStar(Planner):
    """A point at the look-ahead distance on the way that OMPL's RRT* found, beyond its point nearest to the object."""

    def __init__(self, config: TaskConfig, course: Course, seed: int) -> None:
        """See `Planner`."""
        super().__init__(config, course, seed)
        assert config.obstacles.arena is not None
        self._points = ways(course, config.obstacles.arena, config.obstacles.slow[0], seed).to(course.goal.device)
        self._spacing = torch.linalg.vector_norm(self._points[:, 1] - self._points[:, 0], dim=-1).clamp_min(1e-3)

    def follow(self, numbers: Tensor, place: Tensor, length: float) -> Tensor:
        """See `Planner.follow`."""
        points = self._points[numbers]
        nearest = torch.linalg.vector_norm(points - place.unsqueeze(1), dim=-1).argmin(-1)
        ahead = nearest + torch.ceil(length / self._spacing[numbers]).to(torch.int64)
        return self._points[numbers, ahead.clamp_max(points.shape[1] - 1)]


PLANNERS: Dict[str, Type[Planner]] = {
    "fast_marching": FastMarching,
    "straight": Straight,
    "direct": Direct,
    "rrt": Waypoints,
    "rrt_star": RRTStar,
}
"""Every planner by its name in `task.obstacles.planner`."""


def towards(start: Tensor, end: Tensor, length: float) -> Tensor:
    """The points `[..., 2]` at most `length` from `start` on the way to `end`."""
    way = end - start
    distance = torch.linalg.vector_norm(way, dim=-1, keepdim=True).clamp_min(1e-9)
    return torch.lerp(start, end, (length / distance).clamp_max(1.0))
