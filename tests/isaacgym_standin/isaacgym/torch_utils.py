"""Quaternions as x, y, z, w, and the helpers that MAPush imports with a star."""

import math

import numpy as np
import torch

__all__ = [
    "get_axis_params",
    "get_euler_xyz",
    "normalize",
    "np",
    "quat_apply",
    "quat_conjugate",
    "quat_from_angle_axis",
    "quat_from_euler_xyz",
    "quat_mul",
    "quat_rotate",
    "quat_rotate_inverse",
    "tf_apply",
    "to_torch",
    "torch",
    "torch_rand_float",
]


def to_torch(values, dtype=torch.float, device="cpu", requires_grad=False):
    return torch.tensor(values, dtype=dtype, device=device, requires_grad=requires_grad)


def get_axis_params(value, axis, n_dims=3):
    return [value if index == axis else 0.0 for index in range(n_dims)]


def torch_rand_float(lower, upper, shape, device):
    return lower + (upper - lower) * torch.rand(*shape, device=device)


def normalize(vector):
    return vector / vector.norm(dim=-1, keepdim=True).clamp_min(1e-9)


def quat_conjugate(q):
    return torch.cat((-q[..., :3], q[..., 3:]), dim=-1)


def quat_mul(a, b):
    axis = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + torch.cross(a[..., :3], b[..., :3], dim=-1)
    return torch.cat((axis, a[..., 3:] * b[..., 3:] - (a[..., :3] * b[..., :3]).sum(-1, keepdim=True)), dim=-1)


def quat_apply(q, vector):
    twice = 2 * torch.cross(q[..., :3], vector, dim=-1)
    return vector + q[..., 3:] * twice + torch.cross(q[..., :3], twice, dim=-1)


quat_rotate = quat_apply


def quat_rotate_inverse(q, vector):
    return quat_apply(quat_conjugate(q), vector)


def tf_apply(q, translation, vector):
    return quat_apply(q, vector) + translation


def quat_from_angle_axis(angle, axis):
    half = 0.5 * angle.unsqueeze(-1)
    return torch.cat((normalize(axis) * half.sin(), half.cos()), dim=-1)


def quat_from_euler_xyz(roll, pitch, yaw):
    cr, cp, cy = (torch.cos(0.5 * angle) for angle in (roll, pitch, yaw))
    sr, sp, sy = (torch.sin(0.5 * angle) for angle in (roll, pitch, yaw))
    return torch.stack(
        (
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
            cr * cp * cy + sr * sp * sy,
        ),
        dim=-1,
    )


def get_euler_xyz(q):
    """Roll, pitch and yaw, each in [0, 2 pi)."""
    x, y, z, w = q.unbind(-1)
    roll = torch.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = torch.asin((2 * (w * y - z * x)).clamp(-1, 1))
    yaw = torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return roll % (2 * math.pi), pitch % (2 * math.pi), yaw % (2 * math.pi)
