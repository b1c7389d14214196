"""An environment from its configuration."""

from __future__ import annotations

from typing import Any, Tuple

import torch
from torch import Tensor

from ..errors import UserError
from ..locomotion import policy
from ..sim import backend, scene
from ..sim.config import ObjectBody, SimConfig
from ..sim.engine import Engine
from ..sim.isaacgym import IsaacGymSimulator
from ..sim.mqe import MAX_COMMAND
from ..sim.mujoco import MujocoEngine, import_mujoco
from ..sim.robots.base import Team
from ..sim.robots.go1 import Go1Team
from ..sim.robots.planar import PlanarTeam
from ..sim.scene_simulator import SceneSimulator
from ..sim.simulator import Simulator
from ..sim.warp import WarpEngine
from ..task.config import ObjectTask, TaskConfig
from ..task.random import STREAM_FRICTION, uniform
from .push_env import PushEnv


def make_env(
    task: TaskConfig,
    target_object: ObjectTask,
    body: ObjectBody,
    sim: SimConfig,
    seed: int,
    first_env: int = 0,
    auto_reset: bool = True,
) -> PushEnv:
    """`sim.num_envs` pushing tasks on the simulator that `sim.backend` names.

    With `first_env` they are numbers `first_env` and following of a larger set; `auto_reset` as in `PushEnv`.

    Raises:
        UserError: the simulator is not installed, or cannot run here.

    """
    ids = torch.arange(first_env, first_env + sim.num_envs)
    low, high = body.friction
    friction = low + (high - low) * uniform(seed, STREAM_FRICTION, ids, torch.zeros_like(ids), 1)[:, 0]
    robots = target_object.num_robots
    chosen = backend.choose(sim)
    if chosen.name == "isaacgym":
        if max(task.command_limit) > MAX_COMMAND:
            raise UserError(
                f"task.command_limit must be at most {MAX_COMMAND:g} with sim.backend=isaacgym, not "
                f"{list(task.command_limit)}: MAPush's walking controller clips commands there"
            )
        simulator: Simulator = IsaacGymSimulator(sim, body, robots, friction, seed, chosen.device, first_env)
    else:
        simulator = make_simulator(sim, body, robots, friction, seed, first_env)
    return PushEnv(task, target_object, simulator, seed, first_env, auto_reset)


def make_simulator(
    sim: SimConfig, body: ObjectBody, num_robots: int, friction: Tensor, seed: int, first_env: int = 0
) -> SceneSimulator:
    """The scene on the engine that `sim.backend` names; `friction` `[N]` is each environment's object's.

    Raises:
        UserError: the simulator is not installed or cannot run here, or the walking policy cannot be read.

    """
    chosen = backend.choose(sim)
    team: Team = PlanarTeam(sim.planar)
    if sim.robot == "go1":
        walker = policy.load(sim.go1.walking_policy)
        team = Go1Team(sim.go1, walker, sim.num_envs, num_robots, seed, chosen.device, first_env)
    engine = make_engine(sim, chosen, body, team, num_robots, ("geom_friction",))
    return SceneSimulator(engine, team, num_robots, friction)


def make_engine(
    sim: SimConfig, chosen: backend.Backend, body: ObjectBody, team: Team, num_robots: int, fields: Tuple[str, ...]
) -> Engine:
    """The physics that was chosen; `fields` are the model fields that every environment has of its own.

    Raises:
        UserError: it is not installed, or is Isaac Gym, which is no engine.

    """
    if chosen.name == "isaacgym":
        raise UserError("this project's own walking policy is trained and tested with sim.backend=mujoco or warp")
    import_mujoco()
    spec: Any = scene.build(sim, body, team, num_robots)
    if chosen.name == "warp":
        return WarpEngine(spec, sim.num_envs, chosen.device, scene.contact_room(body, team, num_robots), fields)
    return MujocoEngine(spec, sim.num_envs, sim.threads)
