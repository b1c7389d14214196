"""`mapush deploy`: the control loop for robots, tried against the simulator in real time."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import click
from rich.table import Table

from ..errors import UserError
from ..system import closing
from .console import make_console, right, say
from .given import FiniteRange, check_fields, other_team

_BINS_MS = (0, 0.5, 1, 2, 5, 10, 20, math.inf)


@click.command(name="deploy")
@click.argument("policy", metavar="POLICY")
@click.option("--dry-run", is_flag=True, help="Against the simulator; nothing else is possible yet.")
@click.option("--object", "object_name", default="", help="Object, where the policy takes others.  [default: its own]")
@click.option("--team", default=None, help="Kind of each robot, such as planar,planar,planar.  [default: the run's]")
@click.option("--seconds", type=FiniteRange(0.1, 3600), default=20.0, show_default=True, help="Longest run.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the start.")
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Change a field of the configuration.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(
    policy: str,
    dry_run: bool,
    object_name: str,
    team: Optional[str],
    seconds: float,
    seed: int,
    overrides: Tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the exported graphs of POLICY 50 times a second on one core, and say how long each part of a tick took.

    POLICY is the name of one that comes with the project, a run or a checkpoint. The simulator stands for robots and
    motion capture. We have no robots: nobody has tried this on one.
    """
    if not dry_run:
        raise UserError("mapush deploy knows no robots, only the simulator; add --dry-run")
    check_fields({"object_name": "object", "team": "team"}, overrides)
    told = _dry_run(policy, object_name, seconds, seed, (*other_team(team), *overrides))
    if as_json:
        print(json.dumps(told, indent=2))
        return
    console = make_console()
    table = Table(
        "part", *right("ticks", "p50 ms", "p95 ms", "p99 ms", "largest ms"), title=f"{policy}, 50 Hz, one core"
    )
    for part, row in told["parts"].items():
        table.add_row(part, str(row["count"]), *(f"{row[name]:.2f}" for name in ("p50", "p95", "p99", "max")))
    console.print(table)
    for low, high, count in told["histogram"]:
        upper = "more" if high is None else f"{high:g}"
        say(console, f"{low:>5g} to {upper:>4} ms  {count:>5}  {'#' * round(40 * count / told['ticks'])}")
    say(console, f"missed deadlines: {told['missed']} of {told['ticks']}")
    after = told["succeeded_after"]
    say(console, "the object did not arrive" if after is None else f"the object arrived after {after:.2f} s")


def _dry_run(policy: str, object_name: str, seconds: float, seed: int, overrides: Tuple[str, ...]) -> Dict[str, Any]:
    """Export, run, and summarise."""
    import numpy as np
    import torch

    from ..evaluation import policies, pretrained
    from ..export import folder, loop

    changes = ["sim.backend=mujoco", "sim.device=cpu", "sim.threads=1", *overrides]
    candidate = policies.find(pretrained.find(policy), object_name, changes)[-1]
    if candidate.config.task.obstacles.active:
        raise UserError(f"{policy} cannot be tried: no planner for its way around obstacles runs in this loop")
    torch.set_num_threads(1)
    env = policies.environment(candidate, 1, seed)
    with closing.ensured("the simulation", env.close), tempfile.TemporaryDirectory() as place:
        graphs, about = folder.of_team(candidate, env, policies.policy(candidate, env))
        folder.write(Path(place) / "policy", graphs, about)
        env.reset()
        done = loop.run(loop.Loop(Path(place) / "policy", env, about["robots"]), seconds)
    parts = {}
    for part, spent in done.seconds.items():
        values = dict(zip(("p50", "p95", "p99", "max"), np.percentile(1e3 * spent, (50, 95, 99, 100)).tolist()))
        parts[part] = {"count": len(spent), **values}
    ticks = 1e3 * done.seconds["tick"]
    bins = [
        (low, high if math.isfinite(high) else None, int(((ticks >= low) & (ticks < high)).sum()))
        for low, high in zip(_BINS_MS, _BINS_MS[1:])
    ]
    after = done.succeeded_after if math.isfinite(done.succeeded_after) else None
    return {"ticks": len(ticks), "missed": done.missed, "succeeded_after": after, "parts": parts, "histogram": bins}
