"""How well the walking networks follow commands, beside the policy that is told its velocity."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Tuple

import torch
from torch import Tensor

from ...locomotion import gait
from . import files, networks
from .training import Disturbances
from .world import World

COMMANDS: Dict[str, Tuple[float, float, float]] = {
    "stand": (0.0, 0.0, 0.0),
    "forward 0.5": (0.5, 0.0, 0.0),
    "forward 0.25": (0.25, 0.0, 0.0),
    "backward 0.5": (-0.5, 0.0, 0.0),
    "left 0.3": (0.0, 0.3, 0.0),
    "right 0.3": (0.0, -0.3, 0.0),
    "left 0.5": (0.0, 0.5, 0.0),
    "turn 0.5": (0.0, 0.0, 0.5),
    "forward 0.4, turn 0.4": (0.4, 0.0, 0.4),
    "forward 0.5, left 0.3": (0.5, 0.3, 0.0),
    "all 0.5": (0.5, 0.5, 0.5),
}
"""m/s, m/s, rad/s; MAPush's policies command up to 0.5 of each."""
FRICTIONS = (0.55, 0.3)
"""Between feet and ground: MAPush's, and a slippery one."""
SETTLING, MEASURED = 100, 250
"""Control steps before and of a measurement."""
Walker = Callable[[Tensor, gait.Proprioception], Tensor]
"""Actions for histories and what the robots really do."""


class Row(NamedTuple):
    """How robots followed one command; means over 5 s after 2 s."""

    name: str
    friction: float
    measured: Tuple[float, ...]
    """In the base's frame, m/s, m/s, rad/s."""
    worst: float
    """Largest error of any robot's mean in any direction, m/s or rad/s."""
    moved: float
    """Mean displacement, m."""
    fallen: int


def walker(teacher: bool) -> Walker:
    """The networks that come with the project, or the policy that is told its velocity."""
    if teacher:
        body = networks.Walker().body
        return lambda history, sensed: body.act(networks.newest(history), networks.truth(sensed))
    shipped = files.load()
    return lambda history, sensed: shipped(history)


@torch.no_grad()
def track(upstream: Path, walker: Walker, robots: int) -> List[Row]:
    """Each command with so many robots, from MAPush's random starts."""
    cases = [(name, command, friction) for friction in FRICTIONS for name, command in COMMANDS.items()]
    count = len(cases) * robots
    world = World(upstream, torch.tensor([case[2] for case in cases]).repeat_interleave(robots), torch.zeros(count))
    world.command = torch.tensor([case[1] for case in cases]).repeat_interleave(robots, 0)
    down, speeds, start = torch.zeros(count, dtype=torch.bool), torch.zeros(count, 3), torch.zeros(count, 2)
    for step in range(SETTLING + MEASURED):
        sensed = world.body()
        if step == SETTLING:
            start = world.roots[:, :2].clone()
        if step >= SETTLING:
            speeds += torch.cat((sensed.linear_velocity[:, :2], sensed.angular_velocity[:, 2:]), dim=-1) / MEASURED
        world.step(walker(world.observe(sensed), sensed))
        down |= world.fallen()
    worst = (speeds - world.command).abs().amax(-1).view(-1, robots).amax(-1)
    moved = torch.linalg.vector_norm(world.roots[:, :2] - start, dim=-1).view(-1, robots).mean(-1)
    means, fallen = speeds.view(-1, robots, 3).mean(1), down.view(-1, robots).sum(1)
    return [
        Row(name, friction, tuple(means[k].tolist()), float(worst[k]), float(moved[k]), int(fallen[k]))
        for k, (name, _, friction) in enumerate(cases)
    ]


@torch.no_grad()
def endurance(upstream: Path, walker: Walker, robots: int, seconds: float, seed: int) -> int:
    """Falls under the training's commands, loads and pushes at MAPush's friction."""
    random = torch.Generator().manual_seed(seed)
    friction, falls = torch.full((robots,), FRICTIONS[0]), 0
    world, around = World(upstream, friction, torch.zeros(robots)), Disturbances(friction, random)
    for _ in range(round(seconds / gait.CONTROL_DT)):
        around.apply(world)
        sensed = world.body()
        world.step(walker(world.observe(sensed), sensed))
        down = world.fallen().nonzero().flatten()
        falls += len(down)
        if len(down):
            world.restart(down, random)
    return falls
