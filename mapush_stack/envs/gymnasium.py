"""Many pushing tasks as one Gymnasium VectorEnv. Importing this module needs Gymnasium 1.1."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from .arrays import begin, finite
from .decision import Step
from .push_env import PushEnv

# At module level, unlike other optional packages, because the class below extends one of its classes.
try:
    from gymnasium.spaces import Box
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError:
    raise UserError("the vector environment needs Gymnasium: pip install 'gymnasium>=1.1'") from None


class PushVectorEnv(VectorEnv):  # type: ignore[misc] # Gymnasium is optional
    """N pushing tasks at the speed of `PushEnv`. A row is a team, or with `per_robot` a robot.

    A team's row holds what its robots observe, or do, one after the other; its reward is their mean. With `per_robot`
    there are A * N rows: all robots of the first task, then those of the second; the reward is the robot's own.

    The next episode begins in the step that ends one (`AutoresetMode.SAME_STEP`): `infos["final_obs"]` is what was
    observed at the end, `infos["final_info"]["is_success"]` whether the object was at its target.

    An action is what `PushEnv` takes: velocities in each robot's heading frame; numbers outside of the action space
    count as its bound. Arrays are copied from and to a GPU; to train there without copies, use `PushEnv` itself.
    """

    def __init__(self, env: PushEnv, per_robot: bool = False) -> None:
        """Wrap an environment with automatic resets.

        Raises:
            UserError: it has none, or a row cannot be a robot because the team's robots are not alike.

        """
        if not env.auto_reset:
            raise UserError("the vector environment needs automatic resets; leave auto_reset=False out")
        if per_robot and not env.spec.alike:
            raise UserError("per_robot=True needs a team of robots of one kind; this team has several")
        self._env, spec = env, env.spec
        self.autoreset_mode = AutoresetMode.SAME_STEP  # TorchRL looks here
        self.metadata: Dict[str, Any] = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self._in_row = 1 if per_robot else spec.num_agents
        self._rows_each = spec.num_agents // self._in_row
        self.num_envs = env.num_envs * self._rows_each
        agents = spec.agents[: self._in_row]
        # Which numbers of a row as wide as the widest robot's belong to a robot.
        self._seen = _own([agent.observation_size for agent in agents], spec.observation_size)
        self._done = _own([agent.action_size for agent in agents], spec.action_size)
        bound = np.concatenate([np.full(agent.action_size, agent.action_bound, np.float32) for agent in agents])
        infinite = np.full(len(self._seen), np.inf, np.float32)
        self.single_observation_space = Box(-infinite, infinite, dtype=np.float32)
        self.single_action_space = Box(-bound, bound, dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: Optional[int] = None, options: Optional[Dict[str, Any]] = None
    ) -> Tuple[np.ndarray, Dict[str, Any]]:
        """Start the first episodes of `seed`, or without a seed episodes that have not been yet.

        `options` are ignored. The objects' frictions are drawn once, from the seed with which the environment was made.
        """
        return self._rows(begin(self._env, seed)[0]), {}

    def step(self, actions: Any) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Dict[str, Any]]:
        """Take one decision in every row.

        Returns:
            Observations, rewards, terminations, truncations and infos.

        Raises:
            UserError: there has been no reset, the environment is closed, or `actions` are not what is expected.

        """
        env, given = self._env, finite("actions", actions, self.action_space.shape)
        padded = np.zeros((self.num_envs, self._in_row * env.spec.action_size), np.float32)
        padded[:, self._done] = given
        wanted = (env.num_envs, env.spec.num_agents, env.spec.action_size)
        step = env.step(torch.from_numpy(padded).view(wanted).to(env.device))
        rewards = step.rewards.view(self.num_envs, self._in_row).mean(-1).cpu().numpy()
        terminated, truncated = self._each(step.terminated), self._each(step.truncated)
        return self._rows(step.observations), rewards, terminated, truncated, self._infos(step, terminated | truncated)

    def render(self) -> None:
        """Do nothing: `mapush play` draws policies."""

    def close_extras(self, **options: Any) -> None:
        """Release the simulator."""
        self._env.close()

    def _infos(self, step: Step, ended: np.ndarray) -> Dict[str, Any]:
        """What was observed at the end of episodes, and how they ended."""
        if not ended.any():
            return {}
        last, observed = self._rows(self._env.final_observations(step)), np.full(self.num_envs, None, object)
        for row in ended.nonzero()[0]:
            observed[row] = last[row]
        info = {"is_success": self._each(step.episode.success) & ended, "_is_success": ended.copy()}
        return {"final_obs": observed, "_final_obs": ended, "final_info": info, "_final_info": ended.copy()}

    def _rows(self, observations: Tensor) -> np.ndarray:
        """`[rows, numbers]` of observations `[N, A, D]`; a copy."""
        flat = observations.reshape(self.num_envs, -1).cpu().numpy()
        return np.take(flat, self._seen, axis=1)

    def _each(self, values: Tensor) -> np.ndarray:
        """`[rows]` of values `[N]`; a copy."""
        return np.repeat(values.cpu().numpy(), self._rows_each)


def _own(sizes: List[int], width: int) -> np.ndarray:
    """Where the numbers of robots of these sizes are, if each has `width` places."""
    return np.concatenate([np.arange(size) + index * width for index, size in enumerate(sizes)])
