"""What the centralised critic sees."""

from __future__ import annotations

import math
from typing import Optional

import torch
from torch import Tensor

from .config import ObjectTask, TaskConfig
from .geometry import rotate_by
from .observations import observe, turning
from .state import SimState
from .way import seen_from_object


def global_state(
    config: TaskConfig,
    target_object: ObjectTask,
    state: SimState,
    target: Tensor,
    outline: Optional[Tensor] = None,
    here: Optional[Tensor] = None,
) -> Tensor:
    """States `[..., V, S]` for the critic: V = 1 for a team value, V = A for one value a robot.

    * `published`: in the arena frame, object x, y, yaw, vx, vy; target x, y; and of each robot x, y, yaw, vx, vy:
      7 + 5A numbers, 17 for two robots. HARL calls this `state_type: EP`.
    * `target_frame`: the same seen from the object towards the target, angles as cosine and sine, with the turning
      rates: 8 + 7A numbers.
    * `observation`: each robot's own observation, as upstream's critic has it (HARL: `state_type: FP`).

    All have two more numbers if targets have a yaw, see `observations.turning`, and five more if obstacles are
    observed. `outline` and `here` as in `observe`.
    """
    if config.global_state == "observation":
        return observe(config, target_object, state, target, None, outline, here)
    build = _published if config.global_state == "published" else _target_frame
    seen = build(target_object, state, target[..., :2])
    if config.turned:
        seen = torch.cat((seen, turning(config, target_object, state, target)), dim=-1)
    if config.obstacles.observed:
        seen = torch.cat((seen, seen_from_object(state, target)), dim=-1)
    return seen.unsqueeze(-2)


def _published(target_object: ObjectTask, state: SimState, target: Tensor) -> Tensor:
    yaw = torch.remainder(state.object_rpy[..., 2:], 2 * math.pi)
    robot_yaw = torch.remainder(state.robot_rpy[..., 2:], 2 * math.pi)
    robots = torch.cat((state.robot_pos[..., :2], robot_yaw, state.robot_lin_vel[..., :2]), dim=-1)
    return torch.cat(
        (state.object_pos[..., :2], yaw, state.object_lin_vel[..., :2], target, robots.flatten(-2)), dim=-1
    )


def _target_frame(target_object: ObjectTask, state: SimState, target: Tensor) -> Tensor:
    object_xy = state.object_pos[..., :2]
    to_target = target - object_xy
    distance = torch.linalg.vector_norm(to_target, dim=-1, keepdim=True).clamp_min(1e-6)
    direction = to_target / distance
    bearing = torch.atan2(direction[..., 1], direction[..., 0]).unsqueeze(-1)
    axis = state.object_rpy[..., 2:] + math.radians(target_object.mirror_axis) - bearing
    turn = target_object.symmetry_fold * axis
    robot_yaw = state.robot_rpy[..., 2] - bearing
    offsets = torch.stack((state.robot_pos[..., :2] - object_xy.unsqueeze(-2), state.robot_lin_vel[..., :2]))
    positions, velocities = rotate_by(offsets, direction[..., :1], -direction[..., 1:]).unbind(0)
    turning = torch.stack((torch.cos(robot_yaw), torch.sin(robot_yaw), state.robot_ang_vel[..., 2]), dim=-1)
    return torch.cat(
        (
            distance,
            torch.cos(turn),
            torch.sin(turn),
            torch.cos(axis),
            torch.sin(axis),
            rotate_by(state.object_lin_vel[..., :2], direction[..., 0], -direction[..., 1]),
            state.object_ang_vel[..., 2:],
            torch.cat((positions, velocities, turning), dim=-1).flatten(-2),
        ),
        dim=-1,
    )
