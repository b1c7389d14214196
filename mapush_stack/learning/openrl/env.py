"""A team's environment as OpenRL expects one: NumPy in, NumPy out."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from ...errors import UserError
from ..vec_env import TeamEnv

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
    """OpenRL's monitor would keep every episode's rewards; the training loop has running sums."""

    def __init__(self, env: TeamEnv) -> None:
        """Over `env`, whose robots are alike.

        Raises:
            UserError: gymnasium is not installed.

        """
        try:
            from gymnasium import spaces
        except ImportError:
            raise UserError("OpenRL's environment needs gymnasium: pip install 'mapush_stack[openrl]'") from None

        def box(*shape: int) -> Any:
            return spaces.Box(-np.inf, np.inf, shape, np.float32)

        self.env, spec = env, env.spec
        self.parallel_env_num: int = env.num_envs
        """Environments, N."""
        self.agent_num: int = spec.num_agents
        """Robots in the team, A."""
        bound = np.float32(spec.agents[0].action_bound)
        self.action_space: Any = spaces.Box(-bound, bound, (spec.action_size,), np.float32)
        """Of one robot; what lies outside counts as the bound. OpenRL itself does not look at the bounds."""
        self._one_array = spec.state_is_observation and not spec.measured
        policy, critic = box(spec.observation_size), box(spec.state_shape[1])
        self.observation_space: Any = policy if self._one_array else spaces.Dict({"policy": policy, "critic": critic})
        """Of one robot."""

    def reset(self, seed: Optional[int] = None, options: Optional[Dict[str, Any]] = None) -> Observations:
        """What there is to see. OpenRL calls this at the start, when the training loop has reset the environment."""
        return self._numpy(*self.env.observe())

    def step(
        self, actions: np.ndarray, extra_data: Optional[Dict[str, Any]] = None
    ) -> Tuple[Observations, np.ndarray, np.ndarray, List[Dict[str, Any]]]:
        """Hold `actions` `[N, A, K]` for one decision.

        Returns:
            observations, rewards `[N, A, 1]`, ends of episodes `[N, A]` bool, and an info for every environment.

        """
        step = self.env.step(torch.as_tensor(actions, dtype=torch.float32, device=self.env.device))
        rewards = step.rewards.unsqueeze(-1).cpu().numpy()
        done = (step.terminated | step.truncated).cpu().numpy()
        dones = np.repeat(done[:, None], self.agent_num, axis=1)
        infos: List[Dict[str, Any]] = [{} for _ in range(self.parallel_env_num)]
        for index in step.truncated.nonzero().squeeze(-1).tolist():
            infos[index]["bad_transition"] = [True] * self.agent_num
        return self._numpy(step.observations, step.state), rewards, dones, infos

    def batch_rewards(self, buffer: Any) -> Dict[str, float]:
        """Nothing: the training loop reads the environment's statistics itself."""
        return {}

    def close(self) -> None:
        """Release the simulator; may be called twice."""
        self.env.close()

    def _numpy(self, observations: Tensor, state: Tensor) -> Observations:
        policy = observations.cpu().numpy()
        if self._one_array:
            return policy
        critic = state.expand(-1, self.agent_num, -1).cpu().numpy()
        return {"policy": policy, "critic": critic}
