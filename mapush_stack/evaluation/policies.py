"""Policies to evaluate: this project's checkpoints, and what OpenRL and upstream publish."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional

from ..envs.factory import make_env
from ..envs.leader import Led
from ..envs.push_env import PushEnv
from ..errors import UserError
from ..learning.contract import TeamPolicy
from ..learning.openrl import actor as openrl_actor
from ..learning.registry import LEARNERS
from ..training import checkpoint, config, session
from ..training.config import ExperimentConfig
from ..training.run_directory import find_checkpoints
from .scripted import ScriptedTeam

SCRIPTED = Path("scripted")
"""Stands for the team that pushes by rule, which is no file."""

_LAYOUTS = 64


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
        path: a run directory, a checkpoint folder, or a file; `SCRIPTED`.
        object_name: another object than the policy's own, for one that reads any; for a policy that brings no
            configuration empty is the cuboid.
        overrides: `path.to.field=value` changes to the configuration.

    Raises:
        UserError: there is nothing that can be evaluated.

    """
    if path is SCRIPTED:
        return [Candidate(path, -1, config.load("default", object_name, overrides))]
    if path.suffix in (".npz", ".pt"):
        return [Candidate(path, -1, config.load("paper", object_name, overrides))]
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is neither a folder nor an .npz or .pt file")
    run, found = find_checkpoints(path)
    trained = run.config()
    if object_name and trained.learner.policy.encoder == "none":
        raise UserError(
            "--object is for policies of other programs, and for those that read any object (learner.policy.encoder); "
            f"{run.path} is none of them: such a run brings its own object"
        )
    settings = config.overridden(trained, overrides, object_name)
    return [Candidate(folder, steps, settings) for steps, folder in found]


def environment(candidate: Candidate, episodes: int, seed: int) -> PushEnv:
    """`episodes` environments with the candidate's task, which measure the robots' work where they can.

    Of layouts of obstacles no more are drawn than their first episodes need, and a few for those that follow.

    Raises:
        UserError: the simulator is missing.

    """
    settings = candidate.config
    task, sim = settings.task, settings.sim.model_copy(update={"num_envs": episodes})
    layouts = min(task.obstacles.layouts, max(episodes, _LAYOUTS))
    task = task.model_copy(update={"obstacles": task.obstacles.model_copy(update={"layouts": layouts})})
    led = led_by(candidate)
    return make_env(task, settings.object, sim, seed, team=settings.team_kinds, measure_work=True, led=led)


def led_by(candidate: Candidate) -> Optional[Led]:
    """The team that a leader leads; None for a team's own policy.

    Raises:
        UserError: its weights are missing or damaged.

    """
    return session.led_by(candidate.config, _team_file(candidate)) if candidate.config.leader is not None else None


def alone(candidate: Candidate) -> Candidate:
    """The team of a leader, without it; a team itself."""
    leader, file = candidate.config.leader, _team_file(candidate)
    if leader is None or leader.team is None or file is None:
        return candidate
    return Candidate(file, -1, candidate.config.model_copy(update={"leader": None, "learner": leader.team}))


def _team_file(candidate: Candidate) -> Optional[Path]:
    """The weights of the team that a leader leads; None without."""
    return None if candidate.config.leader is None else find_checkpoints(candidate.path)[0].initial_file


def policy(candidate: Candidate, env: PushEnv) -> TeamPolicy:
    """The candidate's deterministic policy.

    Raises:
        UserError: the file is damaged, hostile, or does not fit the task.

    """
    path, learner = candidate.path, candidate.config.learner
    if path is SCRIPTED:
        return ScriptedTeam(env)
    if path.suffix in (".npz", ".pt"):
        actor = (openrl_actor.read_npz if path.suffix == ".npz" else openrl_actor.read_module)(path)
        if actor.observation_size != env.spec.observation_size:
            raise UserError(
                f"{path} takes {actor.observation_size} numbers a robot, but {candidate.config.object.name} has "
                f"{env.spec.observation_size}; choose its object with --object"
            )
        return actor.to(env.device)
    state = checkpoint.load_model(path)
    try:
        found = LEARNERS[learner.library].policy(learner, env.spec, env.device, state)
    except (RuntimeError, KeyError) as error:
        raise checkpoint.does_not_fit(path, error) from None
    checkpoint.refuse_not_finite(state, path)
    return found
