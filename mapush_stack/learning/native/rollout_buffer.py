"""A rollout, as the update needs it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..vec_env import EnvSpec


class RolloutBuffer:
    """`length` decisions of N environments in tensors that are allocated once. Sizes are those of `EnvSpec`."""

    def __init__(self, length: int, num_envs: int, spec: EnvSpec, device: torch.device) -> None:
        """Allocate everything on `device`."""

        def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(length, num_envs, *shape, dtype=dtype, device=device)

        self.observations = empty(spec.num_agents, spec.observation_size)
        """`[T, N, A, D]`"""
        self.states = empty(*spec.state_shape)
        """`[T, N, V, S]`"""
        self.next_states = empty(*spec.state_shape)
        """`[T, N, V, S]` the state each decision led to, before any reset."""
        self.actions = empty(spec.num_agents, spec.action_size)
        """`[T, N, A, K]`"""
        self.log_probs = empty(spec.num_agents)
        """`[T, N, A]` under the policy that acted."""
        self.rewards = empty(spec.num_agents)
        """`[T, N, A]`"""
        self.terminated = empty(dtype=torch.bool)
        """`[T, N]`"""
        self.truncated = empty(dtype=torch.bool)
        """`[T, N]`"""
        self._length, self._next = length, 0

    def add_decision(self, observations: Tensor, states: Tensor, actions: Tensor, log_probs: Tensor) -> None:
        """Add a decision and what it was taken on; then take it and add its outcome."""
        now = self._next
        self.observations[now], self.states[now] = observations, states
        self.actions[now], self.log_probs[now] = actions, log_probs

    def add_outcome(self, next_states: Tensor, rewards: Tensor, terminated: Tensor, truncated: Tensor) -> None:
        """Add what the decision led to."""
        now = self._next
        self.next_states[now], self.rewards[now] = next_states, rewards
        self.terminated[now], self.truncated[now] = terminated, truncated
        self._next = (now + 1) % self._length
