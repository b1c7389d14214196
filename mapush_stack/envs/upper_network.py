"""Upstream's high-level policy as a planner: its published network says where the object should go next."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Optional, Tuple

import torch
from torch import Tensor

from ..errors import UserError
from ..guidance.planners import Planner
from ..guidance.rrt import waypoints
from ..learning.openrl.actor import read_module
from ..task.config import TaskConfig
from ..task.obstacles import AROUND, Course, nearest
from ..task.state import SimState

_INPUTS = 26
_ACTION_GAIN = 0.5
_REACH_X, _REACH_Y = 14.0, 5.5
"""Sub-goals are at x from 0, and at y to both sides of the middle, m; seen from the wall behind the start."""
_FIRST = 8.0
"""x of the sub-goal at the start, m."""
_STAYS = 0.2
"""A sub-goal moves only if it would move further, m."""
_NEXT = 1.3
"""The next waypoint is shown when the object is this near to one, m."""
_CORNER = 7.0
_TURN = 2 * math.pi
_WIDTH = 32_000
"""An episode remembers its sub-goal in mm, both numbers and that of its waypoint in one."""


class UpperNetwork(Planner):
    """Observes robots, object, two obstacles and a waypoint of upstream's planner; the final goal it never sees."""

    def __init__(self, config: TaskConfig, course: Course, seed: int) -> None:
        """See `Planner`.

        Raises:
            UserError: the file is none that upstream's high level reads.

        """
        super().__init__(config, course, seed)
        assert config.obstacles.arena is not None
        file = Path(config.obstacles.network)
        actor = read_module(file, actions=2)
        if actor.observation_size != _INPUTS:
            raise UserError(f"{file} takes {actor.observation_size} numbers; upstream's high level takes {_INPUTS}")
        self._actor = actor.to(course.goal.device)
        self._points = waypoints(course, config.obstacles.arena, seed).to(course.goal.device)
        # Upstream's origin is in the middle of the wall behind the start, with the goal in front.
        length, width = config.obstacles.arena
        self._sign = 2.0 * (course.goal[:, :1] >= 0) - 1.0
        self._first = course.goal.new_tensor([_FIRST, 0.0])
        self._corners = course.goal.new_tensor([[_REACH_X, -_CORNER], [_REACH_X, _CORNER]])
        back = 0.5 * length * (1.0 - self._sign)
        self._origin = course.corner + torch.cat((back, torch.full_like(back, 0.5 * width)), dim=-1)
        self._state: Optional[SimState] = None

    def see(self, state: SimState) -> None:
        """See `Planner.see`."""
        self._state = state

    def target(self, numbers: Tensor, place: Tensor, passed: Tensor) -> Tuple[Tensor, Tensor]:
        """See `Planner.target`."""
        origin, sign = self._origin[numbers], self._sign[numbers]
        number, shown = self._waypoint(numbers, place, passed)
        before = torch.where((passed == 0).unsqueeze(-1), self._first, _sub_goal(passed))
        seen = self._observed(numbers, before, sign * (shown - origin))
        action = (_ACTION_GAIN * self._actor.act(seen)).clamp(-1.0, 1.0)
        wanted = torch.stack((_REACH_X * 0.5 * (action[:, 0] + 1.0), _REACH_Y * action[:, 1]), dim=-1)
        moves = torch.linalg.vector_norm(wanted - before, dim=-1, keepdim=True) > _STAYS
        now = torch.where(moves, wanted, before)
        x, y = (1000.0 * now).round().to(torch.int64).unbind(-1)
        return sign * now + origin, (number * _WIDTH + x) * _WIDTH + y + _WIDTH // 2

    def _waypoint(self, numbers: Tensor, place: Tensor, passed: Tensor) -> Tuple[Tensor, Tensor]:
        """Number of the waypoint that is shown, and where it is, `[N, 2]`."""
        number = (passed // _WIDTH**2).clamp_min(1)
        away = torch.linalg.vector_norm(self._points[numbers, number] - place, dim=-1)
        number = (number + (away < _NEXT).to(torch.int64)).clamp_max(self._points.shape[1] - 1)
        return number, self._points[numbers, number]

    def _observed(self, numbers: Tensor, sub_goal: Tensor, waypoint: Tensor) -> Tensor:
        """`[N, 26]` in upstream's frame: robots' places and angles, sub-goal, object, obstacles, waypoint."""
        state, origin, sign = self._state, self._origin[numbers], self._sign[numbers]
        assert state is not None, "a planner sees before it aims"
        turn = (0.5 * math.pi * (1.0 - sign)).unsqueeze(1)
        robots = torch.cat((sign.unsqueeze(1) * (state.robot_pos[..., :2] - origin.unsqueeze(1)),
                            state.robot_pos[..., 2:]), dim=-1)  # fmt: skip
        angles = torch.remainder(torch.cat((state.robot_rpy[..., :2], state.robot_rpy[..., 2:] + turn), dim=-1), _TURN)
        half = 0.5 * (state.object_rpy[:, 2:] + turn[:, 0])
        flat = torch.zeros_like(half)
        return torch.cat(
            (
                robots.flatten(1),
                angles.flatten(1),
                sub_goal,
                sign * (state.object_pos[:, :2] - origin),
                *(flat, flat, torch.sin(half), torch.cos(half)),
                self._two_obstacles(numbers, state.object_pos[:, :2]),
                waypoint,
            ),
            dim=-1,
        )

    def _two_obstacles(self, numbers: Tensor, place: Tensor) -> Tensor:
        """`[N, 4]` centres of the two obstacles nearest to the object; missing ones are in the corners."""
        layout = self.course.layout.at(numbers).at((slice(None), slice(AROUND, None)))
        if layout.yaw.shape[1] > 2:
            layout = nearest(layout, place.unsqueeze(1), 2).at((slice(None), 0))
        centre = self._sign[numbers].unsqueeze(1) * (layout.centre - self._origin[numbers].unsqueeze(1))
        corners = self._corners.expand(len(centre), -1, -1)
        far = (centre.abs() > 100.0).any(-1, keepdim=True)
        centre = torch.where(far, corners[:, : centre.shape[1]], centre)
        return torch.cat((centre, corners[:, centre.shape[1] :]), dim=1).flatten(1)

    def follow(self, numbers: Tensor, place: Tensor, length: float) -> Tensor:
        """See `Planner.follow`: the way ends where it is."""
        return place


def _sub_goal(passed: Tensor) -> Tensor:
    """Sub-goals `[N, 2]` in upstream's frame from what an episode remembers, m."""
    packed = passed % _WIDTH**2
    return torch.stack((packed // _WIDTH, packed % _WIDTH - _WIDTH // 2), dim=-1).to(torch.float32) / 1000.0
