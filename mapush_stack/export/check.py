"""Whether exported graphs give what torch gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import torch
from torch import Tensor

from ..envs.push_env import PushEnv
from ..learning.contract import TeamPolicy
from ..task import actions, observations
from . import onnx_file
from .folder import Graph
from .graphs import kind_of, planar_state, target_width, velocities

STATES = 10_000


def runner(folder: Path) -> Any:
    """The module `run.py` of an exported policy."""
    spec = importlib.util.spec_from_file_location("mapush_exported", str(folder / "run.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def team(folder: Path, env: PushEnv, policy: TeamPolicy) -> float:
    """The largest difference of a command between run.py and what the team does in its environment, m/s or rad/s."""
    generator = torch.Generator().manual_seed(1)
    tasks, goal = env.simulator.robots, target_width(env.config)
    width = max(len(task.sense_mirror) for task in tasks)

    def drawn(*shape: int) -> Tensor:
        return 8.0 * torch.rand(STATES, *shape, generator=generator) - 4.0

    robots, thing, target, senses = drawn(len(tasks), 3), drawn(3), drawn(goal), drawn(len(tasks), width)
    for number, task in enumerate(tasks):
        senses[:, number, len(task.sense_mirror) :] = 0.0
    own = {f"senses{number}": senses[:, number, : len(task.sense_mirror)].numpy() for number, task in enumerate(tasks)}
    poses = {"robots": robots.numpy(), "object": thing.numpy(), "target": target.numpy()}
    if env.config.obstacles.observed:
        way, near = drawn(5), drawn(len(tasks), 2)
        own.update({f"way{n}": torch.cat((way, near[:, n]), dim=-1).numpy() for n in range(len(tasks))})
        target = torch.cat((target, way, near.flatten(1)), dim=-1)
    seen = observations.observe(env.config, env.object, planar_state(robots, thing, senses), target)
    limit = torch.tensor(env.config.command_limit)
    commands = actions.command(env.config, limit, policy.act(seen), actions.command_columns(tasks, env.device))
    wanted = torch.stack(
        [velocities(kind_of(env, number), commands[:, number : number + 1])[:, 0] for number in range(len(tasks))],
        dim=1,
    )
    found = runner(folder).Team(folder).step(**poses, **own)["commands"]
    return float(np.abs(found - wanted.numpy()).max())


def graph(folder: Path, name: str, exported: Graph) -> float:
    """The largest difference of a number between a graph's file and its module."""
    inputs: List[Tensor] = onnx_file.draw(exported.values[0], STATES, 1)
    with torch.no_grad():
        wanted = exported.module(*inputs)
    given: Dict[str, Any] = dict(zip(exported.values[0], (value.numpy() for value in inputs)))
    found = runner(folder).Graph(folder, name).step(**given)
    return max(float(np.abs(one - other.numpy()).max()) for one, other in zip(found.values(), wanted))
