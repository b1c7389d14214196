"""From a network's output to a velocity command (docs/task.md section 6)."""

from __future__ import annotations

from torch import Tensor

from .config import TaskConfig

ACTION_SIZE = 3
"""vx, vy, yaw rate in the robot's heading frame."""

ACTION_MIRROR = (1.0, -1.0, -1.0)
"""Sign of each action under a reflection about the robot's heading."""


def command(config: TaskConfig, limit: Tensor, action: Tensor) -> Tensor:
    """limit * clip(gain * action, -1, 1): `[N, A, 3]` to m/s, m/s, rad/s. `limit` is `command_limit`, `[3]`."""
    return limit * (config.action_gain * action).clamp(-1.0, 1.0)
