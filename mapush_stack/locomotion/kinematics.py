"""Lengths of the quadrupeds' legs, and where their feet are."""

from __future__ import annotations

import functools
from typing import NamedTuple, Tuple

import torch
from torch import Tensor

SIDES = (1.0, -1.0, 1.0, -1.0)
"""+1 for the left legs, in the order of `gait.LEGS`."""
ENDS = (1.0, 1.0, -1.0, -1.0)
"""+1 for the front legs."""


class Legs(NamedTuple):
    """Lengths of a quadruped's four legs, m."""

    hip_x: float
    """Hip joint from the trunk's centre, ahead."""
    hip_y: float
    """Hip joint from the trunk's centre, sideways."""
    hip: float
    """From the hip joint sideways to the leg's plane."""
    thigh: float
    calf: float
    foot_radius: float
    """Of the foot's collision sphere."""


GO1 = Legs(0.1881, 0.04675, 0.08, 0.213, 0.213, 0.023)
"""Unitree's go1_description, const.xacro: leg_offset_x, leg_offset_y, thigh_offset, thigh_length, calf_length. The
foot is that of docs/task.md section 12; the description has 0.02."""


def foot_positions(joint_pos: Tensor, legs: Legs = GO1) -> Tensor:
    """Centres of the feet `[..., 4, 3]` (m, base's frame) for joint angles `[..., 12]` (rad)."""
    hip, thigh, calf = joint_pos.view(*joint_pos.shape[:-1], 4, 3).unbind(-1)
    return torch.stack(foot_coordinates(hip, thigh, calf, *signs(hip.dtype, hip.device), legs), dim=-1)


def foot_coordinates(
    hip: Tensor, thigh: Tensor, calf: Tensor, side: Tensor, end: Tensor, legs: Legs = GO1
) -> Tuple[Tensor, Tensor, Tensor]:
    """x, y and z (m, base's frame) of feet for their legs' angles (rad), `SIDES` and `ENDS`; shapes broadcast."""
    x = -legs.thigh * torch.sin(thigh) - legs.calf * torch.sin(thigh + calf)
    down = -legs.thigh * torch.cos(thigh) - legs.calf * torch.cos(thigh + calf)
    out = legs.hip * side
    y = torch.cos(hip) * out - torch.sin(hip) * down
    z = torch.sin(hip) * out + torch.cos(hip) * down
    return legs.hip_x * end + x, legs.hip_y * side + y, z


@functools.lru_cache(maxsize=None)
def signs(dtype: torch.dtype, device: torch.device) -> Tuple[Tensor, Tensor]:
    """`SIDES` and `ENDS` as tensors, made once: copying them from the host waits for the device."""
    return torch.tensor(SIDES, dtype=dtype, device=device), torch.tensor(ENDS, dtype=dtype, device=device)
