"""Training with HARL's own learners (PKU-MARL/HARL; Zhong et al., JMLR 25, 2024): `mapush train --learner harl`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional

import torch

from ...device.process_group import ALONE, World
from ...envs.factory import make_env
from ...envs.push_env import sizes
from ...errors import UserError
from ...system import closing
from ...system.signals import StopRequest
from ...training import checkpoint, memory
from ...training.config import ExperimentConfig
from ...training.log import MetricsLog
from ...training.progress import TrainingReport
from ...training.run_directory import RunDirectory
from ...training.session import Session, set_torch_threads
from ...training.wandb_log import Mirror
from . import arguments, library, weights
from .env import HarlEnv
from .trainer import HarlTrainer


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
        UserError: HARL or the simulator is missing, the configuration is beyond HARL, the folder cannot be written, or
            the weights do not fit.

    """
    made = _Made(config, config.training.torch_threads, world)
    with closing.ensured("the simulation", made.vector.close):
        state = None
        if initial is not None:
            made.load(checkpoint.load_model(initial), str(initial))
            state = weights.model_state(made.runner, config.learner)
        run = RunDirectory.create(results, config, command, state)
        return _train(config, run, made, report, mirror)


def resume(path: Path, report: TrainingReport, world: World = ALONE, mirror: Optional[Mirror] = None) -> Session:
    """Go on with a run from its last checkpoint, or from its start where it has none.

    Raises:
        UserError: HARL is missing, or as `session.resume`.

    """
    run = RunDirectory(path)
    config = run.config()
    made = _Made(config, run.manifest().get("torch_threads") or config.training.torch_threads, world)
    with closing.ensured("the simulation", made.vector.close):
        state = run.initial_weights()
        if state is not None:
            made.load(state, str(path))
        return _train(config, run, made, report, mirror)


class _Made:
    """The environment and HARL's runner over it, before anything is written."""

    def __init__(self, config: ExperimentConfig, threads: int, world: World) -> None:
        if world.size > 1:
            raise UserError(f"HARL trains in one process, not {world.size}; leave --gpus out")
        runners = library.find()
        arguments.check(config)
        set_torch_threads(threads)
        observation_size, (values, numbers) = sizes(config.task, config.object.task)
        memory.check(config, observation_size, values * numbers)
        self.config = config
        self.env = make_env(config.task, config.object.task, config.object.body, config.sim, config.training.seed)
        self.vector = HarlEnv(self.env, config.training.random_initial_ages)
        given = arguments.algo_args(config, torch.get_num_threads(), self.env.device.type == "cuda")
        self.runner: Any = library.make_runner(runners, config.learner.algorithm, given, self.vector)
        weights.start_deviation(self.runner, config.learner)

    def load(self, state: Any, source: str) -> None:
        """Take over weights; `source` is where they come from."""
        try:
            weights.load_model_state(self.runner, self.config.learner, state)
        except (RuntimeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"the weights in {source} do not fit the configuration's networks: {reason}") from None


def _train(
    config: ExperimentConfig, run: RunDirectory, made: _Made, report: TrainingReport, mirror: Optional[Mirror]
) -> Session:
    run.lock()
    try:
        trainer = HarlTrainer(config, run, made.env, made.vector, made.runner)
        saved = run.checkpoints()
        if saved:
            trainer.restore(checkpoint.load(saved[-1][1]))
            if trainer.steps >= config.total_steps:
                raise UserError(f"{run.path} is finished: it has all of its {config.total_steps:,} steps")
        report.line(f"run directory: {run.path}")
        run.record_hardware(made.env.device, 1, trainer.steps)
        unused = arguments.unused(config.learner)
        if unused:
            report.line(unused)
        with StopRequest() as stop:
            begun = None if mirror is None else mirror.begin(run, config, report.line)
            with MetricsLog(run.logs, trainer.steps, begun) as log:
                outcome = trainer.train(report, log, stop)
        return Session(run, outcome, stop.exit_code if outcome.stopped else 0)
    finally:
        run.release()
