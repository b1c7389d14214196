"""A team that pushes by rule: what a task allows without learning (docs/teams.md)."""

from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from ..envs.push_env import PushEnv
from ..errors import UserError
from ..learning.contract import TeamPolicy
from ..task.geometry import rotate, wrap_to_pi

REACH = 0.29
"""From a robot's base to its front, m: docs/task.md section 12."""
_WALK, _PUSH = 0.7, 0.75
"""Speed to go to the object and to push it, m/s; commands are clipped to `task.command_limit`."""
_GAP = 0.15
"""How far behind the object a robot stops before it pushes, m."""
_DETOUR = 0.4
"""How far outside of the object's circle a robot walks around it, m."""
_SPREAD = 0.47
"""The outermost robots push at this share of the object's half width, seen along the way to the target."""


class ScriptedTeam(TeamPolicy):
    """Robots that walk around the object to the side away from the target, and push side by side towards it.

    It looks at poses as robots know them, not at observations. It knows a position to go to, not a pose.
    """

    def __init__(self, env: PushEnv) -> None:
        """A team for an environment.

        Raises:
            UserError: a robot has other actions than vx, vy and yaw rate, or the goal is a pose.

        """
        if env.config.goal != "position":
            raise UserError("the scripted team knows positions only: task.goal=pose needs a policy that has learned it")
        if any(robot.command_axes != (0, 1, 2) for robot in env.simulator.robots):
            raise UserError("the scripted team steers vx, vy and yaw rate, which a robot of this team cannot")
        self._env = env
        self._vertices = env.vertices
        self._limit = torch.tensor(env.config.command_limit, device=env.device) * env.config.action_gain
        places = torch.arange(env.spec.num_agents, device=env.device, dtype=torch.float32)
        self._lanes = 2 * (places + 0.5) / len(places) - 1 if len(places) > 1 else torch.zeros_like(places)

    def act(self, observations: Tensor) -> Tensor:
        """See `TeamPolicy.act`."""
        state, target = self._env.sight
        centre, heading = state.object_pos[:, None, :2], state.robot_rpy[..., 2]
        forward = target[:, None, :2] - centre
        forward = forward / torch.linalg.vector_norm(forward, dim=-1, keepdim=True).clamp_min(1e-6)
        aside = torch.stack((-forward[..., 1], forward[..., 0]), dim=-1)
        place = state.robot_pos[..., :2] - centre
        along, across = (place * forward).sum(-1), (place * aside).sum(-1)
        lane, depth = self._lane(across, forward, aside, state.object_rpy[:, 2])
        behind = (along < 0.12 - depth) & ((across - lane).abs() < 0.3)
        pushing = _PUSH * forward - 0.8 * (across - lane).clamp(-0.3, 0.3).unsqueeze(-1) * aside
        stand = lane.unsqueeze(-1) * aside - (depth + REACH + _GAP).unsqueeze(-1) * forward
        velocity = torch.where(behind.unsqueeze(-1), pushing, self._walk(place, stand))
        turn = wrap_to_pi(torch.atan2(forward[..., 1], forward[..., 0]) - heading)
        command = torch.cat((rotate(velocity, -heading), 3 * turn.unsqueeze(-1)), dim=-1)
        return (command / self._limit).clamp(-1, 1)

    def _lane(self, across: Tensor, forward: Tensor, aside: Tensor, yaw: Tensor) -> Tuple[Tensor, Tensor]:
        """Each robot's way: how far beside the object's centre, and how far behind it the object ends there, m."""
        corners = rotate(self._vertices, yaw[:, None])
        back, side = -(corners * forward).sum(-1), (corners * aside).sum(-1)
        order = across.argsort(-1).argsort(-1)  # nobody crosses another's way
        lane = _SPREAD * side.abs().amax(-1, keepdim=True) * self._lanes[order]
        start, end = side.unsqueeze(1), side.roll(-1, -1).unsqueeze(1)
        share = (lane.unsqueeze(-1) - start) / torch.where(end == start, torch.ones_like(end), end - start)
        reached = back.unsqueeze(1) + share * (back.roll(-1, -1) - back).unsqueeze(1)
        reached = torch.where((share >= 0) & (share <= 1) & (end != start), reached, torch.zeros_like(reached))
        return lane, reached.amax(-1)

    def _walk(self, place: Tensor, stand: Tensor) -> Tensor:
        """Velocities `[N, A, 2]` around the object from `place` to `stand`, both seen from its centre."""
        angle = torch.atan2(place[..., 1], place[..., 0])
        gap = wrap_to_pi(torch.atan2(stand[..., 1], stand[..., 0]) - angle)
        radius = torch.linalg.vector_norm(self._vertices, dim=-1).amax(-1) + _DETOUR
        ahead = angle + gap.clamp(-0.5, 0.5)
        circle = radius.view(-1, 1, 1) * torch.stack((ahead.cos(), ahead.sin()), dim=-1)
        way = torch.where((gap.abs() > 0.5).unsqueeze(-1), circle, stand) - place
        velocity: Tensor = _WALK * way / torch.linalg.vector_norm(way, dim=-1, keepdim=True).clamp_min(0.15)
        return velocity
