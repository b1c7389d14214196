"""The training loop."""

from __future__ import annotations

import time
from typing import Any, Dict, NamedTuple, Tuple

from torch import Tensor

from ..envs.push_env import PushEnv
from ..learning.ppo import MultiAgentPPO
from ..learning.rollout_buffer import RolloutBuffer
from . import checkpoint
from .config import ExperimentConfig
from .log import MetricsLog
from .recent import RecentEpisodes
from .report import TrainingReport
from .run_directory import RunDirectory
from .signals import StopRequest


class Outcome(NamedTuple):
    """How a training ended."""

    steps: int
    """Environment steps of the run so far."""
    seconds: float
    """Wall time of this process's part."""
    fps: float
    """Environment steps per second of this process's part."""
    stopped: bool
    """Whether a signal ended it before its time."""


class Trainer:
    """Collects rollouts and learns from them until the run's steps are done.

    Everything that the rest of the run depends on is in `checkpoint`, taken between two updates, so that a run
    that was stopped and resumed ends, on a CPU, with the same bytes as one that was not.
    """

    def __init__(self, config: ExperimentConfig, run: RunDirectory, env: PushEnv, learner: MultiAgentPPO) -> None:
        """Start at step 0; `restore` goes on from a checkpoint."""
        self.config, self.run, self.env, self.learner = config, run, env, learner
        self.steps = 0
        self.recent = RecentEpisodes()
        self._stage = -1
        self._buffer = RolloutBuffer(
            config.training.rollout_length,
            env.num_envs,
            env.num_agents,
            env.observation_size,
            env.state_shape,
            env.action_size,
            env.device,
        )
        self._enter_stage()
        self.env.reset(random_ages=config.training.random_initial_ages)

    def train(self, report: TrainingReport, log: MetricsLog, stop: StopRequest) -> Outcome:
        """Train until the steps are done or a stop is requested; a checkpoint is written in either case."""
        started, first = time.monotonic(), self.steps
        report.start(self.steps)
        while self.steps < self.config.total_steps and stop.signal_number is None:
            self._enter_stage()
            metrics = self._iterate()
            due = self._checkpoint_due()
            if due:
                self.save()
            log.write(metrics, self.steps)
            if due:
                log.flush()
            report.update(self.steps, metrics, last=self.steps >= self.config.total_steps)
        self.save()
        seconds = time.monotonic() - started
        fps = (self.steps - first) / max(seconds, 1e-9)
        return Outcome(self.steps, seconds, fps, stopped=self.steps < self.config.total_steps)

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        checkpoint.save(self.run.models, self.checkpoint())

    def checkpoint(self) -> checkpoint.Checkpoint:
        """This moment, complete."""
        env = {f"env.{name}": value for name, value in self.env.state_dict().items()}
        return checkpoint.Checkpoint(
            self.steps,
            self.learner.model_state(),
            {**self.learner.training_state(), **env},
            {"recent": self.recent.to_json()},
        )

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint of this run."""
        self.steps = saved.steps
        self.learner.load_model_state(saved.model)
        env, training = _split(saved.training, "env.")
        self.learner.load_training_state(training)
        self.env.load_state_dict(env)
        self.recent.load_json(saved.progress["recent"])
        self._enter_stage()

    def _iterate(self) -> Dict[str, float]:
        """One rollout and one update; returns everything there is to log."""
        begun = time.monotonic()
        self._collect()
        collected = time.monotonic()
        metrics = self.learner.update(self._buffer, self._stage_progress())
        done = time.monotonic()
        self.steps += self.config.steps_per_update
        statistics = self.env.statistics.pop()
        self.recent.add(statistics)
        metrics.update(self.recent.metrics())
        metrics.update(_reward_terms(statistics, self.env.num_agents))
        metrics["perf/fps"] = self.config.steps_per_update / (done - begun)
        metrics["perf/rollout_seconds"] = collected - begun
        metrics["perf/update_seconds"] = done - collected
        return metrics

    def _collect(self) -> None:
        """Fill the buffer with one rollout."""
        observations, state = self.env.observe()
        for _ in range(self.config.training.rollout_length):
            action, log_prob = self.learner.act(observations)
            step = self.env.step(action)
            self._buffer.add(
                observations=observations,
                states=state,
                next_states=step.final_state,
                actions=action,
                log_probs=log_prob,
                rewards=step.rewards,
                terminated=step.terminated,
                truncated=step.truncated,
            )
            observations, state = step.observations, step.state

    def _stage_bounds(self) -> Tuple[int, int, int]:
        """Index of the present stage and the steps where it begins and ends."""
        begin = 0
        stages = self.config.training.stages
        for index, stage in enumerate(stages):
            if self.steps < begin + stage.steps or index + 1 == len(stages):
                return index, begin, begin + stage.steps
            begin += stage.steps
        return 0, 0, self.config.total_steps

    def _stage_progress(self) -> float:
        _, begin, end = self._stage_bounds()
        return (self.steps - begin) / (end - begin)

    def _enter_stage(self) -> None:
        """Take on the present stage's rewards and rates, if they are not taken on yet."""
        index, _, _ = self._stage_bounds()
        if self.config.training.stages and index != self._stage:
            self._stage = index
            changed = self.config.stage(index)
            self.env.configure(changed.task)
            self.learner.configure(changed.learner)

    def _checkpoint_due(self) -> bool:
        interval, before = self.config.training.checkpoint_interval, self.steps - self.config.steps_per_update
        return self.steps // interval > before // interval


def _reward_terms(statistics: Dict[str, float], num_agents: int) -> Dict[str, float]:
    """Each reward term as its mean per control step and robot."""
    samples = max(statistics["control_steps"] * num_agents, 1)
    prefix = "term/"
    return {
        f"rewards/{name[len(prefix) :]}": value / samples
        for name, value in statistics.items()
        if name.startswith(prefix)
    }


def _split(tensors: Dict[str, Tensor], prefix: str) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """Those whose names start with the prefix, without it, and the others."""
    inside = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    outside = {name: value for name, value in tensors.items() if not name.startswith(prefix)}
    return inside, outside
