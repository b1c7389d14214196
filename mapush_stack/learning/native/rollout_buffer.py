"""What a rollout leaves for the update."""

from __future__ import annotations

from typing import Dict, Tuple

import torch
from torch import Tensor


class RolloutBuffer:
    """`length` decisions of N environments in tensors that are allocated once."""

    def __init__(
        self,
        length: int,
        num_envs: int,
        num_agents: int,
        observation_size: int,
        state_shape: Tuple[int, int],
        action_size: int,
        device: torch.device,
    ) -> None:
        def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(length, num_envs, *shape, dtype=dtype, device=device)

        self.observations = empty(num_agents, observation_size)
        """`[T, N, A, D]`"""
        self.states = empty(*state_shape)
        """`[T, N, V, S]`"""
        self.next_states = empty(*state_shape)
        """`[T, N, V, S]` the state each decision led to, before any reset."""
        self.actions = empty(num_agents, action_size)
        """`[T, N, A, action]`"""
        self.log_probs = empty(num_agents)
        """`[T, N, A]` under the policy that acted."""
        self.rewards = empty(num_agents)
        """`[T, N, A]`"""
        self.terminated = empty(dtype=torch.bool)
        """`[T, N]`"""
        self.truncated = empty(dtype=torch.bool)
        """`[T, N]`"""
        self._length, self._next = length, 0

    def add_decision(self, observations: Tensor, states: Tensor, actions: Tensor, log_probs: Tensor) -> None:
        """Add what a decision was taken on, and the decision; then take it and add its outcome."""
        values = {"observations": observations, "states": states, "actions": actions, "log_probs": log_probs}
        self._put(values)

    def add_outcome(self, next_states: Tensor, rewards: Tensor, terminated: Tensor, truncated: Tensor) -> None:
        """Add what the decision led to."""
        values = {"next_states": next_states, "rewards": rewards, "terminated": terminated, "truncated": truncated}
        self._put(values)
        self._next = (self._next + 1) % self._length

    def _put(self, values: Dict[str, Tensor]) -> None:
        for name, value in values.items():
            getattr(self, name)[self._next] = value
