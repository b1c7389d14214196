"""A training from its configuration or its run directory to its last checkpoint, with any learner."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

import torch

from ..device.process_group import ALONE, World, launchers
from ..envs.factory import make_env
from ..envs.leader import Led, leader_spec
from ..envs.push_env import PushEnv
from ..envs.spec import team_spec
from ..errors import FaultError, UserError, of_fault
from ..learning.contract import Examples, Learner, TrainingPlan
from ..learning.registry import LEARNERS
from ..learning.vec_env import EnvSpec
from ..sim.robots import ROBOTS
from ..sim.simulators import choose
from ..system import closing
from ..system.atomic import remove_leftovers
from ..system.machine import asked_threads, usable_cpus
from ..system.signals import StopRequest
from ..task.config import ObjectTask, TaskConfig
from ..task.robot import RobotTask
from . import checkpoint, launch, memory
from .config import MOST_TORCH_THREADS, ExperimentConfig
from .demonstrations import examples, load
from .log import MetricsLog
from .placement import as_before, simulation
from .progress import ProgressDisplay
from .run_directory import RunDirectory, task_name
from .trainer import Outcome, Trainer
from .wandb_log import WandbLog

_TERMINATED = 128 + signal.SIGTERM
"""Exit code of a process that stopped because another one of its world was asked to."""


class Session(NamedTuple):
    """A finished or stopped training."""

    run: RunDirectory
    outcome: Optional[Outcome]
    """None where the run had all of its steps before."""
    exit_code: int
    """0, or 129, 130 or 143 after a signal."""
    resuming: str
    """The command that goes on with a run that was stopped; else empty."""


def start(
    config: ExperimentConfig,
    results: Path,
    command: List[str],
    display: ProgressDisplay,
    initial: Optional[Path] = None,
    world: World = ALONE,
    wandb: Optional[WandbLog] = None,
    goes_on: bool = False,
    demonstrations: Optional[Path] = None,
) -> Session:
    """Train a new run under `results`, from the weights of the checkpoint `initial` if one is given.

    A file of `demonstrations` is learned from first; the weights after that are kept as the run's initial ones.

    With `goes_on` the run of this configuration under `results` is resumed, where there is one, so that the same
    command can be given again and again, as schedulers and torchrun do. Of several it is one that is not finished, and
    of those the newest. Runs that cannot be read are left alone, with a warning.

    Every process of `world` has the configuration's number of environments. What cannot be done is refused before
    a folder appears.

    Raises:
        UserError: the learner or the simulator is missing or cannot do what is configured, the folder cannot be
            written, or the weights do not fit.

    """
    begins_anew = initial is None and demonstrations is None
    found = world.say(_begun(config, results, begins_anew, display) if world.leads else "") if goes_on else ""
    if found:
        run = RunDirectory(Path(found))
        if _finished(run, config):
            remove_leftovers(run.path)
            return Session(run, None, 0, "")
        return resume(run.path, display, world, wandb)
    shown = None if demonstrations is None else _shown(config, demonstrations)
    with prepared(config, config.training.torch_threads, world, initial) as (env, learner):
        path = ""
        if shown is not None:
            error = learner.imitate(Examples(*(tensor.to(env.device) for tensor in shown)))
            if demonstrations is not None and checkpoint.not_finite(learner.model_state()):
                raise UserError(f"{demonstrations} cannot be imitated: its numbers are too large; record others")
        if world.leads:
            weights = None if begins_anew else learner.model_state()
            if config.leader is not None and initial is not None:
                weights = checkpoint.load_model(initial)
            path = str(RunDirectory.create(results, config, command, weights).path)
        if shown is not None:
            count = len(shown.actions)
            display.line(f"{demonstrations}: learned {count:,} decisions; actions differ by {error:.2f} on average")
        return _train(config, RunDirectory(Path(world.say(path))), env, learner, display, world, wandb)


def resume(path: Path, display: ProgressDisplay, world: World = ALONE, wandb: Optional[WandbLog] = None) -> Session:
    """Go on with a run from its last checkpoint, or from its start where it has none.

    Raises:
        UserError: as `start`; or there is no run, it is in use, it is finished, its last checkpoint is damaged, it was
            trained by another number of processes, or its simulator cannot run here.

    """
    run = RunDirectory(path)
    config, found = run.config(), run.checkpoints()
    saved = checkpoint.load(found[-1][1]) if found else None
    if saved is not None:
        if saved.steps >= config.total_steps:
            remove_leftovers(run.path)  # nothing more is written that would do it
            raise UserError(f"{run.path} is finished: it has all of its {config.total_steps:,} steps")
        config = as_before(config, run, saved)
    with prepared(config, run.torch_threads() or config.training.torch_threads, world, run.initial_file) as made:
        return _train(config, run, *made, display, world, wandb, saved)


def _shown(config: ExperimentConfig, file: Path) -> Examples:
    """The examples in a file of demonstrations.

    Raises:
        UserError: the learner cannot use any, or the file is damaged or does not fit.

    """
    library = config.learner.library
    if not LEARNERS[library].imitates:
        raise UserError(f"learner.library={library} cannot start from demonstrations; leave --demonstrations out")
    return examples(load(file), config, file)


def _begun(config: ExperimentConfig, results: Path, begins_anew: bool, display: ProgressDisplay) -> str:
    """The path of the run that `start` goes on with; empty if there is none."""
    same = []
    for path in results.glob("mapush/*/*/*/seed-*"):
        run = RunDirectory(path)
        try:
            if run.config() == config and (run.initial_file is None) == begins_anew:
                same.append(run)
        except UserError as error:
            display.line(f"left alone: {error}")
    same.sort(key=lambda run: (not _finished(run, config), run.path.name.split("-", 2)[-1]))
    return str(same[-1].path) if same else ""


def _finished(run: RunDirectory, config: ExperimentConfig) -> bool:
    saved = run.checkpoints()
    return bool(saved) and saved[-1][0] >= config.total_steps


@contextlib.contextmanager
def prepared(
    config: ExperimentConfig, threads: int, world: World = ALONE, initial: Optional[Path] = None
) -> Iterator[Tuple[PushEnv, Learner]]:
    """The environment and the learner of a training; nothing is on the disk yet.

    Args:
        config: the run.
        threads: torch's; 0 as `set_torch_threads` has it.
        world: the processes that train together.
        initial: checkpoint or file of the weights to start from; for a leader those of its team.

    Raises:
        UserError: the learner or the simulator is missing, or cannot do what is configured; or the weights do not fit.

    """
    kind, plan = LEARNERS[config.learner.library], _plan(config, world)
    kind.check(config.learner, plan)
    set_torch_threads(threads)
    memory.check(config, kind.buffer_size(config.learner, plan.spec))
    first_env, led, team = world.rank * config.sim.num_envs, led_by(config, initial), config.team_kinds
    sim = simulation(config)
    env = make_env(config.task, config.object, sim, config.training.seed, first_env, team=team, led=led)
    with closing.ensured("the simulation", env.close):
        learner = kind.make(config.learner, plan, env, world)
        if led is None:
            _load_weights(learner, initial)
        yield env, learner


def led_by(config: ExperimentConfig, weights: Optional[Path]) -> Optional[Led]:
    """The trained team that a leader of this configuration leads; None without a leader.

    Raises:
        UserError: there are no `weights`, or not those of this team.

    """
    if config.leader is None:
        return None
    learner = config.leader.team
    if weights is None or learner is None:
        raise UserError(
            "a leader needs a trained team: give --from RUN, or --pretrained NAME; its run keeps the team's weights in "
            "initial.safetensors"
        )
    if not config.task.obstacles.active:
        raise UserError("a leader leads a team around obstacles, and there are none: task.obstacles.arena is null")
    spec, state = _team_spec(config), checkpoint.load_model(weights)
    try:
        policy = LEARNERS[learner.library].policy(learner, spec, choose(config.sim).device, state)
    except (RuntimeError, KeyError) as error:
        raise checkpoint.does_not_fit(weights, error) from None
    checkpoint.refuse_not_finite(state, weights)
    return Led(config.leader, policy)


def set_torch_threads(threads: int) -> None:
    """Use this many threads in torch.

    0 is what OMP_NUM_THREADS or MKL_NUM_THREADS says; without them one a CPU, but no more than networks of this size
    can use.
    """
    torch.set_num_threads(threads or asked_threads() or min(usable_cpus(), MOST_TORCH_THREADS))


def _plan(config: ExperimentConfig, world: World) -> TrainingPlan:
    """What the learner has to know of the training."""
    return TrainingPlan(
        spec=_team_spec(config) if config.leader is None else leader_spec(*_team(config)),
        num_envs=config.sim.num_envs,
        rollout_length=config.training.rollout_length,
        steps_per_update=config.steps_per_update * world.size,
        total_steps=config.total_steps,
        seed=config.training.seed,
        stages=len(config.training.stages),
        processes=world.size,
        task=task_name(config),
        experiment=config.experiment,
    )


def _team_spec(config: ExperimentConfig) -> EnvSpec:
    return team_spec(*_team(config))


def _team(config: ExperimentConfig) -> Tuple[TaskConfig, ObjectTask, List[RobotTask]]:
    return config.task, config.object.task, [ROBOTS[kind].task for kind in config.team_kinds]


def _load_weights(learner: Learner, source: Optional[Path]) -> None:
    """Take over the weights in a checkpoint or a file, if any; raise `UserError` if they belong to other networks."""
    if source is None:
        return
    weights = checkpoint.load_model(source)
    try:
        learner.load_model_state(weights)
    except (RuntimeError, KeyError) as error:
        raise checkpoint.does_not_fit(source, error) from None


def _train(
    config: ExperimentConfig,
    run: RunDirectory,
    env: PushEnv,
    learner: Learner,
    display: ProgressDisplay,
    world: World,
    wandb: Optional[WandbLog],
    saved: Optional[checkpoint.Checkpoint] = None,
) -> Session:
    """Train from the checkpoint `saved` on, the run's last, with the run's lock held.

    Raises:
        UserError: the run cannot be trained; nothing has changed.
        FaultError: the training cannot go on; the message says where its last checkpoint is.

    """
    failure, refused = "", False
    try:
        trainer = Trainer(config, run, env, learner, world)
        if saved is not None:
            trainer.restore(saved)
        if world.leads:
            run.lock()
            if max((steps for steps, _ in run.checkpoints()), default=0) != trainer.steps:
                raise UserError(f"{run.path} was trained by another process a moment ago; resume it again")
        display.begin(config)
        if saved is not None and config.sim != run.config().sim:
            display.line(f"{config.sim.backend}, as the run began; for another one: mapush train --from {run.path}")
        display.line(f"run directory: {run.path}")
        remark = LEARNERS[config.learner.library].remark(config.learner)
        if remark:
            display.line(remark)
        if world.leads:
            run.record_hardware(env.device, world.size, trainer.steps)
        logs = run.logs if world.leads else None
        with StopRequest(once=world.size == 1) as stop:
            begun = wandb.begin(run, config, display.line) if wandb is not None and world.leads else None
            with MetricsLog(logs, trainer.steps, begun) as log:
                outcome = trainer.train(display, log, stop)
        if outcome.stopped:
            return Session(run, outcome, stop.exit_code or _TERMINATED, _resuming(run, world))
        return Session(run, outcome, 0, "")
    except UserError:
        refused = True
        raise
    except Exception as error:
        fault = of_fault(error)
        if fault is None:
            failure = f"{type(error).__name__}: {error}"
            raise
        failure = fault
        raise FaultError(fault, fault and _how_to_go_on(run, not isinstance(error, FaultError), world)) from None
    finally:
        learner.release()
        run.release(failure, refused)


def _resuming(run: RunDirectory, world: World) -> str:
    """The command that goes on with a run in as many processes; several nodes have one that only the user knows."""
    if world.size == 1:
        return f"mapush train --resume {run.path}"
    if launchers() > 1:
        return f"mapush train --resume {run.path}, with torchrun on each node as before"
    if torch.cuda.is_available():
        return f"mapush train --gpus {world.size} --resume {run.path}"
    return launch.torchrun(world.size, f"train --resume {run.path}")


def _how_to_go_on(run: RunDirectory, as_it_is: bool, world: World) -> str:
    """Where the last checkpoint of a run that failed is, and the command that goes on from it.

    Args:
        run: the run.
        as_it_is: with the same configuration.
        world: the processes that trained it.

    """
    if not run.path.is_dir():
        return f"{run.path} is gone, and the training with it"
    saved = run.checkpoints()
    last = f"the last checkpoint is {saved[-1][1]}" if saved else "there is no checkpoint yet"
    if as_it_is:
        return f"then go on with: {_resuming(run, world)} ({last})"
    if not saved:
        return f"{last}: start again with other settings, such as smaller rewards or learning rates"
    return f"{last}: go on from it with other settings: mapush train --from {saved[-1][1]} learner.actor_lr=1e-4"
