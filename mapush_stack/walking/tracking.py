"""How well a legged team follows velocity commands: the table of the walking policy."""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from ..sim.scene_simulator import SceneSimulator
from ..task.config import CONTROL_DT
from ..task.geometry import rotate
from ..task.state import SimState

SETTLING_SECONDS, MEASURED_SECONDS = 2.0, 5.0
COMMANDS: List[Tuple[str, Tuple[float, float, float]]] = [
    ("stand", (0.0, 0.0, 0.0)),
    ("forward 0.5", (0.5, 0.0, 0.0)),
    ("forward 0.8", (0.8, 0.0, 0.0)),
    ("backward 0.5", (-0.5, 0.0, 0.0)),
    ("left 0.3", (0.0, 0.3, 0.0)),
    ("right 0.3", (0.0, -0.3, 0.0)),
    ("left 0.6", (0.0, 0.6, 0.0)),
    ("turn 0.5", (0.0, 0.0, 0.5)),
    ("turn 1.0", (0.0, 0.0, 1.0)),
    ("forward 0.4, turn 0.4", (0.4, 0.0, 0.4)),
    ("forward 0.5, left 0.3", (0.5, 0.3, 0.0)),
]
"""Name and command (m/s, m/s, rad/s) of each row."""
PUSH_COMMAND = (0.4, 0.0, 0.0)
PUSH_FORCE = 40.0
"""N, on the trunk, in a random horizontal direction for 0.2 s, every 2 s on average."""
_FALLEN_HEIGHT, _FALLEN_TILT = 0.15, 1.0
_FAR = 1000.0
"""x of the object while it is not used, m."""


class Tracking(NamedTuple):
    """How a number of robots followed one command."""

    name: str
    command: Tuple[float, float, float]
    measured: Tuple[float, float, float]
    """Mean velocity in the heading frame over all robots and 5 s, m/s, m/s, rad/s."""
    worst: float
    """Largest error of any robot's own mean, in the units of the command's largest part."""
    moved: float
    """Mean planar displacement of the robots in the 5 s, m."""
    most_moved: float
    """Largest displacement of any robot, m."""
    fallen: int
    """Robots that fell."""


def start(simulator: SceneSimulator, at_object: bool, env_ids: Optional[Tensor] = None) -> None:
    """Put all robots at rest on level ground, apart; in the scenes `env_ids` `[n]`, or in all.

    With the object in use the first robot of a scene stands in front of it and faces it.
    """
    env_ids = torch.arange(simulator.num_envs, device=simulator.device) if env_ids is None else env_ids
    scenes, robots = len(env_ids), simulator.num_robots
    spread = torch.arange(robots, dtype=torch.float32)
    pos = torch.zeros(scenes, robots, 3)
    pos[..., 1] = 10.0 * spread
    pos[..., 2] = 0.32
    if at_object:
        pos[:, 0, 0] = -0.92
    still = torch.zeros(scenes, robots, 3)
    object_pos = torch.tensor([0.0 if at_object else _FAR, 0.0, 0.25]).expand(scenes, 3)
    flat = torch.zeros(scenes, 3)
    healthy = torch.ones(scenes, dtype=torch.bool)
    state = (pos, still, still, still, object_pos, flat, flat, flat, still[..., :0], healthy)
    simulator.reset(env_ids, SimState(*(tensor.to(simulator.device) for tensor in state)))


def fallen(state: SimState) -> Tensor:
    """`[..., A]` bool: on its side, or with its trunk near the floor."""
    tilted = (state.robot_rpy[..., :2].abs() > _FALLEN_TILT).any(-1)
    return tilted | (state.robot_pos[..., 2] < _FALLEN_HEIGHT) | ~state.healthy.unsqueeze(-1)


def track(simulator: SceneSimulator, name: str, command: Tuple[float, float, float]) -> Tracking:
    """Follow one command from rest."""
    start(simulator, at_object=False)
    commands = torch.tensor(command, device=simulator.device).expand(simulator.num_envs, simulator.num_robots, 3)
    settled = simulator.step(commands, round(SETTLING_SECONDS / CONTROL_DT)).robot_pos[-1].clone()
    path = simulator.step(commands, round(MEASURED_SECONDS / CONTROL_DT))
    planar = rotate(path.robot_lin_vel[..., :2], -path.robot_rpy[..., 2])
    mean = torch.cat((planar, path.robot_ang_vel[..., 2:]), dim=-1).mean(0)
    part = max(range(3), key=lambda axis: abs(command[axis]))
    moved = torch.linalg.vector_norm((path.robot_pos[-1] - settled)[..., :2], dim=-1)
    return Tracking(
        name=name,
        command=command,
        measured=tuple(mean.mean((0, 1)).tolist()),
        worst=float((mean[..., part] - command[part]).abs().max()),
        moved=float(moved.mean()),
        most_moved=float(moved.max()),
        fallen=int(fallen(path).any(0).sum()),
    )


def push_object(simulator: SceneSimulator) -> Tracking:
    """The first robot of every scene pushes the object straight ahead."""
    start(simulator, at_object=True)
    commands = torch.zeros(simulator.num_envs, simulator.num_robots, 3, device=simulator.device)
    commands[:, 0] = torch.tensor(PUSH_COMMAND, device=simulator.device)
    simulator.step(commands, round(SETTLING_SECONDS / CONTROL_DT))
    path = simulator.step(commands, round(MEASURED_SECONDS / CONTROL_DT))
    object_speed = torch.linalg.vector_norm(path.object_pos[-1] - path.object_pos[0], dim=-1) / MEASURED_SECONDS
    planar = rotate(path.robot_lin_vel[:, :, 0, :2], -path.robot_rpy[:, :, 0, 2])
    moved = torch.linalg.vector_norm((path.robot_pos[-1] - path.robot_pos[0])[:, 0, :2], dim=-1)
    return Tracking(
        name="push the object at 0.4",
        command=PUSH_COMMAND,
        measured=(
            float(object_speed.mean()),
            float(planar[..., 1].mean()),
            float(path.robot_ang_vel[:, :, 0, 2].mean()),
        ),
        worst=float((object_speed - PUSH_COMMAND[0]).abs().max()),
        moved=float(moved.mean()),
        most_moved=float(moved.max()),
        fallen=int(fallen(path)[:, :, 0].any(0).sum()),
    )


def endurance(simulator: SceneSimulator, seconds: float, seed: int) -> Dict[str, float]:
    """Count falls under random commands and random pushes of 40 N.

    Returns:
        `robots`, `seconds` of each, `falls`.

    """
    random = torch.Generator().manual_seed(seed)
    start(simulator, at_object=False)
    shape = (simulator.num_envs, simulator.num_robots)
    model = simulator.engine.model
    bodies = [model.body(f"robot{robot}").id for robot in range(simulator.num_robots)]
    limits = torch.tensor([0.8, 0.6, 1.0])
    block = round(0.2 / CONTROL_DT)
    commands, falls = torch.zeros(*shape, 3), 0
    for index in range(round(seconds / (block * CONTROL_DT))):
        if index % 15 == 0:
            commands = (2 * torch.rand(*shape, 3, generator=random) - 1) * limits
        angle = 2 * math.pi * torch.rand(shape, generator=random)
        size = PUSH_FORCE * (torch.rand(shape, generator=random) < 0.1)
        wrench = torch.zeros(simulator.num_envs, model.nbody, 6)
        for robot, body in enumerate(bodies):
            wrench[:, body, 0] = (size * torch.cos(angle))[:, robot]
            wrench[:, body, 1] = (size * torch.sin(angle))[:, robot]
        simulator.engine.push(wrench)
        down = fallen(simulator.step(commands.to(simulator.device), block)).any(0)
        falls += int(down.sum())
        if down.any():
            start(simulator, at_object=False, env_ids=down.any(-1).nonzero().squeeze(-1))
    simulator.engine.push(torch.zeros(simulator.num_envs, model.nbody, 6))
    return {"robots": float(shape[0] * shape[1]), "seconds": seconds, "falls": float(falls)}
