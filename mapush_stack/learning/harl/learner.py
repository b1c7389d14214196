"""A learner that lets HARL's runner collect rollouts and learn from them, in the order of its own `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ..config import LearnerConfig
from ..contract import Metrics, TrainingPlan
from ..libraries import LibraryLearner, not_finite, scalar
from ..vec_env import TeamEnv
from . import arguments, library, weights
from .env import HarlEnv, per_robot
from .progress import ProgressText

_ACTOR_ROWS, _CRITIC_ROWS = ("obs", "masks", "active_masks"), ("share_obs", "masks", "bad_masks")
"""What HARL's buffers carry from a rollout to the next one."""


class HarlLearner(LibraryLearner):
    """HARL's runner over the team's environment, and what a checkpoint has to hold of it."""

    generator = "cpu"

    def __init__(self, config: LearnerConfig, plan: TrainingPlan, env: TeamEnv) -> None:
        """Make the runner, which seeds torch's own generators, with weights drawn from them."""
        self.config, self.plan, self.env = config, plan, env
        env.reset()  # HARL may look at it when it makes its runner
        self._vector = HarlEnv(env)
        given = arguments.algo_args(config, plan, torch.get_num_threads(), env.device.type == "cuda")
        self.runner: Any = library.make_runner(library.find(), config.algorithm, given, self._vector)
        weights.start_deviation(self.runner, config)
        for actor, agent in zip(self.runner.actor, env.spec.agents):
            if agent.action_size < env.spec.action_size:  # the runner stacks all robots' actions
                actor.get_actions = _widened(actor.get_actions, env.spec.action_size - agent.action_size)
        self._progress: Optional[ProgressText] = None

    def begin(self) -> None:
        """See `Learner.begin`."""
        self.runner.warmup()
        self._progress = ProgressText(self.plan, self.config.algorithm)

    # One update, as in HARL's `OnPolicyBaseRunner.run`

    def collect(self) -> None:
        """See `Learner.collect`."""
        runner, spaces = self.runner, self._vector.action_space
        runner.prep_rollout()
        for step in range(self.plan.rollout_length):
            values, actions, log_probs, states, critic_states = runner.collect(step)
            outcome = self._vector.step(actions)
            own = per_robot(actions, spaces), per_robot(log_probs, spaces)
            runner.insert((*outcome, values, *own, states, critic_states))

    def update(self, steps: int, progress: float) -> Metrics:
        """See `Learner.update`."""
        runner, plan = self.runner, self.plan
        if not_finite(runner.critic_buffer.rewards):
            return {}
        if runner.algo_args["train"]["use_linear_lr_decay"]:
            for learner in (*runner.actor, runner.critic):
                learner.lr_decay(steps // plan.steps_per_update + 1, plan.updates)
        runner.compute()
        runner.prep_training()
        agents = self._order()
        actor_infos, critic_info = runner.train()
        reward = runner.critic_buffer.get_mean_rewards()
        runner.after_update()
        metrics = {f"critic/{name}": value for name, value in critic_info.items()}
        metrics["critic/average_step_rewards"] = reward
        for agent, info in zip(agents, actor_infos):
            metrics.update({f"agent{agent}/{name}": value for name, value in info.items()})
        return {name: scalar(value, self.env.device) for name, value in metrics.items()}

    def after_update(self, run: Path, steps: int, metrics: Dict[str, float]) -> List[str]:
        """See `Learner.after_update`: HARL's line on the console, and its `progress.txt`."""
        assert self._progress is not None, "begin was not called"
        return self._progress.add(run, steps, metrics.get("train_episode_rewards"))

    def _order(self) -> List[int]:
        """The agents in the order in which HARL is about to train them, and will return their metrics.

        HA algorithms draw it before anything else. HARL's own loggers call the agent that was trained first agent0.
        """
        agents = self.env.spec.num_agents
        if self.config.algorithm == "mappo" or self.runner.fixed_order:
            return list(range(agents))
        state = torch.get_rng_state()
        order: List[int] = torch.randperm(agents).tolist()
        torch.set_rng_state(state)
        return order

    # What a checkpoint holds

    def model_state(self) -> Dict[str, Tensor]:
        """See `Learner.model_state`; the names are the native learner's."""
        return weights.model_state(self.runner, self.config)

    def load_model_state(self, state: Dict[str, Tensor]) -> None:
        """See `Learner.load_model_state`."""
        weights.load_model_state(self.runner, self.config, state)

    def add_files(self, folder: Path) -> None:
        """The weights once more in the files that HARL itself reads (`model_dir`); nothing here reads them."""
        self.runner.save_dir = str(folder)
        self.runner.save()

    def optimizers(self) -> Dict[str, torch.optim.Optimizer]:
        """See `LibraryLearner.optimizers`."""
        actors = self.runner.actor[:1] if self.config.share_actor else self.runner.actor
        named = {f"actor{index}": actor.actor_optimizer for index, actor in enumerate(actors)}
        return {**named, "critic": self.runner.critic.critic_optimizer}

    def rows(self) -> Dict[str, np.ndarray]:
        """See `LibraryLearner.rows`."""
        buffers = {f"actor{index}": (buffer, _ACTOR_ROWS) for index, buffer in enumerate(self.runner.actor_buffer)}
        buffers["critic"] = (self.runner.critic_buffer, _CRITIC_ROWS)
        return {
            f"{owner}.{name}": getattr(buffer, name)[0] for owner, (buffer, names) in buffers.items() for name in names
        }


def _widened(get_actions: Callable[..., Tuple[Tensor, Tensor, Tensor]], missing: int) -> Callable[..., Any]:
    """HARL's `get_actions` with `missing` zeros behind each action and its log probabilities."""

    def widened(*seen: Any) -> Tuple[Tensor, Tensor, Tensor]:
        action, log_prob, states = get_actions(*seen)
        return pad(action, (0, missing)), pad(log_prob, (0, missing)), states

    return widened
