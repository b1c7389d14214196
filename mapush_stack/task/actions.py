"""From a network's output to a velocity command (docs/task.md section 6)."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor

from .config import TaskConfig
from .robot import RobotTask

COMMAND_MIRROR = (1.0, -1.0, -1.0)
"""Sign of vx, vy and yaw rate under a reflection about the robot's heading."""
_ALL_AXES = tuple(range(len(COMMAND_MIRROR)))


def mirror_signs(robot: RobotTask) -> Tuple[float, ...]:
    """Sign of each number of the robot's action under a reflection about its heading."""
    return tuple(COMMAND_MIRROR[axis] for axis in robot.command_axes)


def command_columns(robots: Sequence[RobotTask], device: torch.device) -> Optional[Tensor]:
    """Which number of each robot's action steers vx, vy and yaw rate, `[A, 3]` int64.

    K, the size of the widest action, stands for none. None if every robot's action is the command itself.
    """
    if all(robot.command_axes == _ALL_AXES for robot in robots):
        return None
    width = max(len(robot.command_axes) for robot in robots)
    axes = [robot.command_axes for robot in robots]
    rows = [[own.index(axis) if axis in own else width for axis in _ALL_AXES] for own in axes]
    return torch.tensor(rows, device=device)


def command(config: TaskConfig, limit: Tensor, action: Tensor, columns: Optional[Tensor] = None) -> Tensor:
    """Velocity commands `[N, A, 3]` (m/s, m/s, rad/s): `limit * clip(gain * action, -1, 1)`.

    Args:
        config: has the gain.
        limit: `[3]`, `config.command_limit` as a tensor.
        action: `[N, A, K]`.
        columns: from `command_columns`.

    """
    if columns is not None:
        padded = torch.nn.functional.pad(action, (0, 1))
        action = padded.gather(-1, columns.expand(*action.shape[:-1], -1))
    return limit * (config.action_gain * action).clamp(-1.0, 1.0)
