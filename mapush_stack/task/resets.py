"""How an episode begins (docs/task.md section 4)."""

from __future__ import annotations

import math
from typing import NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from .config import ObjectTask, TaskConfig
from .random import STREAM_AGE, STREAM_RESET, uniform
from .robot import RobotTask
from .state import SimState

_SHARED_DRAWS = 8
_ROBOT_DRAWS = 12
_ANGLE = (-0.01, 2 * math.pi)
_ROBOT_TILT = 0.01
_ROBOT_SPEED = 0.1
_AWAY = 1.0
"""Distance between the farthest target and a robot that is taken away, m."""


class Start(NamedTuple):
    """The start of an episode in each of `N` environments."""

    state: SimState
    """Poses and twists of robots and object, `[N, ...]`."""
    target: Tensor
    """`[N, 2]` the target point in the arena frame, m; if the goal is a pose `[N, 3]`, with its yaw, rad."""


def draw_start(
    config: TaskConfig,
    target_object: ObjectTask,
    seed: int,
    env_ids: Tensor,
    episodes: Tensor,
    heights: Optional[Tensor] = None,
) -> Start:
    """The start of episode `episodes[k]` of environment `env_ids[k]`; no other state is used.

    Args:
        seed: seed of the run.
        env_ids: `[N]` int64 indices of the environments.
        episodes: `[N]` int64 indices of the episodes within their environments.
        heights: `[A]` start height of each robot's base, m; without them the object's usual number of usual robots.

    """
    if heights is None:
        heights = torch.full((target_object.num_robots,), RobotTask().start_height, device=env_ids.device)
    robots = len(heights)
    draws = uniform(seed, STREAM_RESET, env_ids, episodes, _SHARED_DRAWS + _ROBOT_DRAWS * robots)
    shared, per_robot = draws[:, :_SHARED_DRAWS], draws[:, _SHARED_DRAWS:].view(-1, robots, _ROBOT_DRAWS)

    tilt = (-target_object.start_tilt, target_object.start_tilt)
    object_rpy = torch.stack(
        (_scale(shared[:, 0], tilt), _scale(shared[:, 1], tilt), _scale(shared[:, 2], _ANGLE)), dim=-1
    )
    object_pos = torch.zeros_like(object_rpy)
    object_pos[:, 2] = target_object.start_height
    target = _polar(_scale(shared[:, 3], config.target_distance), _scale(shared[:, 4], (0.0, 2 * math.pi)))
    if config.goal == "pose":
        target = torch.cat((target, _scale(shared[:, 5:6], (0.0, 2 * math.pi))), dim=-1)

    radius = _scale(per_robot[..., 0], target_object.robot_start_radius)
    planar = _polar(radius, _scale(per_robot[..., 1], _ANGLE))
    robot_pos = torch.cat((planar, heights.expand_as(radius).unsqueeze(-1)), dim=-1)
    tilts = _scale(per_robot[..., 3:5], (-_ROBOT_TILT, _ROBOT_TILT))
    robot_rpy = torch.cat((tilts, _scale(per_robot[..., 2:3], _ANGLE)), dim=-1)
    speeds = (-_ROBOT_SPEED, _ROBOT_SPEED)
    still = torch.zeros_like(object_pos)
    state = SimState(
        robot_pos=robot_pos,
        robot_rpy=robot_rpy,
        robot_lin_vel=_scale(per_robot[..., 5:8], speeds),
        robot_ang_vel=_scale(per_robot[..., 8:11], speeds),
        object_pos=object_pos,
        object_rpy=object_rpy,
        object_lin_vel=still,
        object_ang_vel=still.clone(),
        senses=robot_pos[..., :0],
        healthy=torch.ones_like(env_ids, dtype=torch.bool),
    )
    return Start(state, target)


def taken_away(config: TaskConfig, state: SimState, robots: Sequence[int]) -> SimState:
    """A start in which these robots stand further from the object than any target, in the direction of their places."""
    position = state.robot_pos.clone()
    for robot in robots:
        place = position[..., robot, :2]
        far = (config.target_distance[1] + _AWAY) / torch.linalg.vector_norm(place, dim=-1, keepdim=True)
        position[..., robot, :2] = far * place
    return state._replace(robot_pos=position)


def draw_ages(config: TaskConfig, seed: int, env_ids: Tensor) -> Tensor:
    """Random ages `[N]` (control steps) for first episodes, so that their time limits differ.

    Multiples of the action repeat, as every age at a decision is.
    """
    decisions = max(config.max_steps // config.action_repeat, 1)
    fraction = uniform(seed, STREAM_AGE, env_ids, torch.zeros_like(env_ids), 1)[:, 0]
    return (fraction * decisions).to(torch.int64) * config.action_repeat


def _scale(unit: Tensor, bounds: Tuple[float, float]) -> Tensor:
    low, high = bounds
    return low + (high - low) * unit


def _polar(radius: Tensor, angle: Tensor) -> Tensor:
    return torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1)
