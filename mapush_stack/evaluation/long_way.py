"""The long way: held-out layouts, the rows that are compared on them, and what is measured (docs/long_way.md)."""

from __future__ import annotations

import math
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import torch

from ..envs.factory import make_env
from ..envs.obstacles import make_planner
from ..errors import UserError
from ..guidance import upstream
from ..guidance.courses import least_width, solvable_courses
from ..system import closing
from ..task.terminations import CAUSES
from ..training.config import ExperimentConfig, overridden
from . import policies, protocol
from .policies import Candidate

SEED = 19_000_000
"""Of the layouts, starts and frictions; no training has it, because seeds of runs are small."""
SUCCESS_DISTANCE, SECONDS = 0.25, 160.0
_ARENA = ["task.obstacles.arena=[14, 14]", "task.target_distance=[8, 12]", "task.placement=apart"]
_CLEARANCE, _BEYOND = 0.95, 0.1
"""A way has at least the first clearance, and that much more than the object reaches from its centre, m."""
_LAYOUTS = {"size": [0.6, 1.2], "fewer": "false", "gate_share": 1, "clearance": _CLEARANCE, "drawing": "solvable"}
"""Fields of `task.obstacles` that are the same in all sets, whatever the team was trained with."""
_PLAIN = [
    f"task.success_distance={SUCCESS_DISTANCE}",
    f"task.episode_seconds={SECONDS}",
    "task.quirks.reset_step_reward=false",
]
_RAW = "upstream-raw"
_RAW_OBSTACLES = {"arena": [14, 15], "boxes": 2, "cylinders": 0, "gates": 0, "size": [1, 1], "fewer": "false"}
_UPSTREAM = [
    *("task.placement=behind", "task.obstacles.drawing=upstream", *_PLAIN),
    *(f"task.obstacles.{field}={value}" for field, value in _RAW_OBSTACLES.items()),
]
_STUCK = 20
"""Decisions with contact after which a failure counts as one of contact."""
SETS = (
    *(f"random-{count}" for count in (0, 2, 4, 8, 16)),
    *(f"gate-{width}" for width in (3.0, 2.1, 1.8, 1.5, 1.3)),
    *("maze-2", "maze-3", "heavy-20", "heavy-24", "upstream-raw"),
)
"""The sets of layouts.

Others of these kinds can be asked for: random-N obstacles, a gate of W m, a maze of N walls with gaps of 2.5 m, a heavy
object of N kg among 8 obstacles. `upstream-raw` has the layouts and starts of upstream's high level, unchecked: it has
rows for all of them, and for those with a clear straight line, a blocked one, and an impossible start.
"""


class Row(NamedTuple):
    """Who goes the long way."""

    planner: str
    """In `task.obstacles.planner`; empty for the team's own."""
    alone: bool = False
    """One robot instead of the team."""
    led: bool = False
    """The team with the leader that was trained for it; without it elsewhere."""


ROWS = {
    "direct": Row("direct"),
    "straight": Row("straight"),
    "upstream": Row("rrt"),
    "one robot": Row("", alone=True),
    "ours": Row(""),
    "rrt star": Row("rrt_star"),
    "upstream policy": Row("network"),
    "learned": Row("", led=True),
}
"""What is compared, by name."""
USUAL_ROWS = ("direct", "straight", "upstream", "one robot", "ours")
"""Those that need nothing else."""


def overrides(name: str, layouts: int) -> List[str]:
    """The changes to a configuration that a set means.

    Raises:
        UserError: there is no such set.

    """
    if name == _RAW:
        return [*_UPSTREAM, f"task.obstacles.layouts={layouts}"]
    kind, _, text = name.partition("-")
    known = {"random": r"\d{1,2}", "gate": r"\d{1,2}(\.\d+)?", "maze": r"[1-3]", "heavy": r"[1-9]\d{0,2}"}
    if kind not in known or not re.fullmatch(known[kind], text):
        kinds = "random-0 to 99, gate-W with a width in m, maze-1 to 3, heavy-1 to 999 (kg), upstream-raw"
        raise UserError(f"there is no set of layouts called {name}; give one of {kinds}")
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
    more = ["task.target_distance=[10.5, 12]"] if kind == "maze" and number > 2 else []
    more += [f"object.body.mass={number}"] if kind == "heavy" else []
    return [*_ARENA, *more, *_PLAIN, *(f"task.obstacles.{field}={value}" for field, value in changes.items())]


def configured(candidate: Candidate, name: str, row: str, layouts: int, changes: Sequence[str]) -> ExperimentConfig:
    """A team's configuration for a row of a set; see `measure`.

    Raises:
        UserError: there is no such set, or the team cannot go that way.

    """
    if ROWS[row].led and candidate.config.leader is None:
        raise UserError(
            f"the row `{row}` is for a leader's run, which {candidate.path} is not; train one by --with leader "
            "(docs/long_way.md)"
        )
    own = candidate.config.task.obstacles.planner
    planner = ROWS[row].planner or (own if own != "direct" else "fast_marching")
    radius = max(math.hypot(*vertex) for vertex in candidate.config.object.task.vertices)
    clearance = max(_CLEARANCE, round(radius + _BEYOND, 2))
    wanted = [*overrides(name, layouts), f"task.obstacles.clearance={clearance}"]
    wanted += [f"task.obstacles.planner={planner}", *changes]
    config = overridden(candidate.config, wanted)
    if config.task.obstacles.planner != planner:
        wrong = f"task.obstacles.planner={config.task.obstacles.planner}"
        raise UserError(f"{wrong} is not allowed: the row `{row}` has the planner {planner}; choose another of --rows")
    return config


def check(candidate: Candidate, name: str, row: str, changes: Sequence[str]) -> None:
    """Refuse what `measure` would refuse, from one layout.

    Raises:
        UserError: as `measure`.

    """
    overrides(name, 1)
    try:
        config = configured(candidate, name, row, 1, changes)
        course = solvable_courses(config.task, config.object.task, SEED)
        if row not in USUAL_ROWS:
            make_planner(config.task, course, SEED)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def measure(
    candidate: Candidate, name: str, row: str, layouts: int, changes: Sequence[str] = ()
) -> List[Dict[str, Any]]:
    """The figures of a team on a set of layouts: rows of the table, as plain data; the first is of the whole set.

    Args:
        candidate: the team.
        name: of the set, one of `SETS` or of their kinds.
        row: one of `ROWS`.
        layouts: how many.
        changes: further overrides of the configuration.

    Raises:
        UserError: there is no such set, or the team cannot go that way.

    """
    candidate = candidate if ROWS[row].led else policies.alone(candidate)
    config = configured(candidate, name, row, layouts, changes)
    candidate = candidate._replace(config=config)
    task, target_object, robots = config.task, config.object.task, len(config.team_kinds)
    sim = config.sim.model_copy(update={"num_envs": layouts})
    env = make_env(task, config.object, sim, SEED, team=config.team_kinds, led=policies.led_by(candidate))
    with closing.ensured("the simulation", env.close):
        if ROWS[row].alone and robots > 1:
            env.absent = range(1, robots)
        team = policies.policy(candidate, env)
        episodes = protocol.run_episodes(team.act, env)
        assert env.obstacles is not None
        course = env.obstacles.courses.to("cpu")
        straight = torch.linalg.vector_norm(course.goal, dim=-1) - task.success_distance
    parts = {name: torch.ones(layouts, dtype=torch.bool)}
    if name == _RAW:
        least = least_width(target_object, torch.tensor(target_object.vertices))
        kinds = upstream.kinds(task, target_object, robots, course, least)
        parts.update({f"{name} {kind}": mask for kind, mask in kinds.items() if mask.any()})
    return [
        {
            "set": part,
            "row": row,
            "planner": task.obstacles.planner,
            **figures(protocol.Episodes(*(values[mask] for values in episodes)), straight[mask], task.episode_seconds),
        }
        for part, mask in parts.items()
    ]


def figures(episodes: protocol.Episodes, straight: torch.Tensor, time_limit: float) -> Dict[str, Any]:
    """What is reported of episodes that could succeed after `straight` `[N]` m."""
    success, touched = episodes.success, episodes.touched
    total, successes = len(success), int(success.sum())
    touches = touched > 0
    free = success & ~touches.any(-1)
    efficiency = (straight / episodes.travelled[:, 0].clamp_min(1e-6))[success]
    published = protocol.summarize(episodes, time_limit)
    return {
        "layouts": total,
        "successes": successes,
        "interval": published.success_interval,
        "contact_free": int(free.sum()),
        "contact_free_interval": protocol.wilson_interval(int(free.sum()), total),
        "median_seconds": _median(episodes.seconds[success]),
        "efficiency": float(efficiency.mean()) if successes else None,
        "object_contact": int(touches[:, 0].sum()),
        "robot_contact": int(touches[:, 1:].any(-1).sum()),
        "failures": _failures(episodes),
        "finished_time": published.finished_time,
        "collaboration_degree": published.collaboration_degree,
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
