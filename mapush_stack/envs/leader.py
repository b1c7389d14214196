"""A learned high level: pushing environments whose one agent leads a trained team around obstacles."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..device.replay import Replay
from ..learning.contract import TeamPolicy
from ..learning.vec_env import AgentSpec, EnvSpec
from ..task import metrics, rewards
from ..task.config import ObjectTask, TaskConfig
from ..task.geometry import rotate_by
from ..task.global_state import global_state
from ..task.obstacles import Layout, distances
from ..task.robot import RobotTask
from ..task.state import SimState
from .decision import Step
from .leader_config import LeaderConfig
from .push_env import PushEnv
from .spec import start_of

_RINGS, _POINTS = (0.9, 1.8), 12
"""Radii of two rings about the object on which the leader sees the clearance, m, and points on each."""
_SEEN = (-0.3, 1.0)
"""Clearances below and above these look the same, m."""
_FAR = 5.0
"""Goals further away than this are seen at this distance, m."""


class Led(NamedTuple):
    """A trained team, and how it is led."""

    config: LeaderConfig
    team: TeamPolicy


class LedEnv(PushEnv):
    """As `PushEnv`, with a leader for its one agent; the team's own policy stays as it is.

    The leader's action `[N, 1, K]`, numbers from -1 to 1, says by how much the target that the robots see is moved
    ahead and aside, how much the robots are slowed down (below 0), and by how much the target is turned where it has a
    yaw. With 0 the team has the planner alone. Rewards are the task's, mean of the team, to the planner's own target.
    """

    def __init__(self, led: Led, config: TaskConfig, *arguments: Any) -> None:
        """`config` and `arguments` as in `PushEnv`."""
        super().__init__(config, *arguments)
        assert self.obstacles is not None, "a configuration with a leader has obstacles"
        self._lead, self._led_team = led.config, led.team
        self.spec = leader_spec(config, self.object, self.simulator.robots)
        self._points = ring_points().to(self.device)
        self._ended_on = self.obstacles.course.clone()
        self._order = Replay(self._ordered, self.device)

    def _do(self, action: Tensor) -> Step:
        return super()._do(self._order(action[:, 0]))

    def _ordered(self, order: Tensor) -> Tensor:
        """The team's action `[N, A, K]` under the leader's `order` `[N, 3 or 4]`."""
        order, (state, target) = order.clamp(-1.0, 1.0), self.link.sight(self._state, self._target)
        ahead = _towards(state, target)
        shift = rotate_by(self._lead.shift * order[:, :2], ahead[:, 0], ahead[:, 1])
        moved = [target[:, :2] + shift, target[:, 2:]]
        if self.config.turned:
            turn = math.radians(self._lead.turn) * order[:, 3:]
            moved[1:] = [target[:, 2:3] + turn, target[:, 3:]]
        action = self._led_team.act(super()._observe(state, torch.cat(moved, dim=-1), self.episodes.here))
        speed = 1.0 + (1.0 - self._lead.slowest) * order[:, 2].clamp_max(0.0)
        limit = 1.0 / self.config.action_gain
        return action.clamp(-limit, limit) * speed.view(-1, 1, 1)

    def _conclude_decision(self, work: Optional[Tensor], *states: Tensor) -> Step:
        assert self.obstacles is not None
        self._ended_on.copy_(self.obstacles.course)
        return super()._conclude_decision(work, *states)

    def _observe(self, state: SimState, target: Tensor, here: Tensor, yaw: Optional[Tensor] = None) -> Tensor:
        return self._global_state(state, target, here)

    def _global_state(self, state: SimState, target: Tensor, here: Tensor) -> Tensor:
        """`[N, 1, D]` what the leader sees; `[2, N, 1, D]` of the present states and of those before resets."""
        assert self.obstacles is not None
        courses, now = self.obstacles.courses, self.obstacles.course
        course = now if state.healthy.dim() == 1 else torch.stack((now, self._ended_on))
        seen = self.object, state, target, self._outline, here.to(target.dtype)
        return observed(self.config, *seen, courses.goal[course], courses.layout.at(course), self._points)

    def _reward(
        self, transition: rewards.Transition, counts: Tensor, ended: metrics.EpisodeResult
    ) -> Tuple[Tensor, metrics.EpisodeResult]:
        reward, ended = super()._reward(transition, counts, ended)
        return reward.mean(-1, keepdim=True), ended


def leader_spec(config: TaskConfig, target_object: ObjectTask, robots: Sequence[RobotTask]) -> EnvSpec:
    """What a learner has to know of environments in which it leads a team."""
    state, target = start_of(config, target_object, robots)
    nothing = Layout(torch.zeros(1, 1, 2), torch.zeros(1, 1), torch.ones(1, 1, 2), torch.ones(1, 1, dtype=torch.bool))
    here = torch.ones(1, len(robots))
    seen = observed(config, target_object, state, target, None, here, torch.ones(1, 2), nothing, ring_points())
    values, numbers = seen.shape[-2:]
    agent = AgentSpec(numbers, 4 if config.turned else 3, action_bound=1.0)
    return EnvSpec((agent,), (values, numbers), True, config.sensing.active)


def ring_points() -> Tensor:
    """The points `[P, 2]` about the object at which the leader sees the clearance, with x towards the target; m."""
    angle = torch.arange(_POINTS) * (2 * math.pi / _POINTS)
    ring = torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)
    return torch.cat([radius * ring for radius in _RINGS])


def observed(
    config: TaskConfig,
    target_object: ObjectTask,
    state: SimState,
    target: Tensor,
    outline: Optional[Tensor],
    here: Tensor,
    goal: Tensor,
    layout: Layout,
    points: Tensor,
) -> Tensor:
    """What a leader sees, `[..., 1, D]`, from the object towards the target.

    The critic's `target_frame`, distance and direction of the goal `[..., 2 or 3]`, and the clearances at `points`
    among the obstacles `layout` `[..., K]`.
    """
    framed = config.model_copy(update={"global_state": "target_frame"})
    around = global_state(framed, target_object, state, target, outline, here)
    place, ahead = state.object_pos[..., :2], _towards(state, target)
    cos, sin = ahead[..., :1], ahead[..., 1:]
    way = goal[..., :2] - place
    distance = torch.linalg.vector_norm(way, dim=-1, keepdim=True)
    direction = rotate_by(way / distance.clamp_min(1e-6), cos.squeeze(-1), -sin.squeeze(-1))
    there = place.unsqueeze(-2) + rotate_by(points.expand(*place.shape[:-1], *points.shape), cos, sin)
    clearance = distances(layout, there).amin(-1).clamp(*_SEEN)
    ahead_of = torch.cat((distance.clamp_max(_FAR), direction, clearance), dim=-1)
    return torch.cat((around, ahead_of.unsqueeze(-2)), dim=-1)


def _towards(state: SimState, target: Tensor) -> Tensor:
    """Unit vectors `[..., 2]` from the object towards the target."""
    way = target[..., :2] - state.object_pos[..., :2]
    direction: Tensor = way / torch.linalg.vector_norm(way, dim=-1, keepdim=True).clamp_min(1e-6)
    return direction
