"""One pushing task as PettingZoo's ParallelEnv. Importing this module needs PettingZoo."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..sim.config import ObjectConfig, SimConfig
from ..task.config import TaskConfig
from ..task.terminations import CAUSES
from .arrays import begin, finite
from .factory import make_env
from .push_env import PushEnv

# At module level, unlike other optional packages, because the class below extends one of its classes.
try:
    from gymnasium import spaces
    from pettingzoo import ParallelEnv
except ImportError:
    raise UserError("the PettingZoo environment needs PettingZoo: pip install 'mapush_stack[pettingzoo]'") from None


def parallel_env(
    task: TaskConfig, thing: ObjectConfig, sim: SimConfig, seed: int = 0, team: Optional[Sequence[str]] = None
) -> PushParallelEnv:
    """One pushing task on the simulator that `sim.backend` names; arguments as for `make_env`.

    Raises:
        UserError: the simulator is not installed, or cannot run here.

    """
    alone = sim.model_copy(update={"num_envs": 1, "threads": 1})
    return PushParallelEnv(make_env(task, thing, alone, seed, auto_reset=False, team=team))


class PushParallelEnv(ParallelEnv):  # type: ignore[misc] # PettingZoo is optional and has no types
    """A team of robots that all act at once, and whose episode ends for all of them together.

    An action is what the robot's kind steers of (vx, vy, yaw rate) in its heading frame, held for a decision; numbers
    outside of the action space count as its bound. A copy, by `copy.deepcopy` or pickle, goes on where the original
    was, in the same episodes: give each copy a seed of its own by `reset(seed=...)`.
    """

    def __init__(self, env: PushEnv) -> None:
        """Wrap an environment of one task that was made with `auto_reset=False`.

        Raises:
            UserError: it has several tasks, or automatic resets.

        """
        if env.num_envs != 1 or env.auto_reset:
            resets = "with" if env.auto_reset else "without"
            raise UserError(
                "the PettingZoo environment needs one task without automatic resets (sim.num_envs=1, "
                f"auto_reset=False), not {env.num_envs} {resets} them"
            )
        self.metadata: Dict[str, Any] = {"name": "go1push_mid", "render_modes": [], "is_parallelizable": True}
        self.render_mode = None
        self.possible_agents = [f"robot_{index}" for index in range(env.spec.num_agents)]
        self.agents: List[str] = []
        values, numbers = env.spec.state_shape
        self.state_space = _box(np.inf, values * numbers)
        """Of `state`: what a centralised critic sees, all values of `task.global_state` one after the other."""
        specs = dict(zip(self.possible_agents, env.spec.agents))
        self.observation_spaces = {agent: _box(np.inf, spec.observation_size) for agent, spec in specs.items()}
        self.action_spaces = {agent: _box(spec.action_bound, spec.action_size) for agent, spec in specs.items()}
        self._env = env
        self._state: Optional[Tensor] = None

    def observation_space(self, agent: str) -> spaces.Box:
        """What the robot observes."""
        self._check_agent(agent)
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """What the robot can do."""
        self._check_agent(agent)
        return self.action_spaces[agent]

    def reset(
        self, seed: Optional[int] = None, options: Optional[Dict[str, Any]] = None
    ) -> Tuple[Dict[str, np.ndarray], Dict[str, Dict[str, Any]]]:
        """Start the first episode of `seed`, or without a seed the next episode.

        `options` are ignored. The object's friction is drawn once, from the seed with which the environment was made.
        """
        observations, self._state = begin(self._env, seed)
        self.agents = self.possible_agents[:]
        return self._per_agent(observations), {agent: {} for agent in self.agents}

    def step(
        self, actions: Dict[str, np.ndarray]
    ) -> Tuple[Dict[str, np.ndarray], Dict[str, float], Dict[str, bool], Dict[str, bool], Dict[str, Dict[str, Any]]]:
        """Take one decision of every robot.

        Returns:
            Observations, rewards, terminations, truncations and infos by robot. When the episode ends, the infos have
            `cause`: "finished" is success.

        Raises:
            UserError: no episode is going on, or an action is missing, not finite, of another size or of another robot.

        """
        if not self.agents:
            raise UserError("no episode is going on: call reset first")
        if not isinstance(actions, dict):
            raise UserError(f"actions must be a dictionary with an action for each of env.agents, not {actions!r:.60}")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise UserError(f"actions has none for {', '.join(missing)}: give one for each of env.agents")
        unknown = [str(agent) for agent in actions if agent not in self.agents]
        if unknown:
            raise UserError(f"actions has {', '.join(unknown)}, but env.agents are {', '.join(self.agents)}")
        env = self._env
        given = np.zeros((1, env.spec.num_agents, env.spec.action_size), np.float32)
        for row, (agent, space) in enumerate(self.action_spaces.items()):
            given[0, row, : space.shape[0]] = finite(f"actions[{agent}]", actions[agent], space.shape)
        step = env.step(torch.as_tensor(given, device=env.device))
        self._state = step.final_state
        agents, rewards = self.agents, step.rewards[0].tolist()
        terminated, truncated = bool(step.terminated), bool(step.truncated)
        info = {"cause": CAUSES[int(step.episode.cause)]} if terminated or truncated else {}
        results = (
            self._per_agent(step.observations),
            dict(zip(agents, rewards)),
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            {agent: dict(info) for agent in agents},
        )
        if terminated or truncated:
            self.agents = []
        return results

    def state(self) -> np.ndarray:
        """What a centralised critic sees, `[V * S]`.

        Raises:
            UserError: there has been no reset yet.

        """
        if self._state is None:
            raise UserError("the environment has no state yet: call reset first")
        return self._state[0].flatten().cpu().numpy().copy()

    def render(self) -> None:
        """Do nothing: `mapush play` draws policies."""

    def close(self) -> None:
        """Release the simulator; may be called twice."""
        self._env.close()

    def _check_agent(self, agent: str) -> None:
        if agent not in self.possible_agents:
            raise UserError(f"there is no agent {agent!r:.60}; there are {', '.join(self.possible_agents)}")

    def _per_agent(self, observations: Tensor) -> Dict[str, np.ndarray]:
        rows = zip(self.observation_spaces.items(), observations[0].cpu().numpy().copy())
        return {agent: row[: space.shape[0]] for (agent, space), row in rows}


def _box(bound: float, size: int) -> spaces.Box:
    """Vectors of `size` numbers from `-bound` to `bound`."""
    return spaces.Box(-np.float32(bound), np.float32(bound), (size,), np.float32)
