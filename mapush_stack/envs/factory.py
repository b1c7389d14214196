"""An environment from its configuration."""

from __future__ import annotations

from typing import Optional, Sequence

import torch
from torch import Tensor

from ..errors import UserError
from ..guidance.courses import solvable_courses
from ..sim.config import ObjectBody, ObjectConfig, SimConfig
from ..sim.family import Shapes, draw_shapes
from ..sim.scene_simulator import SceneKind, SceneSimulator
from ..sim.simulator import SimulationRequest
from ..sim.simulators import SIMULATORS, choose
from ..task.config import TaskConfig
from ..task.random import STREAM_FRICTION, uniform
from .leader import Led, LedEnv
from .push_env import PushEnv


def make_env(
    task: TaskConfig,
    thing: ObjectConfig,
    sim: SimConfig,
    seed: int,
    first_env: int = 0,
    auto_reset: bool = True,
    team: Optional[Sequence[str]] = None,
    measure_work: bool = False,
    shapes: Optional[Shapes] = None,
    led: Optional[Led] = None,
) -> PushEnv:
    """`sim.num_envs` pushing tasks on the simulator that `sim.backend` names.

    Args:
        task: the task.
        thing: the object.
        sim: the simulation.
        seed: of friction, starts and robots.
        first_env: the environments are numbers `first_env` and following of a larger set.
        auto_reset: as in `PushEnv`.
        team: kind of each robot; without it the object's number of robots of the kind `sim.robot`.
        measure_work: see `SimulationRequest`.
        shapes: each environment's object, instead of those that the object's family draws.
        led: a trained team for whose leader the environment is; None for a team's own.

    Raises:
        UserError: the simulator is not installed, cannot run here, or cannot simulate the team.

    """
    team = [sim.robot] * thing.task.num_robots if team is None else team
    ids = torch.arange(first_env, first_env + sim.num_envs)
    low, high = thing.body.friction
    friction = low + (high - low) * uniform(seed, STREAM_FRICTION, ids, torch.zeros_like(ids), 1)[:, 0]
    chosen = choose(sim)
    kind = SIMULATORS[chosen.name]
    try:
        kind.check(sim, team)
    except ValueError as error:
        raise UserError(f"sim.{error}") from None
    if kind.max_command is not None and max(task.command_limit) > kind.max_command:
        raise UserError(
            f"task.command_limit must be at most {kind.max_command:g} with sim.backend={chosen.name}, not "
            f"{list(task.command_limit)}: larger commands are clipped there"
        )
    around, lasting, layout = task.obstacles if task.obstacles.active else None, None, None
    if around is not None and not isinstance(kind, SceneKind):
        if not kind.lasting_obstacles:
            raise UserError(f"sim.backend={chosen.name} has no obstacles; use sim.backend=mujoco or warp")
        lasting = solvable_courses(task, thing.task, seed)
        layout = lasting.layout.at(ids % len(lasting.goal))
    if shapes is None and thing.family is not None:
        shapes = draw_shapes(thing.family, seed, ids)
    if shapes is not None and not isinstance(kind, SceneKind):
        raise UserError(f"sim.backend={chosen.name} cannot simulate an object of a family; choose mujoco or warp")
    request = SimulationRequest(
        sim, thing.body, team, friction, seed, chosen.device, first_env, measure_work, around, shapes, layout
    )
    simulator = kind.make(request)
    own = sum(part.mass for part in thing.body.parts)
    mass = torch.full((sim.num_envs,), own) if shapes is None else shapes.weight.sum(-1)
    arguments = (task, thing.task, simulator, seed, first_env, auto_reset, mass, lasting)
    return PushEnv(*arguments) if led is None else LedEnv(led, *arguments)


def make_simulator(
    sim: SimConfig, body: ObjectBody, team: Sequence[str], friction: Tensor, seed: int, first_env: int = 0
) -> SceneSimulator:
    """The MuJoCo scene on the engine that `sim.backend` names.

    Arguments are those of `SimulationRequest`.

    Raises:
        UserError: the simulator is not installed, cannot run here or is another one, or a robot's file cannot be read.

    """
    device = choose(sim).device
    return scene_kind(sim).make(SimulationRequest(sim, body, team, friction, seed, device, first_env))


def scene_kind(sim: SimConfig) -> SceneKind:
    """The simulator that `sim.backend` names, if it has the MuJoCo scene.

    Raises:
        UserError: it has not, or cannot run here.

    """
    kind = SIMULATORS[choose(sim).name]
    if not isinstance(kind, SceneKind):
        raise UserError("this project's own walking policy is trained and tested with sim.backend=mujoco or warp")
    return kind
