"""A training from its configuration or its run directory to its last checkpoint."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import List, NamedTuple, Optional

import torch

from ..device.process_group import ALONE, World
from ..envs.factory import make_env
from ..envs.push_env import PushEnv, sizes
from ..errors import UserError
from ..learning.factory import make_learner
from ..learning.native.ppo import EnvSpec, MultiAgentPPO
from ..system import closing
from ..system.machine import usable_cpus
from ..system.signals import StopRequest
from . import checkpoint, memory
from .config import MOST_TORCH_THREADS, ExperimentConfig
from .log import MetricsLog
from .progress import TrainingReport
from .run_directory import RunDirectory
from .trainer import Outcome, Trainer
from .wandb_log import Mirror

_TERMINATED = 128 + signal.SIGTERM
"""Exit code of a process that stopped because another one of its world was asked to."""


class Session(NamedTuple):
    """A finished or stopped training."""

    run: RunDirectory
    outcome: Outcome
    exit_code: int
    """0, or 130 or 143 after a signal."""


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

    Every process of `world` has the configuration's number of environments.

    Raises:
        UserError: the simulator is missing, the folder cannot be written, or the weights do not fit.

    """
    set_torch_threads(config.training.torch_threads)
    # The environment is made first: where it cannot be made, no folder is left behind.
    env = _make_env(config, world)
    with closing.ensured("the simulation", env.close):
        learner = make_learner(config.learner, spec_of(env), env.device, config.training.seed, world)
        if initial is not None:
            load_weights(learner, initial)
        path = ""
        if world.leads:
            weights = None if initial is None else learner.model_state()
            path = str(RunDirectory.create(results, config, command, weights).path)
        return _train(config, RunDirectory(Path(world.say(path))), env, learner, report, world, mirror)


def resume(path: Path, report: TrainingReport, world: World = ALONE, mirror: Optional[Mirror] = None) -> Session:
    """Go on with a run from its last checkpoint, or from its start where it has none.

    Raises:
        UserError: there is no run, it is in use, it is finished, its last checkpoint is damaged, or it was trained by
            another number of processes.

    """
    run = RunDirectory(path)
    config = run.config()
    set_torch_threads(run.manifest().get("torch_threads") or config.training.torch_threads)
    env = _make_env(config, world)
    with closing.ensured("the simulation", env.close):
        learner = make_learner(config.learner, spec_of(env), env.device, config.training.seed, world)
        initial = run.initial_weights()
        if initial is not None:
            learner.load_model_state(initial)
        return _train(config, run, env, learner, report, world, mirror)


def load_weights(learner: MultiAgentPPO, path: Path) -> None:
    """Take over the weights of a checkpoint.

    Raises:
        UserError: they cannot be read, or belong to other networks.

    """
    try:
        learner.load_model_state(checkpoint.load_model(path))
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the weights in {path} do not fit the configuration's networks: {reason}") from None


def spec_of(env: PushEnv) -> EnvSpec:
    """What a learner has to know of an environment."""
    return EnvSpec(env.num_agents, env.observation_size, env.state_shape, env.action_size, env.mirror)


def set_torch_threads(threads: int) -> None:
    """Use this many threads in torch; 0 is one a CPU, but no more than networks of this size can use."""
    torch.set_num_threads(threads or min(usable_cpus(), MOST_TORCH_THREADS))


def _make_env(config: ExperimentConfig, world: World = ALONE) -> PushEnv:
    observation_size, (values, numbers) = sizes(config.task, config.object.task)
    memory.check(config, observation_size, values * numbers)
    first_env = world.rank * config.sim.num_envs
    team = config.team_kinds
    return make_env(
        config.task, config.object.task, config.object.body, config.sim, config.training.seed, first_env, team=team
    )


def _train(
    config: ExperimentConfig,
    run: RunDirectory,
    env: PushEnv,
    learner: MultiAgentPPO,
    report: TrainingReport,
    world: World,
    mirror: Optional[Mirror],
) -> Session:
    if world.leads:
        run.lock()
    try:
        trainer = Trainer(config, run, env, learner, world)
        saved = run.checkpoints()
        if saved:
            trainer.restore(checkpoint.load(saved[-1][1]))
            if trainer.steps >= config.total_steps:
                raise UserError(f"{run.path} is finished: it has all of its {config.total_steps:,} steps")
        report.line(f"run directory: {run.path}")
        if world.leads:
            run.record_hardware(env.device, world.size, trainer.steps)
        logs = run.logs if world.leads else None
        with StopRequest(once=world.size == 1) as stop:
            begun = mirror.begin(run, config, report.line) if mirror is not None and world.leads else None
            with MetricsLog(logs, trainer.steps, begun) as log:
                outcome = trainer.train(report, log, stop)
        return Session(run, outcome, (stop.exit_code or _TERMINATED) if outcome.stopped else 0)
    finally:
        learner.release()
        run.release()
