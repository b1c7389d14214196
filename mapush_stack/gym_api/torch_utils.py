"""Rotations and random numbers for batches, under the names of `isaacgym.torch_utils`.

A quaternion is (x, y, z, w); `q` rotates a vector from the body's frame to the outer one. Everything can be called from
`torch.jit.script`, as old programs do. A star import also gives `np` and `torch`.
"""

from __future__ import annotations

import math
from typing import Any, List, Tuple

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "np", "torch", "to_torch", "normalize", "normalize_angle", "copysign", "scale", "unscale", "unscale_np",
    "tensor_clamp", "torch_rand_float", "torch_random_dir_2", "get_axis_params", "get_basis_vector",
    "quat_mul", "quat_conjugate", "quat_unit", "quat_apply", "quat_rotate", "quat_rotate_inverse",
    "quat_from_angle_axis", "quat_from_euler_xyz", "get_euler_xyz",
    "tf_inverse", "tf_apply", "tf_vector", "tf_combine",
]  # fmt: skip


def to_torch(x: Any, dtype: torch.dtype = torch.float, device: str = "cuda:0", requires_grad: bool = False) -> Tensor:
    """`x` copied into a new tensor."""
    return torch.tensor(x, dtype=dtype, device=device, requires_grad=requires_grad)


def normalize(x: Tensor, eps: float = 1e-9) -> Tensor:
    """`x` `[..., n]` with length 1; what is shorter than `eps` is divided by that."""
    return torch.div(x, x.norm(p=2, dim=-1, keepdim=True).clamp(min=eps))


def normalize_angle(x: Tensor) -> Tensor:
    """The same angle in [-pi, pi]."""
    return torch.atan2(torch.sin(x), torch.cos(x))


def copysign(a: float, b: Tensor) -> Tensor:
    """|a| with the signs of `b` `[n]`."""
    return torch.full_like(b, abs(a)).copysign(b)


def scale(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """From [-1, 1] to [lower, upper]."""
    return lower + 0.5 * (x + 1.0) * (upper - lower)


def unscale(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """From [lower, upper] to [-1, 1]."""
    return (2.0 * x - upper - lower) / (upper - lower)


def unscale_np(x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """`unscale` for NumPy's arrays."""
    return np.asarray((2.0 * x - upper - lower) / (upper - lower))


def tensor_clamp(t: Tensor, min_t: Tensor, max_t: Tensor) -> Tensor:
    """`t` within bounds that are tensors too."""
    return torch.maximum(torch.minimum(t, max_t), min_t)


def torch_rand_float(lower: float, upper: float, shape: Tuple[int, int], device: str) -> Tensor:
    """Uniform in [lower, upper), `shape` two numbers."""
    return lower + (upper - lower) * torch.rand(shape[0], shape[1], device=device)


def torch_random_dir_2(shape: Tuple[int, int], device: str) -> Tensor:
    """Uniform directions in the plane `[n, 2]`, for `shape` (n, 1)."""
    angle = torch_rand_float(-math.pi, math.pi, shape, device).squeeze(-1)
    return torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)


def get_axis_params(
    value: float, axis_idx: int, x_value: float = 0.0, dtype: Any = float, n_dims: int = 3
) -> List[float]:
    """`n_dims` numbers: `value` at the axis, then `x_value` at the first, 0 elsewhere."""
    if not 0 <= axis_idx < n_dims:
        raise AssertionError(f"axis_idx={axis_idx} is no axis of {n_dims}")
    params = np.zeros(n_dims)
    params[axis_idx] = value
    params[0] = x_value
    return list(params.astype(dtype))


def quat_mul(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton's product a b of the same shape `[..., 4]`: first the rotation `b`, then `a`."""
    shape = a.shape
    a, b = a.reshape(-1, 4), b.reshape(-1, 4)
    v, w, u, s = a[:, :3], a[:, 3:], b[:, :3], b[:, 3:]
    axis = w * u + s * v + torch.cross(v, u, dim=-1)
    return torch.cat((axis, w * s - (v * u).sum(-1, keepdim=True)), dim=-1).view(shape)


def quat_conjugate(a: Tensor) -> Tensor:
    """The rotation back."""
    return torch.cat((-a[..., :3], a[..., 3:]), dim=-1)


def quat_unit(a: Tensor) -> Tensor:
    """The quaternion with length 1."""
    return normalize(a)


def quat_apply(a: Tensor, b: Tensor) -> Tensor:
    """The vectors `b` rotated by `a`; both are flattened to rows, and the result has the shape of `b`."""
    shape = b.shape
    a, b = a.reshape(-1, 4), b.reshape(-1, 3)
    axis = a[:, :3].expand(b.shape)
    twice = 2.0 * torch.cross(axis, b, dim=-1)
    return (b + a[:, 3:] * twice + torch.cross(axis, twice, dim=-1)).view(shape)


def quat_rotate(q: Tensor, v: Tensor) -> Tensor:
    """The vectors `v` `[n, 3]` rotated by `q` `[n, 4]`."""
    return quat_apply(q, v)


def quat_rotate_inverse(q: Tensor, v: Tensor) -> Tensor:
    """The vectors `v` `[n, 3]` rotated back by `q` `[n, 4]`."""
    return quat_apply(quat_conjugate(q), v)


def get_basis_vector(q: Tensor, v: Tensor) -> Tensor:
    """A body's axis `v` in the outer frame."""
    return quat_apply(q, v)


def quat_from_angle_axis(angle: Tensor, axis: Tensor) -> Tensor:
    """The turn by `angle` `[n]`, rad, about `axis` `[n, 3]` of any length."""
    half = (0.5 * angle).unsqueeze(-1)
    return quat_unit(torch.cat((normalize(axis) * torch.sin(half), torch.cos(half)), dim=-1))


def quat_from_euler_xyz(roll: Tensor, pitch: Tensor, yaw: Tensor) -> Tensor:
    """Rz(yaw) Ry(pitch) Rx(roll), angles in rad of one shape, as a quaternion `[..., 4]`."""
    r, p, y = 0.5 * roll, 0.5 * pitch, 0.5 * yaw
    cr, sr, cp, sp, cy, sy = torch.cos(r), torch.sin(r), torch.cos(p), torch.sin(p), torch.cos(y), torch.sin(y)
    return torch.stack(
        (
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
            cr * cp * cy + sr * sp * sy,
        ),
        dim=-1,
    )


def get_euler_xyz(q: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Roll, pitch and yaw of `q` `[n, 4]`, each in [0, 2 pi), as Isaac Gym gives them."""
    # Few operations on several columns: programs call this often, and each costs the same however few the robots are.
    v, w, squares = q[:, :3], q[:, 3:], q * q
    turned, crossed = w * v, v * v.roll(-1, -1)  # wx, wy, wz and xy, yz, zx
    sines = 2.0 * (turned[:, 0:3:2] + crossed[:, :2].flip(-1))
    even, odd = squares[:, 3:] - squares[:, 1:2], squares[:, 2:3] - squares[:, :1]
    turns = torch.atan2(sines, torch.cat((even + odd, even - odd), dim=-1))
    pitch = torch.asin((2.0 * (turned[:, 1:2] - crossed[:, 2:])).clamp(-1.0, 1.0))
    angles = torch.cat((turns, pitch), dim=-1) % (2.0 * math.pi)
    return angles[:, 0], angles[:, 2], angles[:, 1]


def tf_inverse(q: Tensor, t: Tensor) -> Tuple[Tensor, Tensor]:
    """The inverse of the transformation x -> q x + t."""
    back = quat_conjugate(q)
    return back, -quat_apply(back, t)


def tf_apply(q: Tensor, t: Tensor, v: Tensor) -> Tensor:
    """The points q v + t."""
    return quat_apply(q, v) + t


def tf_vector(q: Tensor, v: Tensor) -> Tensor:
    """The directions q v."""
    return quat_apply(q, v)


def tf_combine(q1: Tensor, t1: Tensor, q2: Tensor, t2: Tensor) -> Tuple[Tensor, Tensor]:
    """The transformation that does the second, then the first."""
    return quat_mul(q1, q2), quat_apply(q1, t2) + t1
