"""Generalised advantage estimation (Schulman et al., "High-dimensional continuous control using GAE", ICLR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor


def advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """Advantages `[T, N, V]`, with the value of the true next state at every step.

    delta_t = r_t + gamma (1 - terminated_t) V(s'_t) - V(s_t), where s'_t is the state that action t led to before
    any reset: a time limit bootstraps from it, a termination does not. Sums of deltas stop at either.

    Args:
        rewards, values, next_values: `[T, N, V]`.
        terminated, truncated: `[T, N]` bool.
        gamma, lam: discount and lambda.

    """
    goes_on = (~terminated).unsqueeze(-1).to(values.dtype)
    same_episode = (~(terminated | truncated)).unsqueeze(-1).to(values.dtype)
    deltas = rewards + gamma * goes_on * next_values - values
    result = torch.empty_like(deltas)
    running = torch.zeros_like(deltas[0])
    for step in range(len(deltas) - 1, -1, -1):
        running = deltas[step] + gamma * lam * same_episode[step] * running
        result[step] = running
    return result
