"""The folder of an exported policy: graphs, policy.json, and a program that runs them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from torch import nn

from .. import __version__
from ..envs.push_env import PushEnv
from ..errors import UserError, refuse
from ..evaluation.policies import Candidate
from ..learning.contract import TeamPolicy
from ..locomotion import gait
from ..locomotion import policy as walking
from ..sim.robots import ROBOTS
from ..system.atomic import new_directory, write_json
from ..task.config import CONTROL_DT
from . import onnx_file
from .graphs import RobotGraph, Value, WalkerGraph

FORMAT = "mapush exported policy 1"
MOST_DIFFERENCE = 1e-5
"""Between torch and an exported graph: m/s, rad/s or rad."""
RUNNER = Path(__file__).with_name("run.py")
FRAMES = {
    "arena": "any fixed frame with z up; all poses are in the same one",
    "heading": "origin at the robot's base, x ahead, y to the left, z up; it turns with the robot's yaw",
}


class Graph(NamedTuple):
    """A module and what goes in and out."""

    module: nn.Module
    values: Tuple[Dict[str, Value], Dict[str, Value]]


def write(
    folder: Path,
    graphs: Dict[str, Graph],
    about: Dict[str, Any],
    check: Optional[Callable[[Path], float]] = None,
    tell: Callable[[str], None] = lambda step: None,
) -> Optional[float]:
    """Write graphs by file name, policy.json and run.py; the folder appears when all is in it.

    Args:
        folder: absent or empty.
        graphs: by the name of the file.
        about: what policy.json says beside the graphs.
        check: measures how much the graphs in a folder differ from torch.
        tell: is told of each step that takes seconds.

    Returns:
        What `check` returned.

    Raises:
        UserError: the folder is not empty or cannot be made, a package is missing, or the graphs differ too much.

    """
    onnx_file.require_onnx()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} exists already; choose another folder, or delete it")
    difference = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with new_directory(folder) as temporary:
            described = {}
            for name, graph in graphs.items():
                tell(f"writing {name}")
                described[name] = _described(temporary / name, graph)
            shutil.copyfile(RUNNER, temporary / RUNNER.name)
            write_json(
                temporary / "policy.json",
                {"format": FORMAT, "mapush_stack": __version__, **about, "frames": FRAMES, "graphs": described},
            )
            if check:
                tell("comparing with torch")
                difference = check(temporary)
            if difference is not None and not difference <= MOST_DIFFERENCE:
                raise UserError(
                    f"{folder} is not written: it differs from torch by {difference:.1e}, more than {MOST_DIFFERENCE:g}"
                )
    except OSError as error:
        refuse(error, f"{folder} cannot be written")
    return difference


def _described(file: Path, graph: Graph) -> Dict[str, Any]:
    """Write a graph's file; returns what policy.json says of it."""
    onnx_file.write(graph.module, graph.values, file)
    inputs, outputs = ({name: one._asdict() for name, one in values.items()} for values in graph.values)
    return {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "inputs": inputs, "outputs": outputs}


def of_team(candidate: Candidate, env: PushEnv, policy: TeamPolicy) -> Tuple[Dict[str, Graph], Dict[str, Any]]:
    """The graphs of a team's policy, and what policy.json says of it.

    Robots of one kind with the same network have one graph.

    Raises:
        UserError: the policy or the task cannot be taken apart, or a walking policy cannot be read.

    """
    if candidate.config.leader is not None:
        raise UserError(f"{candidate.path} cannot be exported: it leads another team; export that one")
    if candidate.config.object.family is not None:
        raise UserError(f"{candidate.path} pushes random objects; name the one to export it for with --object")
    settings, path, robots = candidate.config, candidate.path, []
    graphs: Dict[str, Graph] = {}
    names: Dict[Tuple[int, str], str] = {}
    for number, kind in enumerate(settings.team_kinds):
        name = names.setdefault((id(policy.network(number)), kind), f"robot{number}.onnx")
        if name not in graphs:
            module = RobotGraph(env, policy, number)
            graphs[name] = Graph(module, module.values(len(settings.team_kinds)))
        walker = f"{kind}_walker.onnx"
        section: Any = settings.sim.of_kind(kind)
        if hasattr(section, "walking_policy"):
            graphs.setdefault(walker, of_walker(section.walking_policy, kind))
        robots.append({"kind": kind, "graph": name, "walker": walker if walker in graphs else None})
    task, thing = settings.task, settings.object
    about = {
        "policy": path.name if candidate.steps < 0 else f"{path.parents[1].name}/{path.name}",
        "object": {"name": thing.name, "outline_m": thing.task.vertices},
        "goal": {"kind": task.goal, "distance_m": task.goal_distance},
        "observation": task.observation,
        "decision_seconds": task.action_repeat * CONTROL_DT,
        "command_limit": list(task.command_limit),
        "robots": robots,
    }
    return graphs, about


def of_walker(name: str, kind: str) -> Graph:
    """The graph of a walking policy, `shipped` or a file's path, for a kind of robot."""
    machine: Any = ROBOTS[kind]
    if name == "upstream":
        raise UserError(
            f"sim.{kind}.walking_policy=upstream is not exported: it is there to compare with MAPush's program; add "
            f"sim.{kind}.walking_policy=blind"
        )
    module = WalkerGraph(walking.load(name, kind, machine.walker))
    return Graph(module, module.values())


def about_walker(name: str) -> Dict[str, Any]:
    """What policy.json says of the walking policy of this name alone."""
    robots: List[Any] = []
    return {"policy": name, "decision_seconds": gait.CONTROL_DT, "robots": robots}
