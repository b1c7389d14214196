"""Policies to evaluate: this project's checkpoints, and what OpenRL and upstream publish."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple

from torch import Tensor

from ..envs.factory import make_env
from ..envs.push_env import PushEnv
from ..errors import UserError
from ..learning.config import ALGORITHMS, LearnerConfig
from ..learning.factory import make_learner
from ..learning.openrl import actor as openrl_actor
from ..training import config
from ..training.config import ExperimentConfig
from ..training.run_directory import find_checkpoints
from ..training.session import load_weights, spec_of
from .protocol import Act


class Candidate(NamedTuple):
    """A policy and the task it is for."""

    path: Path
    steps: int
    """Environment steps it was trained for; -1 where the file does not say."""
    config: ExperimentConfig
    """Task, object and simulator; for a policy of another program upstream's task."""


def find(path: Path, object_name: str, overrides: List[str]) -> List[Candidate]:
    """The policies at `path`: every checkpoint of a run, one checkpoint, an .npz of arrays, or a module.pt.

    Args:
        path: a run directory, a checkpoint folder, or a file.
        object_name: object for a policy that does not bring its own configuration; empty for the cuboid.
        overrides: `path.to.field=value` changes to the configuration.

    Raises:
        UserError: there is nothing that can be evaluated.

    """
    if path.suffix in (".npz", ".pt"):
        return [Candidate(path, -1, config.load("paper", object_name, overrides))]
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is neither a folder nor an .npz or .pt file")
    run, found = find_checkpoints(path)
    if object_name:
        raise UserError("--object is for policies of other programs; a run brings its own object")
    settings = config.overridden(run.config(), overrides)
    return [Candidate(folder, steps, settings) for steps, folder in found]


def environment(candidate: Candidate, episodes: int, seed: int) -> PushEnv:
    """`episodes` environments with the candidate's task.

    Raises:
        UserError: the simulator is missing.

    """
    settings = candidate.config
    sim = settings.sim.model_copy(update={"num_envs": episodes})
    team = settings.team_kinds
    return make_env(settings.task, settings.object.task, settings.object.body, sim, seed, team=team)


def policy(candidate: Candidate, env: PushEnv) -> Act:
    """The candidate's deterministic policy.

    Raises:
        UserError: the file is damaged, hostile, or does not fit the task.

    """
    if candidate.path.suffix == ".npz":
        return _shared(candidate, openrl_actor.read_npz(candidate.path), env)
    if candidate.path.suffix == ".pt":
        return _shared(candidate, openrl_actor.read_module(candidate.path), env)
    if candidate.config.learner.library == "openrl":
        return _shared(candidate, openrl_actor.read_module(candidate.path / "module.pt"), env)
    learner = make_learner(_acting(candidate.config.learner), spec_of(env), env.device, candidate.config.training.seed)
    load_weights(learner, candidate.path)
    return learner.mean_action


def _acting(config: LearnerConfig) -> LearnerConfig:
    """A learner that acts as `config`'s does: HARL's algorithms train otherwise, but their networks are ours."""
    known = config.algorithm in ALGORITHMS["native"]
    return config if known else config.model_copy(update={"algorithm": "happo"})


def _shared(candidate: Candidate, actor: openrl_actor.OpenRLActor, env: PushEnv) -> Act:
    if actor.observation_size != env.observation_size:
        raise UserError(
            f"{candidate.path} takes {actor.observation_size} numbers a robot, but {candidate.config.object.name} has "
            f"{env.observation_size}; choose its object with --object"
        )
    actor = actor.to(env.device)

    def act(observations: Tensor) -> Tensor:
        return actor(observations)

    return act
