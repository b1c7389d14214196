"""The public interface of `mapush_stack`; all other modules may change between versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Optional, Sequence, Type, TypeVar, Union

from . import plugins, presets
from .envs import factory
from .envs.push_env import PushEnv as PushEnv
from .evaluation import policies, pretrained
from .harness.triage.rules import register_triage_rules as register_triage_rules
from .learning.contract import LearnerKind, TeamPolicy
from .learning.registry import LEARNERS
from .sim.robots import ROBOTS
from .sim.robots.base import RobotKind
from .sim.simulator import SimulatorKind
from .sim.simulators import SIMULATORS
from .task.observations import LAYOUTS, Layout
from .task.rewards import register_reward_term as register_reward_term
from .training import config as configuration
from .training.config import ExperimentConfig

R = TypeVar("R", bound=Type[RobotKind[Any]])


def load_config(preset: str = "default", object: str = "", overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The configuration that `mapush train` would use.

    Args:
        preset: name of a preset, or path of a YAML file.
        object: name of an object, or path of a YAML file; empty for the preset's own.
        overrides: changes as on the command line, such as `"sim.num_envs=64"`.

    Raises:
        UserError: an unknown name, a wrong type or a value out of range.

    """
    plugins.load_installed()
    return configuration.load(preset, object, overrides)


def make_env(config: ExperimentConfig, seed: Optional[int] = None, auto_reset: bool = True) -> PushEnv:
    """`config.sim.num_envs` pushing tasks on the simulator that `config.sim.backend` names.

    Args:
        config: from `load_config`, or a run's.
        seed: seed of starts and frictions; by default the configuration's `training.seed`.
        auto_reset: True to start the next episode at once after an episode ends.

    Returns:
        The environment; call `reset` before `step`.

    Raises:
        UserError: the simulator is not installed, or cannot run here.

    """
    chosen = config.training.seed if seed is None else seed
    return factory.make_env(config.task, config.object, config.sim, chosen, 0, auto_reset, config.team_kinds)


def load_policy(path: Union[str, Path], env: PushEnv) -> TeamPolicy:
    """A trained team that acts in `env`, with deterministic actions.

    `policy.act(observations)` maps observations `[N, A, D]` to actions `[N, A, K]`.

    Args:
        path: a run (its last checkpoint), a checkpoint, or the name of a policy that comes with the project.
        env: an environment of the team's task.

    Raises:
        UserError: there is no policy, it is damaged, or it does not fit the environment.

    """
    plugins.load_installed()
    known = str(path) in pretrained.names()
    found = policies.find(pretrained.path(str(path)) if known else Path(path), "", [])
    return policies.policy(found[-1], env)


def register_observation_layout(function: Layout) -> Layout:
    """Register an observation layout under its function's name; a decorator.

    The function gets a `task.observations.Relative` and the object, and returns a list of `task.observations.Field`.

    Raises:
        UserError: the name is taken.

    """
    return LAYOUTS.register(function.__name__, function)


def register_robot(name: str) -> Callable[[R], R]:
    """Register a kind of robot, a subclass of `sim.robots.base.RobotKind`; a decorator.

    Raises:
        UserError: the name is taken.

    """

    def register(kind: R) -> R:
        ROBOTS.register(name, kind)
        return kind

    return register


def register_object(name: str, file: Union[str, Path]) -> None:
    """Register an object's YAML file.

    Raises:
        UserError: the name is taken.

    """
    presets.OBJECTS.register(name, Path(file))


def register_learner(name: str, kind: LearnerKind) -> None:
    """Register a family of learners under a name for `learner.library`.

    Raises:
        UserError: the name is taken.

    """
    LEARNERS.register(name, kind)


def register_simulator(name: str, kind: SimulatorKind) -> None:
    """Register a simulator.

    Raises:
        UserError: the name is taken.

    """
    SIMULATORS.register(name, kind)
