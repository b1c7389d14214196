"""Demonstrations: whole episodes of a team as a file, from which a training can start."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..envs.decision import Step
from ..envs.push_env import PushEnv
from ..envs.spec import team_spec
from ..errors import UserError, refuse
from ..learning.contract import Examples
from ..sim.robots import ROBOTS
from ..system.array_file import read_arrays, write_arrays
from ..system.atomic import check_writable
from ..system.limits import MOST_BYTES, parse_json
from ..system.stored_file import pop_schema
from ..task.global_state import global_state
from ..task.observations import observe
from ..task.state import SimState
from .config import ExperimentConfig, validated
from .upgrades import stamped, upgraded

SCHEMA = 1
_ABOUT, _LENGTHS, _SUCCESS = "about", "lengths", "success"
_SAME = ("team_kinds", "task.goal", "task.action_repeat", "task.action_gain", "task.command_limit")
"""What a training must have in common with its demonstrations, besides the object."""


class Demonstrations(NamedTuple):
    """E episodes of D decisions together; what robots and critic see is computed when it is needed."""

    config: ExperimentConfig
    """The task, the object and the team."""
    lengths: Tensor
    """`[E]` int64, decisions of each episode."""
    success: Tensor
    """`[E]` bool"""
    state: SimState
    """`[D, ...]` before each decision."""
    target: Tensor
    """`[D, 2]` m; `[D, 3]` with a yaw if the goal is a pose."""
    here: Tensor
    """`[D, A]` bool: the robots that took part."""
    action: Tensor
    """`[D, A, K]`"""
    reward: Tensor
    """`[D, A]` by the rewards of `config`."""


class Recorder:
    """Keeps what a team does: `act` stands for its policy, `on_step` is given every decision's result."""

    def __init__(self, act: Callable[[Tensor], Tensor], env: PushEnv, each: int) -> None:
        """Keep the first `each` episodes of every environment."""
        self._act, self._env, self._each = act, env, each
        self._decisions: List[Dict[str, Tensor]] = []
        self._done: List[Tensor] = []
        self._success: List[Tensor] = []

    def act(self, observations: Tensor) -> Tensor:
        """The policy's actions `[N, A, K]`, which are kept with the state that they are for."""
        action = self._act(observations)
        now = {**self._env.sim_state._asdict(), "target": self._env.target, "action": action}
        self._decisions.append({name: value.detach().cpu().clone() for name, value in now.items()})
        return action

    def on_step(self, step: Step) -> None:
        """Keep a decision's result."""
        self._decisions[-1].update(reward=step.rewards.cpu().clone(), here=step.episode.here.cpu().clone())
        self._done.append(step.episode.done.cpu().clone())
        self._success.append(step.episode.success.cpu().clone())

    @property
    def episodes(self) -> int:
        """Episodes that have ended, and are kept."""
        return len(self._parts())

    def demonstrations(self, config: ExperimentConfig) -> Demonstrations:
        """The episodes that have ended, of a task with this configuration; there must be one."""
        parts, whole = self._parts(), self._decisions[: len(self._done)]
        stacked = {name: torch.stack([one[name] for one in whole]) for name in whole[0]}
        joined = {name: torch.cat([values[rows, env] for rows, env in parts]) for name, values in stacked.items()}
        state = SimState(*(joined.pop(name) for name in SimState._fields))
        lengths = torch.tensor([rows.stop - rows.start for rows, _ in parts])
        success = torch.stack([self._success[rows.stop - 1][env] for rows, env in parts])
        return Demonstrations(config, lengths, success, state, **joined)

    def _parts(self) -> List[Tuple[slice, int]]:
        """The decisions and the environment of each episode that has ended."""
        parts: List[Tuple[slice, int]] = []
        for env in range(self._env.num_envs):
            begin = 0
            for end in [step for step, done in enumerate(self._done) if done[env]][: self._each]:
                parts.append((slice(begin, end + 1), env))
                begin = end + 1
        return parts


def check_file(path: Path, config: ExperimentConfig, episodes: int) -> None:
    """Refuse, before they are recorded, episodes that could not be saved.

    Raises:
        UserError: the file exists, could not be written, or might have no room for them.

    """
    check_writable(path, [".npz"])
    _check_kind(config)
    if path.exists():
        raise UserError(f"{path} exists, and is not written over; give another name")
    shapes = _shapes(config, episodes, episodes * math.ceil(config.task.max_steps / config.task.action_repeat))
    size = sum(math.prod(shape) * dtype.itemsize for shape, dtype in shapes.values())
    if size > MOST_BYTES:
        most = episodes * MOST_BYTES // size
        raise UserError(f"a file of demonstrations has room for {most} episodes of this task, not {episodes}")


def _check_kind(config: ExperimentConfig) -> None:
    """Refuse a task whose observations do not follow from states and targets alone."""
    if config.object.family is not None:
        raise UserError(
            f"demonstrations are of one object, and {config.object.name} is a family; choose another --object"
        )
    if config.task.obstacles.active:
        raise UserError("demonstrations know no obstacles; leave task.obstacles.arena out")


def save(shown: Demonstrations, path: Path) -> None:
    """Write demonstrations to an .npz file.

    Raises:
        UserError: it cannot be written.

    """
    about = {"schema": SCHEMA, "version": __version__, "config": stamped(shown.config.model_dump(mode="json"))}
    arrays = {name: tensor.numpy() for name, tensor in _tensors(shown).items()}
    try:
        write_arrays(path, {_ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays})
    except OSError as error:
        refuse(error, f"{path} cannot be written")


def load(path: Path) -> Demonstrations:
    """Read demonstrations.

    Raises:
        UserError: the file is missing, damaged or something else, or of a newer version.

    """
    arrays = read_arrays(path, "demonstrations")
    about = arrays.pop(_ABOUT, None)
    if about is None:
        raise UserError(
            f"{path} holds no demonstrations: it has no array {_ABOUT}; record them with mapush evaluate --scripted "
            "--save-demonstrations FILE"
        )
    try:
        config = _config(about)
        wanted = _shapes(config, len(arrays.get(_SUCCESS, ())), _decisions(arrays))
        for name, (shape, dtype) in wanted.items():
            if name not in arrays:
                raise ValueError(f"it has no array {name}")
            if (arrays[name].shape, arrays[name].dtype) != (shape, dtype):
                have = f"{arrays[name].dtype} {list(arrays[name].shape)}"
                raise ValueError(f"its array {name} is {have}, not {dtype} {list(shape)}")
            if not np.isfinite(arrays[name]).all():
                raise ValueError(f"its array {name} holds numbers that are not finite")
        unknown = next((name for name in arrays if name not in wanted), None)
        if unknown is not None:
            raise ValueError(f"its array {unknown} has no place there")
    except (ValueError, TypeError, LookupError, UserError) as error:
        raise UserError(
            f"{path} cannot be used as demonstrations: {error}; give another copy, or record again"
        ) from None
    tensors = {name: torch.from_numpy(arrays[name].copy()) for name in wanted}
    state = SimState(*(tensors.pop(name) for name in SimState._fields))
    return Demonstrations(config=config, state=state, **tensors)


def examples(shown: Demonstrations, config: ExperimentConfig, path: Path) -> Examples:
    """The successful episodes, as robots and critic of a training with the configuration `config` see them.

    Raises:
        UserError: they are of another object, team or goal, of other actions or rewards, or none succeeds; the
            message names the file `path`.

    """
    _check_kind(config)
    _check_fit(shown.config, config, path)
    if not shown.success.any():
        raise UserError(f"none of the {len(shown.success)} episodes in {path} succeeds; record others")
    keep = shown.success.repeat_interleave(shown.lengths)
    state, target, here = shown.state.at(keep), shown.target[keep], shown.here[keep]
    seen = (config.task, config.object.task, state, target)
    states = global_state(*seen, here=here)
    reward = shown.reward if states.shape[-2] > 1 else shown.reward.mean(-1, keepdim=True)
    returns = _returns(reward, shown.lengths, config.learner.gamma)[keep]
    return Examples(observe(*seen, here=here), shown.action[keep], states, returns)


def _check_fit(have: ExperimentConfig, config: ExperimentConfig, path: Path) -> None:
    """Raise `UserError` if a training cannot start from demonstrations of the configuration `have`."""
    mine, theirs = config.object, have.object
    if (mine.body, mine.task) != (theirs.body, theirs.task) and have.team_kinds == config.team_kinds:
        other = "" if mine.name != theirs.name else ", of other shape or mass"
        raise UserError(f"{path} shows the object {theirs.name}, and this training pushes the {mine.name}{other}")
    same = (*_SAME, "task.rewards") if config.learner.demonstrations.critic_epochs else _SAME
    for name in same:
        shown, wanted = have, config
        for part in name.split("."):
            shown, wanted = getattr(shown, part), getattr(wanted, part)
        if shown != wanted:
            label = "team" if name == "team_kinds" else name
            hint = ", or set learner.demonstrations.critic_epochs=0" if name == "task.rewards" else ""
            raise UserError(
                f"{path} was recorded with {label}={_text(shown)}, and this training has {_text(wanted)}; use the same "
                f"or record again{hint}"
            )


def _text(value: Any) -> str:
    """A value as it is written on the command line."""
    return json.dumps(value).replace('"', "").replace(", ", ",")


def _returns(reward: Tensor, lengths: Tensor, gamma: float) -> Tensor:
    """Discounted sums `[D, V]` of the rewards `[D, V]` from each decision to the end of its episode."""
    found = reward.clone()
    for episode in torch.split(found, lengths.tolist()):
        for step in range(len(episode) - 2, -1, -1):
            episode[step] += gamma * episode[step + 1]
    return found


def _tensors(shown: Demonstrations) -> Dict[str, Tensor]:
    """Everything but the configuration, by name."""
    named = {**shown._asdict(), **shown.state._asdict()}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def _config(about: np.ndarray) -> ExperimentConfig:
    """The configuration in the first array of a file; raises `UserError` or `ValueError` if it is none."""
    content = parse_json(about.tobytes().decode("utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise ValueError(f"its array {_ABOUT} holds no configuration")
    pop_schema(content, SCHEMA)
    return validated(upgraded(content["config"]))


def _decisions(arrays: Dict[str, np.ndarray]) -> int:
    """How many decisions the episodes of a file have; raises `ValueError` if a number is impossible."""
    lengths = arrays.get(_LENGTHS, np.zeros(0, np.int64))
    if lengths.dtype != np.int64 or (lengths < 1).any() or (lengths > MOST_BYTES).any():
        raise ValueError(f"its array {_LENGTHS} holds numbers that are no lengths")
    return int(lengths.sum())


def _shapes(config: ExperimentConfig, episodes: int, decisions: int) -> Dict[str, Tuple[Tuple[int, ...], np.dtype]]:
    """Shape and type of every array in a file with so many episodes and decisions."""
    robots = [ROBOTS[kind].task for kind in config.team_kinds]
    spec, team = team_spec(config.task, config.object.task, robots), (decisions, len(robots))
    number, flag = np.dtype(np.float32), np.dtype(bool)
    senses = max(len(robot.sense_mirror) for robot in robots)
    shapes: Dict[str, Tuple[Tuple[int, ...], np.dtype]] = {
        _LENGTHS: ((episodes,), np.dtype(np.int64)),
        _SUCCESS: ((episodes,), flag),
        "target": ((decisions, 3 if config.task.goal == "pose" else 2), number),
        "here": (team, flag),
        "action": ((*team, spec.action_size), number),
        "reward": (team, number),
        "healthy": ((decisions,), flag),
        "senses": ((*team, senses), number),
    }
    for name in SimState._fields:
        if name.startswith("robot_"):
            shapes[name] = ((*team, 3), number)
        elif name.startswith("object_"):
            shapes[name] = ((decisions, 3), number)
    return shapes
