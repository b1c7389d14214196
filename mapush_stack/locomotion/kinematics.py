"""Positions of the Go1's feet; lengths are those of Unitree's go1_description, const.xacro."""

from __future__ import annotations

import functools
from typing import Tuple

import torch
from torch import Tensor

HIP_X, HIP_Y = 0.1881, 0.04675
"""Hip joint from the trunk's centre, m (leg_offset_x, leg_offset_y)."""
HIP_LENGTH = 0.08
"""From the hip joint sideways to the leg's plane, m (thigh_offset)."""
THIGH_LENGTH, CALF_LENGTH = 0.213, 0.213
"""m (thigh_length, calf_length)."""
FOOT_RADIUS = 0.023
"""Of the collision sphere, m (docs/task.md section 12; the description has 0.02)."""
SIDES = (1.0, -1.0, 1.0, -1.0)
"""+1 for the left legs, in the order of `gait.LEGS`."""
ENDS = (1.0, 1.0, -1.0, -1.0)
"""+1 for the front legs."""


def foot_positions(joint_pos: Tensor) -> Tensor:
    """Centres of the feet `[..., 4, 3]` (m, base's frame) for joint angles `[..., 12]` (rad)."""
    hip, thigh, calf = joint_pos.view(*joint_pos.shape[:-1], 4, 3).unbind(-1)
    side, end = _signs(hip.dtype, hip.device)
    x = -THIGH_LENGTH * torch.sin(thigh) - CALF_LENGTH * torch.sin(thigh + calf)
    down = -THIGH_LENGTH * torch.cos(thigh) - CALF_LENGTH * torch.cos(thigh + calf)
    out = HIP_LENGTH * side
    y = torch.cos(hip) * out - torch.sin(hip) * down
    z = torch.sin(hip) * out + torch.cos(hip) * down
    return torch.stack((HIP_X * end + x, HIP_Y * side + y, z), dim=-1)


@functools.lru_cache(maxsize=None)
def _signs(dtype: torch.dtype, device: torch.device) -> Tuple[Tensor, Tensor]:
    """`SIDES` and `ENDS` as tensors, made once: copying them from the host waits for the device."""
    return torch.tensor(SIDES, dtype=dtype, device=device), torch.tensor(ENDS, dtype=dtype, device=device)
