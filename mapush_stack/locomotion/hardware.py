"""What is between a walking policy and its robot: sensors that are noisy, and motors that act late."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from .gait import CONTROL_DT, Proprioception

NOISE = Proprioception(*(torch.tensor(width) for width in (0.1, 0.2, 0.05, 0.01, 1.5)))
"""Half of the range of uniform noise on each sense, in its unit: legged_gym's (Rudin et al., CoRL 2022)."""
_SIZES = [3, 3, 3, 12, 12]
NUMBERS = sum(_SIZES)
"""Numbers that a robot senses."""
STEPS_LATE = 2
"""Control steps that motors may be late."""
LONGEST_DELAY = STEPS_LATE * CONTROL_DT
"""s"""


def noisy(body: Proprioception, draws: Tensor, level: Tensor) -> Proprioception:
    """What is sensed, with `level` `[...]` times the noise; `draws` `[..., 33]` are uniform in [0, 1)."""
    noise = level.unsqueeze(-1) * _widths(draws.dtype, draws.device) * (2.0 * draws - 1.0)
    return Proprioception(*(sense + part for sense, part in zip(body, torch.split(noise, _SIZES, dim=-1))))


def late(actions: Tensor, delay: Tensor) -> Tensor:
    """The action that the motors follow, `[..., 12]`, of the last ones `[..., 3, 12]`, the newest first.

    `delay` `[...]` is in s. In a control step in which the motors follow one action and then the next, they follow the
    mean of both, weighted by their times.
    """
    steps = torch.arange(STEPS_LATE + 1, dtype=delay.dtype, device=delay.device)
    weights = (1.0 - (delay.unsqueeze(-1) / CONTROL_DT - steps).abs()).clamp_min(0.0)
    followed: Tensor = (weights.unsqueeze(-1) * actions).sum(-2)
    return followed


@functools.lru_cache(maxsize=None)
def _widths(dtype: torch.dtype, device: torch.device) -> Tensor:
    """`NOISE` as one tensor, made once: copying it from the host waits for the device."""
    return torch.cat([width.expand(size) for width, size in zip(NOISE, _SIZES)]).to(device=device, dtype=dtype)
