"""`mapush export`: a policy as ONNX graphs that need neither torch nor this package."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple

import click

from ..errors import UserError
from ..system import closing
from .console import make_console, say
from .given import check_fields, other_team


@click.command(name="export")
@click.argument("policy", metavar="POLICY")
@click.option("--onnx", "out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="New folder.")
@click.option("--object", "object_name", default="", help="Object, where the policy takes others.  [default: its own]")
@click.option("--team", default=None, help="Kind of each robot, such as planar,planar,planar.  [default: the run's]")
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Change a field of the configuration.")
@click.option("--check", is_flag=True, help="Compare with torch on 10,000 states; refuse a difference above 1e-5.")
def command(
    policy: str, out: Path, object_name: str, team: Optional[str], overrides: Tuple[str, ...], check: bool
) -> None:
    """Write a policy as ONNX graphs, with policy.json, which says what they mean, and run.py, which runs them.

    POLICY is the name of one that comes with the project (`mapush pretrained`), a run (its last checkpoint), a
    checkpoint, an .npz or module.pt of OpenRL, or a walking policy: its robot's name (go1), go1-blind, or its
    .safetensors file.
    """
    from ..export import check as checking

    check_fields({"object_name": "object", "team": "team"}, overrides)
    overrides = (*other_team(team), *overrides)
    walker = _walker(policy)
    if walker is None:
        difference = _team(policy, out, object_name, overrides, check)
    elif object_name or overrides:
        raise UserError(f"--object, --team and --set are for teams; {policy} is a walking policy")
    else:
        difference = _alone(policy, *walker, out, check)
    console = make_console()
    for written in sorted(out.iterdir()):
        say(console, f"{written} ({written.stat().st_size / 1e3:.0f} kB)")
    if difference is not None:
        say(console, f"largest difference from torch on {checking.STATES:,} states: {difference:.1e}")


def _tell(step: str) -> None:
    say(make_console(), f"{step} ...")


def _walker(policy: str) -> Optional[Tuple[str, str]]:
    """The kind of robot and the walking policy that POLICY names; None if it names a team's."""
    from ..sim.robots import ROBOTS

    if policy.endswith(".safetensors"):
        return "go1", policy
    kind, name = (policy, "shipped") if policy in ROBOTS else (policy.rpartition("-")[0], "blind")
    legs = kind in ROBOTS and hasattr(ROBOTS[kind], "walker") and policy in (kind, f"{kind}-{name}")
    return (kind, name) if legs else None


def _alone(policy: str, kind: str, walker: str, out: Path, check: bool) -> Optional[float]:
    """Export a walking policy; returns the largest difference from torch if `check`."""
    from ..export import check as checking
    from ..export import folder

    graph = folder.of_walker(walker, kind)
    about = folder.about_walker(Path(policy).name)
    compare = (lambda path: checking.graph(path, "walker.onnx", graph)) if check else None
    return folder.write(out, {"walker.onnx": graph}, about, compare, _tell)


def _team(policy: str, out: Path, object_name: str, overrides: Tuple[str, ...], check: bool) -> Optional[float]:
    """Export a team's policy; returns the largest difference from torch if `check`."""
    from ..evaluation import policies, pretrained
    from ..export import check as checking
    from ..export import folder

    candidate = policies.find(
        pretrained.find(policy), object_name, ["sim.backend=mujoco", "sim.device=cpu", *overrides]
    )[-1]
    env = policies.environment(candidate, 1, 0)
    with closing.ensured("the simulation", env.close):
        team = policies.policy(candidate, env)
        graphs, about = folder.of_team(candidate, env, team)

        def compare(path: Path) -> float:
            walkers = [
                checking.graph(path, name, graph) for name, graph in graphs.items() if name.endswith("walker.onnx")
            ]
            return max([checking.team(path, env, team), *walkers])

        return folder.write(out, graphs, about, compare if check else None, _tell)
