"""A training by OpenRL's MAPPO, with this project's run directory, logs, checkpoints and signals."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch

from ...device.process_group import ALONE, World
from ...envs.factory import make_env
from ...envs.push_env import sizes
from ...errors import UserError
from ...system import closing
from ...system.signals import StopRequest
from ...training import checkpoint, memory
from ...training.config import ExperimentConfig
from ...training.episode_window import RecentEpisodes, reward_terms
from ...training.log import MetricsLog
from ...training.progress import TrainingReport
from ...training.run_directory import RunDirectory
from ...training.session import Session, load_weights, set_torch_threads
from ...training.trainer import Outcome
from ...training.wandb_log import Mirror
from .learner import OpenRLLearner, arguments, import_openrl

_TAGS = {
    "policy_loss": "agent0/policy_loss",
    "dist_entropy": "agent0/dist_entropy",
    "actor_grad_norm": "agent0/actor_grad_norm",
    "ratio": "agent0/ratio",
    "value_loss": "critic/value_loss",
    "critic_grad_norm": "critic/critic_grad_norm",
}
"""TensorBoard's tags for what OpenRL reports of an update."""
_CARRIED = ("policy_obs", "critic_obs", "masks", "active_masks", "bad_masks")
"""What OpenRL's buffer carries from the end of a rollout to the start of the next one."""
_ENV, _BUFFER = "env.", "buffer."


def start(
    config: ExperimentConfig,
    results: Path,
    command: List[str],
    report: TrainingReport,
    initial: Optional[Path] = None,
    world: World = ALONE,
    mirror: Optional[Mirror] = None,
) -> Session:
    """Train a new run under `results`, from the weights of the checkpoint `initial` if one is given.

    Raises:
        UserError: OpenRL is missing or lacks what is configured, the simulator is missing, the folder cannot be
            written, or the weights do not fit.

    """
    learner = _make_learner(config, config.training.torch_threads, world)
    with closing.ensured("the simulation", learner.env.close):
        if initial is not None:
            load_weights(learner, initial)
        weights = None if initial is None else learner.model_state()
        return _train(config, RunDirectory.create(results, config, command, weights), learner, report, mirror)


def resume(path: Path, report: TrainingReport, world: World = ALONE, mirror: Optional[Mirror] = None) -> Session:
    """Go on with a run from its last checkpoint, or from its start where it has none.

    Raises:
        UserError: OpenRL is missing, there is no run, it is in use, it is finished, or its last checkpoint is damaged.

    """
    run = RunDirectory(path)
    config = run.config()
    learner = _make_learner(config, run.manifest().get("torch_threads") or config.training.torch_threads, world)
    with closing.ensured("the simulation", learner.env.close):
        initial = run.initial_weights()
        if initial is not None:
            learner.load_model_state(initial)
        return _train(config, run, learner, report, mirror)


def _make_learner(config: ExperimentConfig, threads: int, world: World) -> OpenRLLearner:
    """The learner over its environment; what cannot be done is refused before anything is on the disk."""
    if world.size > 1:
        raise UserError(f"library=openrl trains in one process, not in {world.size}; leave --gpus out")
    if config.training.stages:
        raise UserError("training.stages must be empty with library=openrl, which trains a single stage")
    told = arguments(config.learner, config.training.rollout_length, config.training.seed)
    import_openrl()
    set_torch_threads(threads)
    observation_size, (_, numbers) = sizes(config.task, config.object.task)
    # In OpenRL's buffer every robot has a state of its own, and two recurrent ones that nothing uses.
    memory.check(config, observation_size + 2 * told["hidden_size"], config.object.task.num_robots * numbers)
    env = make_env(config.task, config.object.task, config.object.body, config.sim, config.training.seed)
    return OpenRLLearner(told, env, config.training.random_initial_ages)


def _train(
    config: ExperimentConfig,
    run: RunDirectory,
    learner: OpenRLLearner,
    report: TrainingReport,
    mirror: Optional[Mirror],
) -> Session:
    run.lock()
    try:
        trainer = _Trainer(config, run, learner)
        saved = run.checkpoints()
        if saved:
            trainer.restore(checkpoint.load(saved[-1][1]))
            if trainer.steps >= config.total_steps:
                raise UserError(f"{run.path} is finished: it has all of its {config.total_steps:,} steps")
        report.line(f"run directory: {run.path}")
        run.record_hardware(learner.env.device, 1, trainer.steps)
        with StopRequest() as stop:
            begun = None if mirror is None else mirror.begin(run, config, report.line)
            with MetricsLog(run.logs, trainer.steps, begun) as log:
                outcome = trainer.train(report, log, stop)
        return Session(run, outcome, stop.exit_code if outcome.stopped else 0)
    finally:
        run.release()


class _Trainer:
    """Drives OpenRL's rollouts and updates until the run's steps are done.

    Everything that the rest of the run depends on is in a checkpoint, taken between two updates, so that a run that
    was stopped and resumed ends, on a CPU, with the same bytes as one that was not.
    """

    def __init__(self, config: ExperimentConfig, run: RunDirectory, learner: OpenRLLearner) -> None:
        """Start at step 0; `restore` goes on from a checkpoint."""
        self._config, self._run, self._learner = config, run, learner
        self.steps = 0
        self._recent = RecentEpisodes()
        self._saved: Optional[checkpoint.Checkpoint] = None

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint of this run. Most of it is taken over in `train`: OpenRL makes its buffer there."""
        self.steps, self._saved = saved.steps, saved
        self._recent.load_json(saved.progress["recent"])

    def train(self, report: TrainingReport, log: MetricsLog, stop: StopRequest) -> Outcome:
        """Train until the steps are done or a stop is requested; a checkpoint is written in either case."""
        started, first, total = time.monotonic(), self.steps, self._config.total_steps
        report.start(self.steps)
        self._learner.train(lambda driver: self._drive(driver, report, log, stop), total)
        seconds = time.monotonic() - started
        fps = (self.steps - first) / max(seconds, 1e-9)
        return Outcome(self.steps, seconds, fps, stopped=self.steps < total)

    def _drive(self, driver: Any, report: TrainingReport, log: MetricsLog, stop: StopRequest) -> None:
        """What the loop of OpenRL's driver does, between this project's logs and checkpoints."""
        total, per_update = self._config.total_steps, self._config.steps_per_update
        driver.reset_and_buffer_init()
        if self._saved is not None:
            self._take_over(self._saved, driver.buffer.data)
        driver.episodes = -(-total // per_update)  # its linear schedule ends there
        while self.steps < total and stop.signal_number is None:
            driver.episode = self.steps // per_update
            begun = time.monotonic()
            statistics, _ = driver.actor_rollout()
            collected = time.monotonic()
            learned = driver.learner_update()
            driver.buffer.after_update()
            done = time.monotonic()
            self.steps += per_update
            metrics = self._metrics(statistics, learned, collected - begun, done - collected)
            log.write(metrics, self.steps)
            report.update(self.steps, metrics, last=self.steps >= total)
            if self._checkpoint_due():
                self._save(driver.buffer.data)
                log.flush()
        self._save(driver.buffer.data)

    def _checkpoint_due(self) -> bool:
        interval, before = self._config.training.checkpoint_interval, self.steps - self._config.steps_per_update
        return self.steps // interval > before // interval

    def _metrics(
        self, statistics: Dict[str, float], learned: Dict[str, Any], rollout: float, update: float
    ) -> Dict[str, float]:
        """Everything that there is to log of an update, whose two parts took so many seconds."""
        env = self._learner.env
        self._recent.add(statistics)
        metrics = {_TAGS[name]: float(value) for name, value in learned.items()}
        metrics.update(self._recent.metrics())
        metrics.update(reward_terms(statistics, env.num_agents))
        metrics["perf/fps"] = self._config.steps_per_update / (rollout + update)
        metrics["perf/rollout_seconds"], metrics["perf/update_seconds"] = rollout, update
        metrics["perf/rss_mib"] = memory.resident_mib()
        if env.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(env.device)
            metrics["perf/vram_mib"] = (total - free) / 2**20
        return metrics

    def _save(self, buffer: Any) -> None:
        """Write a checkpoint of this moment, with OpenRL's own `module.pt` in it."""
        learner = self._learner
        training = learner.training_state()
        training.update({_ENV + name: value for name, value in learner.env.state_dict().items()})
        training.update({_BUFFER + name: torch.from_numpy(getattr(buffer, name)[0]) for name in _CARRIED})
        progress = {"recent": self._recent.to_json()}
        saved = checkpoint.Checkpoint(self.steps, learner.model_state(), training, progress)
        checkpoint.save(self._run.models, saved, learner.save)

    def _take_over(self, saved: checkpoint.Checkpoint, buffer: Any) -> None:
        """Be where a checkpoint was taken."""
        learner, tensors = self._learner, saved.training
        learner.load_model_state(saved.model)
        learner.env.load_state_dict(
            {name[len(_ENV) :]: value for name, value in tensors.items() if name.startswith(_ENV)}
        )
        for name in _CARRIED:
            getattr(buffer, name)[0] = tensors[_BUFFER + name].numpy()
        learner.load_training_state(tensors)
