"""How an episode begins (docs/task.md section 4)."""

from __future__ import annotations

import math
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from .config import ObjectTask, TaskConfig
from .geometry import rotate
from .random import STREAM_AGE, STREAM_RESET, STREAM_TEAM, uniform
from .robot import RobotTask
from .state import SimState

_SHARED_DRAWS = 8
_ROBOT_DRAWS = 12
_ANGLE = (-0.01, 2 * math.pi)
_ROBOT_TILT = 0.01
_ROBOT_SPEED = 0.1
_AWAY, _FAR_AWAY = 1.0, 3.0
"""Distance between the farthest target and a robot that is taken away, m; the second if `team_size` takes it away."""
_MARGIN, _BAND = 0.1, 0.5
"""Robots that are placed apart stand between the first and the sum of both from what they must not touch, m."""
_BEHIND, _BESIDE, _ON_CORNER = 1.1, 0.9, math.pi / 4
"""Upstream's high level: distance of the robots from the object, and from each other (m); the object's yaw (rad)."""
_SLOT = math.radians(70.0)
"""Angle at the object between two robots that are placed apart, at least; less if the robots are more than four."""


class Start(NamedTuple):
    """The start of an episode in each of `N` environments."""

    state: SimState
    """Poses and twists of robots and object, `[N, ...]`."""
    target: Tensor
    """`[N, 2]` the target point in the arena frame, m; if it is turned `[N, 3]`, with its yaw, rad."""


def draw_start(
    config: TaskConfig,
    target_object: ObjectTask,
    seed: int,
    env_ids: Tensor,
    episodes: Tensor,
    heights: Optional[Tensor] = None,
    vertices: Optional[Tensor] = None,
    radius: float = RobotTask().radius,
) -> Start:
    """The start of episode `episodes[k]` of environment `env_ids[k]`; no other state is used.

    Args:
        seed: seed of the run.
        env_ids: `[N]` int64 indices of the environments.
        episodes: `[N]` int64 indices of the episodes within their environments.
        heights: `[A]` start height of each robot's base, m; without them the object's usual number of usual robots.
        vertices: `[V, 2]` or `[N, V, 2]` outlines of the objects, m; without them that of `target_object`.
        radius: of the circles in which the robots stand, m.

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
    if config.placement == "behind":
        object_rpy[:, 2] = _ON_CORNER
    object_pos = torch.zeros_like(object_rpy)
    object_pos[:, 2] = target_object.start_height
    target = _polar(_scale(shared[:, 3], config.target_distance), _scale(shared[:, 4], (0.0, 2 * math.pi)))
    if config.turned:
        target = torch.cat((target, _scale(shared[:, 5:6], (0.0, 2 * math.pi))), dim=-1)
    # Room for what the planner says of the target and of the way to it.
    room = config.obstacles.aligned + (5 + 2 * robots) * config.obstacles.observed
    target = torch.nn.functional.pad(target, (0, room))

    planar = _places(config, target_object, shared, per_robot, object_rpy[:, 2:], vertices, radius)
    robot_pos = torch.cat((planar, heights.expand_as(planar[..., 0]).unsqueeze(-1)), dim=-1)
    tilts = _scale(per_robot[..., 3:5], (-_ROBOT_TILT, _ROBOT_TILT))
    robot_rpy = torch.cat((tilts, _scale(per_robot[..., 2:3], _ANGLE)), dim=-1)
    if config.placement == "behind":
        robot_rpy[..., 2] = 0.0
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


def _places(
    config: TaskConfig,
    target_object: ObjectTask,
    shared: Tensor,
    per_robot: Tensor,
    object_yaw: Tensor,
    vertices: Optional[Tensor],
    radius: float,
) -> Tensor:
    """Places `[N, A, 2]` of robots from the draws of a start; other arguments as in `draw_start`."""
    if config.placement == "published":
        distance = _scale(per_robot[..., 0], target_object.robot_start_radius)
        return _polar(distance, _scale(per_robot[..., 1], _ANGLE))
    if config.placement == "behind":
        beside = _BESIDE * (0.5 * (per_robot.shape[1] - 1) - torch.arange(per_robot.shape[1], device=shared.device))
        return torch.stack((torch.full_like(beside, -_BEHIND), beside), dim=-1).expand(len(shared), -1, -1)
    vertices = torch.tensor(target_object.vertices, device=shared.device) if vertices is None else vertices
    corners = rotate(vertices, object_yaw)  # `[N, V, 2]` with angles `[N, 1]`
    if target_object.symmetry_fold == 0:  # round: the vertices are on its edge, but not its edge between them
        corners = corners / math.cos(math.pi / corners.shape[-2])
    nearest = max(2 * radius, target_object.min_robot_distance) + _MARGIN
    return _apart(corners, radius, nearest, 2 * math.pi * shared[:, 6:7], per_robot[..., :2])


def _apart(corners: Tensor, radius: float, nearest: float, turn: Tensor, unit: Tensor) -> Tensor:
    """Places `[N, A, 2]` of robots about an outline that touch neither it nor each other.

    Each robot's circle is beyond the line that bounds the outline in its direction. Directions differ by so much, and
    distances are so large, that no two robots are nearer than `nearest`.

    Args:
        corners: `[N, V, 2]` outlines in the arena frame, about the origin, m.
        radius: of the circles in which the robots stand, m.
        nearest: least distance of two robots, m.
        turn: `[N, 1]` the first direction, rad.
        unit: `[N, A, 2]` uniform random numbers.

    """
    robots = unit.shape[1]
    slot = min(_SLOT, 0.8 * 2 * math.pi / robots)
    ring = nearest / (2 * math.sin(slot / 2)) if robots > 1 else 0.0
    between = unit[..., 1]
    angle = turn + slot * _rank(between) + (2 * math.pi - robots * slot) * between
    direction = _polar(torch.ones_like(angle), angle)
    support = (direction.unsqueeze(-2) * corners.unsqueeze(-3)).sum(-1).amax(-1)
    distance = (support + radius + _MARGIN).clamp_min(ring) + _BAND * unit[..., 0]
    return distance.unsqueeze(-1) * direction


def farthest_apart(radius: float) -> float:
    """How far beyond the object's outline the room of a small team of robots of this radius ends, m."""
    return 2 * radius + _MARGIN + _BAND


def _rank(values: Tensor) -> Tensor:
    """How many of `[..., A]` numbers come before each of them, in ascending order; equal ones in the order given."""
    one, other = values.unsqueeze(-1), values.unsqueeze(-2)
    earlier = torch.ones(one.shape[-2], one.shape[-2], dtype=torch.bool, device=values.device).tril(-1)
    return ((one > other) | ((one == other) & earlier)).sum(-1)


def draw_team(
    config: TaskConfig, seed: int, env_ids: Tensor, episodes: Tensor, robots: int, mass: Optional[Tensor] = None
) -> Tensor:
    """Which robots are here in an episode, `[N, A]` bool: as many as `team_size` says, or all.

    Arguments as in `draw_start`; A is `robots`, and `mass` `[N]` that of the objects, kg.
    """
    if config.team_size is None:
        return torch.ones(len(env_ids), robots, dtype=torch.bool, device=env_ids.device)
    low, high = config.team_size
    draws = uniform(seed, STREAM_TEAM, env_ids, episodes, 1 + robots)
    least = torch.full_like(draws[:, :1], low)
    if config.load_per_robot is not None and mass is not None:
        least = torch.ceil(mass.unsqueeze(-1) / config.load_per_robot).clamp(low, high)
    count = least + torch.floor((high - least + 1) * draws[:, :1])
    return _rank(draws[:, 1:]) < count


def taken_away(config: TaskConfig, state: SimState, here: Tensor) -> SimState:
    """A start in which robots stand further from the object than any target, in the direction of their places.

    These are the robots where `here` `[N, A]` is false.
    """
    away = config.target_distance[1] + (_AWAY if config.team_size is None else _FAR_AWAY)
    away += sum(config.obstacles.arena or ())  # outside of any arena
    place = state.robot_pos[..., :2]
    far = away / torch.linalg.vector_norm(place, dim=-1, keepdim=True) * place
    placed = torch.where(here.unsqueeze(-1), place, far)
    return state._replace(robot_pos=torch.cat((placed, state.robot_pos[..., 2:]), dim=-1))


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
