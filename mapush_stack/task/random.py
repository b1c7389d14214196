"""Counter-based random numbers: a draw depends on what it is for and on nothing else.

Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) written in int64 tensor
operations: the same bits on a CPU and on a GPU, for one environment or for thousands, in any order.
"""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIER_0, _MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10

STREAM_RESET = 0
"""Stream of the draws that begin an episode."""
STREAM_FRICTION = 1
"""Stream of the object's friction, drawn once per environment."""
STREAM_AGE = 2
"""Stream of the episode ages at the start of training."""
STREAM_JOINTS = 3
"""Stream of the joint angles at which legged robots start."""
STREAM_OBJECT = 5
"""Stream of the objects of a family, drawn once per environment."""
STREAM_TEAM = 4
"""Stream of which robots are here in an episode."""
STREAM_SENSORS = 6
"""Stream of the noise of the sensors of legged robots."""
STREAM_GOALS = 7
"""Stream of the directions in which goals move."""
STREAM_OBSTACLES = 19
"""Stream of the layouts of obstacles."""
STREAM_SENSING = 40
"""Stream of how well robots know poses in an episode."""
STREAM_MEASUREMENT = 41
"""Stream of the noise of measured poses."""
STREAM_ACTION_DELAY = 42
"""Stream of how late robots follow commands in an episode."""


def philox(counter: Tensor, key: tuple[int, int]) -> Tensor:
    """Philox-4x32-10 of every counter under one key.

    Args:
        counter: `[..., 4]` int64, each a 32-bit word (0 to 2**32 - 1).
        key: two 32-bit words.

    Returns:
        `[..., 4]` int64, each a uniformly distributed 32-bit word.

    """
    c0, c1, c2, c3 = counter.unbind(-1)
    k0, k1 = key
    for _ in range(_ROUNDS):
        # int64 products wrap, but their two's-complement words are those of the unsigned 64-bit product.
        product_0, product_1 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_1
        c0 = ((product_1 >> 32) & _MASK) ^ c1 ^ k0
        c2 = ((product_0 >> 32) & _MASK) ^ c3 ^ k1
        c1, c3 = product_1 & _MASK, product_0 & _MASK
        k0, k1 = (k0 + _WEYL_0) & _MASK, (k1 + _WEYL_1) & _MASK
    return torch.stack((c0, c1, c2, c3), dim=-1)


def uniform(
    seed: int, stream: int, env_ids: Tensor, episodes: Tensor, count: int, steps: Optional[Tensor] = None
) -> Tensor:
    """Uniform numbers in [0, 1) that belong to (seed, stream, environment, episode, and step if there are `steps`).

    Args:
        seed: any integer; taken modulo 2**64.
        stream: what the numbers are for, one of the `STREAM_` constants.
        env_ids: `[N]` int64 indices of the environments.
        episodes: `[N]` int64 indices of the episodes within their environments.
        count: how many numbers for each environment.
        steps: `[N]` int64 indices of the control steps within their episodes.

    Returns:
        `[N, count]` float32.

    """
    blocks = (count + 3) // 4
    block = torch.arange(blocks, device=env_ids.device).expand(env_ids.shape[0], blocks)
    if steps is not None:
        block = block + blocks * steps.unsqueeze(-1)
    counter = torch.stack(
        (
            block,
            torch.full_like(block, stream),
            (episodes & _MASK).unsqueeze(-1).expand_as(block),
            (env_ids & _MASK).unsqueeze(-1).expand_as(block),
        ),
        dim=-1,
    )
    words = philox(counter, (seed & _MASK, (seed >> 32) & _MASK))
    # The top 24 bits are exactly what a float32 in [0, 1) can hold.
    return ((words >> 8).to(torch.float32) * 2.0**-24).flatten(1)[:, :count]
