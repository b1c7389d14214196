"""The public interface of `mapush_stack`; all other modules may change between versions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Optional, Sequence, Type, TypeVar, Union

from torch import Tensor

from . import plugins, presets
from .envs import factory
from .envs.push_env import PushEnv as PushEnv
from .errors import UserError as UserError
from .evaluation import policies, pretrained
from .harness.triage.rules import register_triage_rules as register_triage_rules
from .learning.contract import LearnerKind, TeamPolicy
from .learning.registry import LEARNERS
from .learning.vec_env import checked
from .sim.robots import ROBOTS
from .sim.robots.base import RobotKind
from .sim.simulator import SimulatorKind
from .sim.simulators import SIMULATORS
from .task.observations import LAYOUTS, Layout
from .task.rewards import register_reward_term as register_reward_term
from .training import config as configuration
from .training.config import ExperimentConfig

Name = Union[str, "os.PathLike[str]"]
R = TypeVar("R", bound=Type[RobotKind[Any]])


def load_config(preset: Name = "default", object: Name = "", overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The configuration that `mapush train` would use.

    Args:
        preset: name of a preset, or path of a YAML file.
        object: name of an object, or path of a YAML file; empty for the preset's own.
        overrides: changes as on the command line, such as `"sim.num_envs=64"`.

    Raises:
        UserError: an unknown name, a wrong type or a value out of range.

    """
    plugins.load_installed()
    several = isinstance(overrides, (list, tuple))
    changes = [_text("an override", override) for override in (overrides if several else [overrides])]
    return configuration.load(_text("preset", preset), _text("object", object), changes)


def make_env(config: ExperimentConfig, seed: Optional[int] = None, auto_reset: bool = True) -> PushEnv:
    """`config.sim.num_envs` pushing tasks on the simulator that `config.sim.backend` names.

    Args:
        config: from `load_config`, or a run's.
        seed: seed of starts and frictions; by default the configuration's `training.seed`.
        auto_reset: True to start the next episode at once after an episode ends.

    Returns:
        The environment; call `reset` before `step`.

    Raises:
        UserError: the simulator is not installed, or cannot run here; or `config` or `seed` is something else.

    """
    if not isinstance(config, ExperimentConfig):
        raise UserError(f"config must be what load_config returns, not {config!r:.60}")
    if not isinstance(seed, (int, type(None))):
        raise UserError(f"seed={seed!r:.60} is not allowed: it must be a whole number")
    if config.leader is not None:
        raise UserError("config.leader must be None: the environment of a leader needs its trained team")
    chosen = config.training.seed if seed is None else seed
    return factory.make_env(config.task, config.object, config.sim, chosen, 0, auto_reset, config.team_kinds)


def load_policy(path: Name, env: PushEnv) -> TeamPolicy:
    """A trained team that acts in `env`, with deterministic actions.

    `policy.act(observations)` maps observations `[N, A, D]` of any number of environments to actions `[N, A, K]`.

    A policy of another object is taken where the sizes are the same: it sees the same numbers, and may be wanted there.

    Args:
        path: a run (its last checkpoint), a checkpoint, or the name of a policy that comes with the project.
        env: an environment of the team's task.

    Raises:
        UserError: there is no policy, it is damaged, or it does not fit the environment.

    """
    plugins.load_installed()
    name = _text("path", path)
    if not isinstance(env, PushEnv):
        raise UserError(f"env must be what make_env returns, not {env!r:.60}")
    found = policies.find(pretrained.path(name) if name in pretrained.names() else Path(name), "", [])
    return _CheckedPolicy(policies.policy(found[-1], env), env)


class _CheckedPolicy(TeamPolicy):
    """A policy that refuses what its environment does not observe."""

    def __init__(self, policy: TeamPolicy, env: PushEnv) -> None:
        self._policy, self._sizes = policy, (env.spec.num_agents, env.spec.observation_size)
        self._device = env.target.device

    def act(self, observations: Tensor) -> Tensor:
        """See `TeamPolicy.act`.

        Raises:
            UserError: they are no observations of such a team.

        """
        shape = (*getattr(observations, "shape", (1,))[:1], *self._sizes)
        axes = "[num_envs, num_robots, observation_size]"
        return self._policy.act(checked("observations", axes, observations, shape, self._device))


def _text(name: str, given: Any) -> str:
    """A name or a path as text; raise `UserError` for anything else."""
    if not isinstance(given, (str, os.PathLike)):
        raise UserError(f"{name} must be a string, not {given!r:.60}")
    return str(given)


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
