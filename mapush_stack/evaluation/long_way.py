"""The long way: held-out layouts, the rows that are compared on them, and what is measured (docs/long_way.md)."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import torch

from ..envs.factory import make_env
from ..errors import UserError
from ..guidance.courses import solvable_courses
from ..registry import closest
from ..system import closing
from ..task.terminations import CAUSES
from ..training.config import ExperimentConfig, overridden
from . import policies, protocol
from .policies import Candidate

SEED = 19_000_000
"""Of the layouts, starts and frictions; no training has it, because seeds of runs are small."""
SUCCESS_DISTANCE, SECONDS = 0.25, 160.0
_ARENA = ["task.obstacles.arena=[14, 14]", "task.target_distance=[8, 12]", "task.placement=apart"]
_LAYOUTS = {"size": [0.6, 1.2], "fewer": "false", "gate_share": 1, "clearance": 0.95}
"""Fields of `task.obstacles` that are the same in all sets, whatever the team was trained with."""
_STUCK = 20
"""Decisions with contact after which a failure counts as one of contact."""
SETS = (
    *(f"random-{count}" for count in (0, 2, 4, 8, 16)),
    *(f"gate-{width}" for width in (3.0, 2.1, 1.8, 1.5, 1.3)),
    *("maze-2", "maze-3", "heavy-20", "heavy-24"),
)
"""The sets of layouts.

Others of these kinds can be asked for: random-N obstacles, a gate of W m, a maze of N walls with gaps of 2.5 m, a heavy
object of N kg among 8 obstacles.
"""


class Row(NamedTuple):
    """Who goes the long way."""

    planner: str
    """In `task.obstacles.planner`; empty for the team's own."""
    alone: bool = False
    """One robot instead of the team."""


ROWS = {
    "direct": Row("direct"),
    "straight": Row("straight"),
    "upstream": Row("rrt"),
    "one robot": Row("", alone=True),
    "ours": Row(""),
}
"""What is compared, by name."""


def overrides(name: str, layouts: int) -> List[str]:
    """The changes to a configuration that a set means, but for the object's mass.

    Raises:
        UserError: there is no such set.

    """
    kind, _, text = name.partition("-")
    known = {"random": r"\d{1,2}", "gate": r"\d{1,2}(\.\d+)?", "maze": r"[1-3]", "heavy": r"[1-9]\d{0,2}"}
    if kind not in known or not re.fullmatch(known[kind], text):
        raise UserError(f"there is no set of layouts called {name}; {closest(name, list(SETS))}")
    number = float(text)
    count = 8 if kind == "heavy" else int(number) if kind == "random" else 0
    changes = {
        **_LAYOUTS,
        "boxes": count - 3 * count // 8,
        "cylinders": 3 * count // 8,
        "gates": {"gate": 1, "maze": int(number)}.get(kind, 0),
        "gap": [number, number] if kind == "gate" else [2.5, 2.5],
        "layouts": layouts,
    }
    far = ["task.target_distance=[10.5, 12]"] if kind == "maze" and number > 2 else []
    plain = [f"task.success_distance={SUCCESS_DISTANCE}", f"task.episode_seconds={SECONDS}"]
    return [*_ARENA, *far, *plain, *(f"task.obstacles.{field}={value}" for field, value in changes.items())]


def configured(candidate: Candidate, name: str, row: str, layouts: int, changes: Sequence[str]) -> ExperimentConfig:
    """A team's configuration for a row of a set; see `measure`.

    Raises:
        UserError: there is no such set, or the team cannot go that way.

    """
    own = candidate.config.task.obstacles.planner
    planner = ROWS[row].planner or (own if own != "direct" else "fast_marching")
    wanted = [*overrides(name, layouts), f"task.obstacles.planner={planner}", *changes]
    config = overridden(candidate.config, wanted)
    return _of_mass(config, float(name.partition("-")[2])) if name.startswith("heavy-") else config


def check(candidate: Candidate, name: str, row: str, changes: Sequence[str]) -> None:
    """Refuse what `measure` would refuse, from one layout.

    Raises:
        UserError: as `measure`.

    """
    overrides(name, 1)
    try:
        config = configured(candidate, name, row, 1, changes)
        solvable_courses(config.task, config.object.task, SEED)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def measure(candidate: Candidate, name: str, row: str, layouts: int, changes: Sequence[str] = ()) -> Dict[str, Any]:
    """The figures of a team on a set of layouts: a row of the table, as plain data.

    Args:
        candidate: the team.
        name: of the set, one of `SETS` or of their kinds.
        row: one of `ROWS`.
        layouts: how many.
        changes: further overrides of the configuration.

    Raises:
        UserError: there is no such set, or the team cannot go that way.

    """
    config = configured(candidate, name, row, layouts, changes)
    planner = config.task.obstacles.planner
    sim = config.sim.model_copy(update={"num_envs": layouts})
    env = make_env(config.task, config.object, sim, SEED, team=config.team_kinds)
    with closing.ensured("the simulation", env.close):
        if ROWS[row].alone and env.spec.num_agents > 1:
            env.absent = range(1, env.spec.num_agents)
        team = policies.policy(candidate._replace(config=config), env)
        episodes = protocol.run_episodes(team.act, env)
        assert env.obstacles is not None
        straight = torch.linalg.vector_norm(env.obstacles.courses.goal, dim=-1).cpu()
    return {"set": name, "row": row, "planner": planner, **figures(episodes, straight - SUCCESS_DISTANCE)}


def figures(episodes: protocol.Episodes, straight: torch.Tensor) -> Dict[str, Any]:
    """What is reported of episodes whose goals are `straight` `[N]` m away from their starts."""
    success, touched = episodes.success, episodes.touched
    total, successes = len(success), int(success.sum())
    touches = touched > 0
    free = success & ~touches.any(-1)
    efficiency = (straight / episodes.travelled[:, 0].clamp_min(1e-6))[success]
    return {
        "layouts": total,
        "successes": successes,
        "interval": protocol.wilson_interval(successes, total),
        "contact_free": int(free.sum()),
        "contact_free_interval": protocol.wilson_interval(int(free.sum()), total),
        "median_seconds": _median(episodes.seconds[success]),
        "efficiency": float(efficiency.mean()) if successes else None,
        "object_contact": int(touches[:, 0].sum()),
        "robot_contact": int(touches[:, 1:].any(-1).sum()),
        "failures": _failures(episodes),
    }


def _failures(episodes: protocol.Episodes) -> Dict[str, int]:
    """How many episodes failed in which way; time limits by what was held up by an obstacle."""
    counts: Dict[str, int] = {}
    for success, cause, touched in zip(
        episodes.success.tolist(), episodes.cause.tolist(), (episodes.touched >= _STUCK).tolist()
    ):
        if not success:
            name = CAUSES[cause].replace("_", " ")
            if name == "time limit":
                name = "object stuck" if touched[0] else "robot stuck" if any(touched[1:]) else "no contact"
            counts[name] = counts.get(name, 0) + 1
    return counts


def _median(values: torch.Tensor) -> Optional[float]:
    return float(values.double().median()) if len(values) else None


def _of_mass(config: ExperimentConfig, mass: float) -> ExperimentConfig:
    """The configuration with its object made this heavy, in kg; inertia grows with it."""
    parts = config.object.body.parts
    factor = mass / sum(part.mass for part in parts)
    heavier = [
        part.model_copy(update={"mass": part.mass * factor, "inertia": tuple(factor * one for one in part.inertia)})
        for part in parts
    ]
    body = config.object.body.model_copy(update={"parts": heavier})
    return config.model_copy(update={"object": config.object.model_copy(update={"body": body})})
