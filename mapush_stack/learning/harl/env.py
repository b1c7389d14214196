"""The environment as HARL expects one (PKU-MARL/HARL, `harl.envs`): NumPy in, NumPy out, all environments in one."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor

from ..vec_env import TeamEnv

Infos = List[List[Dict[str, Any]]]
"""For each environment and robot what HARL has to know beside observations and rewards."""


class Box(NamedTuple):
    """Vectors of real numbers. HARL tells spaces apart by the name of their class, so that this one is called Box."""

    shape: Tuple[int, ...]


class PerRobot:
    """Numbers `[N, A, k]` of which HARL's buffers take each robot's own, as `[:, robot]`."""

    def __init__(self, values: np.ndarray, sizes: List[int]) -> None:
        self._values, self._sizes = values, sizes

    def __getitem__(self, index: Tuple[slice, int]) -> np.ndarray:
        return self._values[index][:, : self._sizes[index[1]]]


def per_robot(values: np.ndarray, spaces: List[Box]) -> Any:
    """Numbers `[N, A, k]` in `spaces` as HARL's runners read them; `PerRobot` for unlike robots."""
    sizes = [space.shape[0] for space in spaces]
    return values if len(set(sizes)) == 1 else PerRobot(values, sizes)


class HarlEnv:
    """A team's environment behind the methods and attributes that HARL's runners use of a vector environment.

    N environments, A robots, D observed numbers, S numbers of state. The runners read one reward a team where the
    critic has one value (HARL's state type EP), the first robot's; so every robot's reward is then the team's mean.
    """

    def __init__(self, env: TeamEnv) -> None:
        """Wrap `env`."""
        self._env, spec = env, env.spec
        values, numbers = spec.state_shape
        self.n_agents = spec.num_agents
        self.state_type = "EP" if values == 1 else "FP"
        """EP: one state for the team; FP: one for each robot."""
        self.observation_space = [Box((agent.observation_size,)) for agent in spec.agents]
        self.share_observation_space = [Box((numbers,))] * self.n_agents
        self.action_space = [Box((agent.action_size,)) for agent in spec.agents]

    def reset(self) -> Tuple[Any, np.ndarray, List[None]]:
        """What there is to see: observations `[N, A, D]` (see `per_robot`), states `[N, A, S]`, no action masks.

        HARL calls this once, at the start, when the training loop has reset the environment.
        """
        observations, state = self._env.observe()
        seen = per_robot(_numpy(observations), self.observation_space)
        return seen, self._states(state), [None] * self._env.num_envs

    def step(self, actions: np.ndarray) -> Tuple[Any, np.ndarray, np.ndarray, np.ndarray, Infos, List[None]]:
        """Hold actions `[N, A, K]` for one decision.

        Returns:
            observations `[N, A, D]` and states `[N, A, S]`, of the new episode where one has ended; rewards
            `[N, A, 1]`; dones `[N, A]` bool; infos, whose `bad_transition` says that it was the time limit that ended
            the episode; no action masks.

        """
        action = torch.from_numpy(np.ascontiguousarray(actions, dtype=np.float32)).to(self._env.device)
        step = self._env.step(action)
        rewards = step.rewards
        if self.state_type == "EP":
            rewards = rewards.mean(-1, keepdim=True).expand_as(rewards)
        dones = (step.terminated | step.truncated).unsqueeze(-1).expand_as(rewards)
        infos = [[{"bad_transition": late} for _ in range(self.n_agents)] for late in step.truncated.tolist()]
        return (
            per_robot(_numpy(step.observations), self.observation_space),
            self._states(step.state),
            _numpy(rewards.unsqueeze(-1)),
            _numpy(dones),
            infos,
            [None] * len(infos),
        )

    def close(self) -> None:
        """Release the simulator; may be called twice."""
        self._env.close()

    def _states(self, state: Tensor) -> np.ndarray:
        return _numpy(state.expand(-1, self.n_agents, -1))


def _numpy(tensor: Tensor) -> np.ndarray:
    """A copy in NumPy; on a GPU the next step overwrites the tensor."""
    return np.array(tensor.cpu().numpy())
