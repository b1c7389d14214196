"""The training loop over HARL's runner."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import torch
from torch import Tensor

from ...envs.push_env import PushEnv
from ...system.signals import StopRequest
from ...training import checkpoint, memory
from ...training.config import ExperimentConfig
from ...training.episode_window import RecentEpisodes, reward_terms
from ...training.log import MetricsLog
from ...training.progress import TrainingReport
from ...training.run_directory import RunDirectory
from ...training.trainer import Outcome
from . import weights
from .env import HarlEnv
from .progress import Progress

_OPTIMIZER, _BUFFER, _GENERATOR, _ENV = "optimizer.", "buffer.", "generator.", "env."


class HarlTrainer:
    """Lets HARL's runner collect rollouts and learn from them, in the order of its own `run`, until the steps are done.

    What HARL's `run` lacks is here: checkpoints by steps, from which a run goes on, on a CPU with the same bytes;
    stopping; this project's logs.
    """

    def __init__(self, config: ExperimentConfig, run: RunDirectory, env: PushEnv, vector: HarlEnv, runner: Any) -> None:
        """Start at step 0; `restore` goes on from a checkpoint."""
        self.config, self.run, self.env, self.runner = config, run, env, runner
        self.steps = 0
        self.recent = RecentEpisodes()
        self._vector = vector
        self._updates = -(-config.total_steps // config.steps_per_update)
        runner.warmup()

    def train(self, report: TrainingReport, log: MetricsLog, stop: StopRequest) -> Outcome:
        """Train until the steps are done or a stop is requested; a checkpoint is written in either case."""
        started, first = time.monotonic(), self.steps
        report.start(self.steps)
        with Progress(self.config, self.run.path, self.steps, report) as progress:
            while self.steps < self.config.total_steps and stop.signal_number is None:
                metrics = self._update()
                log.write(metrics, self.steps)
                done = self.steps >= self.config.total_steps
                progress.add(self.steps // self.config.steps_per_update, self._updates, self.steps, metrics)
                report.update(self.steps, metrics, last=done)
                if self._checkpoint_due():
                    self.save()
                    log.flush()
        self.save()
        seconds = time.monotonic() - started
        fps = (self.steps - first) / max(seconds, 1e-9)
        return Outcome(self.steps, seconds, fps, stopped=self.steps < self.config.total_steps)

    def save(self) -> None:
        """Write a checkpoint of this moment, between two updates."""
        training = {
            **self._optimizer_state(),
            **{f"{_BUFFER}{name}": torch.from_numpy(row).clone() for name, row in self._rows()},
            **{f"{_GENERATOR}{name}": state for name, state in _generators(self.env.device).items()},
            **{f"{_ENV}{name}": value for name, value in self.env.state_dict().items()},
        }
        model = weights.model_state(self.runner, self.config.learner)
        progress = {"recent": self.recent.to_json(), "processes": 1}
        saved = checkpoint.Checkpoint(self.steps, model, training, progress)
        checkpoint.save(self.run.models, saved, self._add_own_files)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint of this run."""
        self.steps = saved.steps
        weights.load_model_state(self.runner, self.config.learner, saved.model)
        self._load_optimizer_state(saved.training)
        for name, row in self._rows():
            row[...] = saved.training[f"{_BUFFER}{name}"].numpy()
        self.env.load_state_dict(_inside(saved.training, _ENV))
        self.recent.load_json(saved.progress["recent"])
        _set_generators(_inside(saved.training, _GENERATOR), self.env.device)

    def _add_own_files(self, folder: Path) -> None:
        """The weights once more in the files that HARL itself reads (`model_dir`); nothing here reads them."""
        self.runner.save_dir = str(folder)
        self.runner.save()

    # One update, as in HARL's `OnPolicyBaseRunner.run`

    def _update(self) -> Dict[str, float]:
        """One rollout and what HARL learns from it; everything that there is to log."""
        runner, begun = self.runner, time.monotonic()
        if runner.algo_args["train"]["use_linear_lr_decay"]:
            for learner in (*runner.actor, runner.critic):
                learner.lr_decay(self.steps // self.config.steps_per_update + 1, self._updates)
        runner.prep_rollout()
        for step in range(self.config.training.rollout_length):
            values, actions, log_probs, states, critic_states = runner.collect(step)
            outcome = self._vector.step(actions)
            runner.insert((*outcome, values, actions, log_probs, states, critic_states))
        collected = time.monotonic()
        runner.compute()
        runner.prep_training()
        agents = self._order()
        actor_infos, critic_info = runner.train()
        reward = float(runner.critic_buffer.get_mean_rewards())
        runner.after_update()
        self.steps += self.config.steps_per_update
        metrics = {**_actor_metrics(agents, actor_infos), **{f"critic/{k}": float(v) for k, v in critic_info.items()}}
        metrics["critic/average_step_rewards"] = reward
        metrics.update(self._episodes())
        now = time.monotonic()
        metrics["perf/fps"] = self.config.steps_per_update / (now - begun)
        metrics["perf/rollout_seconds"], metrics["perf/update_seconds"] = collected - begun, now - collected
        metrics["perf/rss_mib"] = memory.resident_mib()
        return metrics

    def _order(self) -> List[int]:
        """The agents in the order in which HARL is about to train them, and to return what it has to tell.

        HA algorithms draw it first of all; HARL's own loggers call whoever came first agent0.
        """
        agents = self.env.num_agents
        if self.config.learner.algorithm == "mappo" or self.runner.fixed_order:
            return list(range(agents))
        state = torch.get_rng_state()
        order = torch.randperm(agents).tolist()
        torch.set_rng_state(state)
        return order

    def _episodes(self) -> Dict[str, float]:
        statistics = self.env.statistics.pop_numbers()
        self.recent.add(statistics)
        return {**self.recent.metrics(), **reward_terms(statistics, self.env.num_agents)}

    def _checkpoint_due(self) -> bool:
        interval, before = self.config.training.checkpoint_interval, self.steps - self.config.steps_per_update
        return self.steps // interval > before // interval

    # What a checkpoint holds

    def _optimizers(self) -> Dict[str, torch.optim.Optimizer]:
        actors = self.runner.actor[:1] if self.config.learner.share_actor else self.runner.actor
        named = {f"actor{index}": actor.actor_optimizer for index, actor in enumerate(actors)}
        return {**named, "critic": self.runner.critic.critic_optimizer}

    def _optimizer_state(self) -> Dict[str, Tensor]:
        """Adam's moments and step counts, by owner, parameter and name."""
        found = {}
        for owner, optimizer in self._optimizers().items():
            for index, values in optimizer.state_dict()["state"].items():
                for name, value in values.items():
                    found[f"{_OPTIMIZER}{owner}.{index}.{name}"] = torch.as_tensor(value)
        return found

    def _load_optimizer_state(self, saved: Dict[str, Tensor]) -> None:
        for owner, optimizer in self._optimizers().items():
            whole = optimizer.state_dict()
            whole["state"] = {}
            for key, value in _inside(saved, f"{_OPTIMIZER}{owner}.").items():
                index, _, name = key.partition(".")
                whole["state"].setdefault(int(index), {})[name] = value
            optimizer.load_state_dict(whole)

    def _rows(self) -> Iterator[Tuple[str, np.ndarray]]:
        """The rows of HARL's buffers with which the next rollout begins, by name; to read and to write."""
        for index, buffer in enumerate(self.runner.actor_buffer):
            for name in ("obs", "masks", "active_masks"):
                yield f"actor{index}.{name}", getattr(buffer, name)[0]
        for name in ("share_obs", "masks", "bad_masks"):
            yield f"critic.{name}", getattr(self.runner.critic_buffer, name)[0]


def _actor_metrics(agents: List[int], infos: List[Dict[str, Any]]) -> Dict[str, float]:
    """What HARL tells of each actor, as `agent0/policy_loss` and so on."""
    named = [(f"agent{agent}/{name}", value) for agent, info in zip(agents, infos) for name, value in info.items()]
    return {name: float(torch.as_tensor(value).detach().double().mean()) for name, value in named}


def _generators(device: torch.device) -> Dict[str, Tensor]:
    """States of the generators that HARL's on-policy runners draw from: torch's global ones."""
    states = {"cpu": torch.get_rng_state()}
    return {**states, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def _set_generators(states: Dict[str, Tensor], device: torch.device) -> None:
    # A generator takes its state only from the start of a tensor's memory.
    torch.set_rng_state(states["cpu"].clone())
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"].clone(), device)


def _inside(tensors: Dict[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    """Those whose names start with the prefix, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
