"""Where object and robots were in evaluation episodes, seen from above."""

from __future__ import annotations

from typing import Any, List, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..envs.push_env import PushEnv
from ..task.config import CONTROL_DT
from ..task.geometry import rotate
from ..task.resets import draw_start
from ..task.state import SimState
from ..task.terminations import CAUSES
from . import policies, protocol
from .policies import Candidate
from .protocol import Episodes


class Trajectory(NamedTuple):
    """One episode, turned so that the target lies on the positive x axis; the object starts at the origin."""

    target: float
    """Distance of the target from the object's start, m."""
    poses: np.ndarray
    """`[T, 1 + A, 3]` x, y (m) and yaw (rad) of the object, then of the robots, a control step a row, start and end
    included."""
    cause: str
    """How it ended, one of `CAUSES`."""
    seconds: float
    success: bool


class _Recording:
    """A simulator that keeps every control step's state."""

    def __init__(self, simulator: Any) -> None:
        self.poses: List[Tensor] = []
        self._simulator = simulator

    def step(self, commands: Tensor, repeat: int) -> SimState:
        path = self._simulator.step(commands, repeat)
        self.poses.append(_planar_poses(path))
        return path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._simulator, name)


class Played(NamedTuple):
    """The first episodes of some environments."""

    episodes: Episodes
    trajectories: List[Trajectory]


def play(candidate: Candidate, count: int, seed: int) -> Played:
    """Play the first episodes of `count` environments, deterministically.

    Raises:
        UserError: the simulator is missing, or the policy cannot be read or does not fit.

    """
    settings = candidate.config
    ids, zero = torch.arange(count), torch.zeros(count, dtype=torch.int64)
    start = draw_start(settings.task, settings.object.task, seed, ids, zero)
    env = policies.environment(candidate, count, seed)
    try:
        recording = _record(env)
        ended = protocol.run_episodes(policies.policy(candidate, env).act, env)
    finally:
        env.close()
    poses = torch.cat((_planar_poses(start.state).unsqueeze(0), *recording.poses))
    trajectories = [
        _turned(poses[: round(seconds / CONTROL_DT) + 1, index], start.target[index], CAUSES[cause], seconds, success)
        for index, (seconds, cause, success) in enumerate(
            zip(ended.seconds.tolist(), ended.cause.tolist(), ended.success.tolist())
        )
    ]
    return Played(ended, trajectories)


def _record(env: PushEnv) -> _Recording:
    recording = _Recording(env.simulator)
    env.simulator = recording
    return recording


def _turned(poses: Tensor, target: Tensor, cause: str, seconds: float, success: bool) -> Trajectory:
    turn = -torch.atan2(target[1], target[0])
    turned = torch.cat((rotate(poses[..., :2], turn.expand(poses.shape[:-1])), poses[..., 2:] + turn), dim=-1)
    return Trajectory(float(target.norm()), turned.numpy(), cause, seconds, success)


def _planar_poses(state: SimState) -> Tensor:
    """x, y and yaw of the object and of each robot, `[..., 1 + A, 3]`, on the host."""
    thing = torch.cat((state.object_pos[..., :2], state.object_rpy[..., 2:]), dim=-1)
    robots = torch.cat((state.robot_pos[..., :2], state.robot_rpy[..., 2:]), dim=-1)
    return torch.cat((thing.unsqueeze(-2), robots), dim=-2).cpu()
