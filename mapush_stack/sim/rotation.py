"""Quaternions as MuJoCo writes them (w, x, y, z) to and from roll, pitch, yaw."""

from __future__ import annotations

import torch
from torch import Tensor


def quaternion_from_rpy(rpy: Tensor) -> Tensor:
    """`[..., 3]` roll, pitch, yaw (rad, ZYX) to `[..., 4]` unit quaternions."""
    half = 0.5 * rpy
    (cr, cp, cy), (sr, sp, sy) = torch.cos(half).unbind(-1), torch.sin(half).unbind(-1)
    return torch.stack(
        (
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ),
        dim=-1,
    )


def rpy_from_quaternion(quaternion: Tensor) -> Tensor:
    """`[..., 4]` unit quaternions to `[..., 3]` roll, pitch, yaw, rad.

    Roll and yaw are in (-pi, pi], pitch in [-pi/2, pi/2].
    """
    w, x, y, z = quaternion.unbind(-1)
    roll = torch.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = torch.asin((2 * (w * y - z * x)).clamp(-1.0, 1.0))
    yaw = torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return torch.stack((roll, pitch, yaw), dim=-1)


def rotate_by_quaternion(quaternion: Tensor, vector: Tensor) -> Tensor:
    """Rotate `[..., 3]` vectors from the body's frame into the quaternion's reference frame."""
    w, axis = quaternion[..., :1], quaternion[..., 1:]
    twice = 2 * torch.cross(axis, vector, dim=-1)
    return vector + w * twice + torch.cross(axis, twice, dim=-1)


def conjugate(quaternion: Tensor) -> Tensor:
    """The inverse rotation, `[..., 4]`."""
    return torch.cat((quaternion[..., :1], -quaternion[..., 1:]), dim=-1)
