"""OpenRL's vector environment over PushEnv: numpy in, numpy out."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from ...envs.push_env import PushEnv, Step
from ...errors import UserError

Observations = Union[np.ndarray, Dict[str, np.ndarray]]
"""`[N, A, D]` for actor and critic, or that as "policy" and `[N, A, S]` for the critic as "critic"."""


class OpenRLVecEnv:
    """What `PPONet` and `PPOAgent` of OpenRL 0.2.0 need of an environment, with its names.

    Where the critic sees what a robot sees (`task.global_state: observation`, as upstream has it) an observation is one
    array. Otherwise it is a dictionary, in which every robot's critic gets the state of the team.

    An episode that ends begins anew by itself. A time limit is told apart from other ends by "bad_transition" in the
    info of its environment, which `use_proper_time_limits` looks at.
    """

    env_name = "mapush"
    use_monitor = False
    """OpenRL's monitor keeps every episode's rewards; `PushEnv` has running sums."""

    def __init__(self, env: PushEnv, random_ages: bool = False) -> None:
        """Over `env`; with `random_ages` the first episodes after a reset begin at random ages.

        Raises:
            UserError: gymnasium is not installed.

        """
        try:
            from gymnasium import spaces
        except ImportError:
            raise UserError("OpenRL's environment needs gymnasium: pip install 'mapush_stack[openrl]'") from None

        def box(*shape: int) -> Any:
            return spaces.Box(-np.inf, np.inf, shape, np.float32)

        self.env, self._random_ages = env, random_ages
        self.parallel_env_num: int = env.num_envs
        """Environments, N."""
        self.agent_num: int = env.num_agents
        """Robots in the team, A."""
        bound = np.float32(1.0 / env.config.action_gain)
        self.action_space: Any = spaces.Box(-bound, bound, (env.action_size,), np.float32)
        """Of one robot; what lies outside counts as the bound. OpenRL itself does not look at the bounds."""
        self._one_array = env.config.global_state == "observation"
        policy, critic = box(env.observation_size), box(env.state_shape[1])
        self.observation_space: Any = policy if self._one_array else spaces.Dict({"policy": policy, "critic": critic})
        """Of one robot."""

    def reset(self, seed: Optional[int] = None, options: Optional[Dict[str, Any]] = None) -> Observations:
        """Start episode 0 everywhere.

        The starts depend on the environment's own seed: OpenRL passes the one that it seeds torch with.
        """
        return self._numpy(*self.env.reset(self._random_ages))

    def step(
        self, actions: np.ndarray, extra_data: Optional[Dict[str, Any]] = None
    ) -> Tuple[Observations, np.ndarray, np.ndarray, List[Dict[str, Any]]]:
        """Hold `actions` `[N, A, 3]` for one decision.

        Returns:
            observations, rewards `[N, A, 1]`, ends of episodes `[N, A]` bool, and an info for every environment.

        """
        step = self.env.step(torch.as_tensor(actions, dtype=torch.float32, device=self.env.device))
        rewards = step.rewards.unsqueeze(-1).cpu().numpy()
        dones = np.repeat(step.episode.done.cpu().numpy()[:, None], self.agent_num, axis=1)
        return self._numpy(step.observations, step.state), rewards, dones, self._infos(step)

    def batch_rewards(self, buffer: Any) -> Dict[str, float]:
        """What `EnvStatistics` has summed since the last call, which OpenRL makes after every rollout."""
        return self.env.statistics.pop_numbers()

    def close(self) -> None:
        """Release the simulator; may be called twice."""
        self.env.close()

    def _infos(self, step: Step) -> List[Dict[str, Any]]:
        infos: List[Dict[str, Any]] = [{} for _ in range(self.parallel_env_num)]
        for index in step.truncated.nonzero().squeeze(-1).tolist():
            infos[index]["bad_transition"] = [True] * self.agent_num
        return infos

    def _numpy(self, observations: Tensor, state: Tensor) -> Observations:
        policy = observations.cpu().numpy()
        if self._one_array:
            return policy
        critic = state.expand(-1, self.agent_num, -1).cpu().numpy()
        return {"policy": policy, "critic": critic}
