"""What the task sees of a simulation."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import torch
from torch import Tensor


class SimState(NamedTuple):
    """Robots and object in the arena frame: origin where the object starts, z up, floor at 0.

    Tensors are float32 unless said otherwise. `...` stands for any leading dimensions, usually `[N]` environments
    or `[T, N]` control steps and environments. A robot's position is that of its base (trunk).
    """

    robot_pos: Tensor
    """`[..., A, 3]` positions, m."""
    robot_rpy: Tensor
    """`[..., A, 3]` roll, pitch, yaw (ZYX Euler angles), rad."""
    robot_lin_vel: Tensor
    """`[..., A, 3]` linear velocities in the arena frame, m/s."""
    robot_ang_vel: Tensor
    """`[..., A, 3]` angular velocities in the arena frame, rad/s."""
    object_pos: Tensor
    """`[..., 3]` position of the object's frame (its link origin, not its centre of mass), m."""
    object_rpy: Tensor
    """`[..., 3]` roll, pitch, yaw, rad."""
    object_lin_vel: Tensor
    """`[..., 3]` linear velocity of the object's frame in the arena frame, m/s."""
    object_ang_vel: Tensor
    """`[..., 3]` angular velocity in the arena frame, rad/s."""
    senses: Tensor
    """`[..., A, M]` what each robot senses of itself, zeros behind its own numbers; M that of the robot with most."""
    healthy: Tensor
    """`[...]` bool: false where the physics gave a number that is not finite or not believable. The other tensors hold
    zeros in place of numbers that are not finite."""

    def at(self, index: Any) -> SimState:
        """Every tensor indexed by `index` along its leading dimensions."""
        return SimState(*(tensor[index] for tensor in self))

    @staticmethod
    def stack(states: Sequence[SimState]) -> SimState:
        """States `[...]` stacked to `[len(states), ...]`."""
        return SimState(*(torch.stack(tensors) for tensors in zip(*states)))
