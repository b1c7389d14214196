"""Where object and robots were in evaluation episodes, seen from above."""

from __future__ import annotations

from typing import List, NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor

from ..envs.decision import Step
from ..task.config import CONTROL_DT
from ..task.geometry import rotate
from ..task.obstacles import outlines
from ..task.state import SimState
from ..task.terminations import CAUSES
from . import policies, protocol
from .policies import Candidate
from .protocol import Episodes


class Trajectory(NamedTuple):
    """One episode, turned so that the target is on the positive x axis; the object starts at the origin."""

    target: float
    """Distance of the target from the object's start, m."""
    poses: np.ndarray
    """`[T, 1 + A, 3]` x, y (m) and yaw (rad) of the object, then of the robots, for each control step, with start and
    end."""
    cause: str
    """How it ended, one of `CAUSES`."""
    seconds: float
    success: bool
    target_yaw: Optional[float]
    """Of the target, turned likewise, rad; None if the goal is a position."""
    obstacles: List[np.ndarray]
    """Outlines `[K, 2]` of obstacles and walls, m."""


class Played(NamedTuple):
    """The first episodes of some environments."""

    episodes: Episodes
    trajectories: List[Trajectory]


def play(candidate: Candidate, count: int, seed: int) -> Played:
    """Play the first episodes of `count` environments with deterministic actions.

    Raises:
        UserError: the simulator is missing, or the policy cannot be read or does not fit.

    """
    env, poses = policies.environment(candidate, count, seed), []

    def keep(step: Step) -> None:
        poses.append(_planar_poses(step.path))

    try:
        env.reset()
        poses.append(_planar_poses(env.sim_state).unsqueeze(0))
        target = env.goal.cpu().clone()
        around = [[] if env.obstacles is None else outlines(env.obstacles.layout.at(row)) for row in range(count)]
        ended = protocol.run_episodes(policies.policy(candidate, env).act, env, on_step=keep)
    finally:
        env.close()
    path = torch.cat(poses)
    trajectories = []
    for index, (seconds, cause, success) in enumerate(
        zip(ended.seconds.tolist(), ended.cause.tolist(), ended.success.tolist())
    ):
        own = path[: round(seconds / CONTROL_DT) + 1, index]
        trajectories.append(_turned(own, target[index], CAUSES[cause], seconds, success, around[index]))
    return Played(ended, trajectories)


def _turned(
    poses: Tensor, target: Tensor, cause: str, seconds: float, success: bool, around: List[Tensor]
) -> Trajectory:
    turn = -torch.atan2(target[1], target[0])
    yaw = float(target[2] + turn) if len(target) == 3 else None
    turned = torch.cat((rotate(poses[..., :2], turn.expand(poses.shape[:-1])), poses[..., 2:] + turn), dim=-1)
    shapes = [rotate(outline, turn.expand(len(outline))).numpy() for outline in around]
    return Trajectory(float(target[:2].norm()), turned.numpy(), cause, seconds, success, yaw, shapes)


def _planar_poses(state: SimState) -> Tensor:
    """x, y and yaw of the object and of each robot, `[..., 1 + A, 3]`, on the host."""
    thing = torch.cat((state.object_pos[..., :2], state.object_rpy[..., 2:]), dim=-1)
    robots = torch.cat((state.robot_pos[..., :2], state.robot_rpy[..., 2:]), dim=-1)
    return torch.cat((thing.unsqueeze(-2), robots), dim=-2).cpu()
