"""An environment from its configuration."""

from __future__ import annotations

import torch

from ..sim.config import ObjectBody, SimConfig
from ..task.config import ObjectTask, TaskConfig
from ..task.random import STREAM_FRICTION, uniform
from .push_env import PushEnv


def make_env(task: TaskConfig, target_object: ObjectTask, body: ObjectBody, sim: SimConfig, seed: int) -> PushEnv:
    """`sim.num_envs` pushing tasks on the simulator that `sim.backend` names.

    Raises:
        UserError: the simulator is not installed.

    """
    from ..sim.mujoco import MujocoSimulator

    ids = torch.arange(sim.num_envs)
    low, high = body.friction
    friction = low + (high - low) * uniform(seed, STREAM_FRICTION, ids, torch.zeros_like(ids), 1)[:, 0]
    simulator = MujocoSimulator(sim, body, target_object.num_robots, friction)
    return PushEnv(task, target_object, simulator, seed)
