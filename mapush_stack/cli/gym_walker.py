"""`mapush gym walker`: the walking networks that MAPush reads, for a checkout that lacks them."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import click
from rich.table import Table

from ..errors import UserError, refuse
from ..system.atomic import write_json
from .console import make_console, right, say
from .given import FiniteRange


@click.command(name="walker")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
def write(folder: Path) -> None:
    """Write this project's walking networks into DIR, as the two files that MAPush reads.

    MAPush's folder is mqe/utils/locomotion_checkpoints/walk_these_ways. A file that is there is never overwritten.
    """
    from ..gym_api.walker import files

    for path in files.write(folder, files.load()):
        click.echo(path)


@click.command(name="walker-train")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the networks and their record.")
@click.option("--rounds", type=click.IntRange(1), default=120, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def train(out: Path, rounds: int, seed: int) -> None:
    """Train the walking networks again: half an hour on a CPU; MAPUSH_SRC names MAPush's source tree."""
    from ..gym_api.walker import files, training
    from ..training.manifest import manifest

    upstream, console, begun = _upstream(), make_console(), time.monotonic()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse(error, f"nothing can be written to {out}")
    curve: List[Dict[str, float]] = []

    def report(number: int, means: Dict[str, float]) -> None:
        curve.append({name: round(value, 5) for name, value in means.items()})
        numbers = "  ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in means.items())
        say(console, f"{number:>4} / {rounds} rounds  {time.monotonic() - begun:.0f} s  {numbers}")

    walker = training.train(upstream, rounds, seed, report)
    weights = out / files.SHIPPED.name
    files.save(walker, weights)
    content: Dict[str, Any] = {"weights": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    content.update(seed=seed, rounds=rounds, seconds=round(time.monotonic() - begun, 1))
    content.update(manifest=manifest(["mapush", *sys.argv[1:]]), curve=curve[:: max(len(curve) // 50, 1)])
    write_json(weights.with_suffix(".json"), content)
    say(console, str(weights))


@click.command(name="walker-test")
@click.option("--teacher", is_flag=True, help="Measure the policy that is told its velocity instead.")
@click.option("--robots", type=click.IntRange(1), default=16, show_default=True, help="For each command.")
@click.option("--minutes", type=FiniteRange(0), default=1.0, show_default=True, help="Of random commands.")
def test(teacher: bool, robots: int, minutes: float) -> None:
    """Print how well the walking networks follow commands; MAPUSH_SRC names MAPush's source tree."""
    from ..gym_api.walker import measuring

    upstream, walker = _upstream(), measuring.walker(teacher)
    numbers = right("friction", "vx m/s", "vy m/s", "yaw rate rad/s", "worst robot's error", "moved m", "fallen")
    table = Table("command", *numbers, title=f"MAPush's Go1, {robots} robots, means over 5 s after 2 s")
    for row in measuring.track(upstream, walker, robots):
        means = [f"{value:.3f}" for value in (*row.measured, row.worst, row.moved)]
        table.add_row(row.name, f"{row.friction:g}", *means, str(row.fallen))
    console = make_console()
    console.print(table)
    falls = measuring.endurance(upstream, walker, 128, 60.0 * minutes, seed=0)
    say(console, f"128 robots, {minutes:g} minutes of random commands, loads and pushes: {falls} falls")


def _upstream() -> Path:
    """MAPush's source tree.

    Raises:
        UserError: MAPUSH_SRC does not name it.

    """
    source = os.environ.get("MAPUSH_SRC", "")
    if not (Path(source) / "resources/actuator_nets/unitree_go1.pt").is_file():
        raise UserError(f"MAPUSH_SRC={source} is not a source tree of MAPush: it has no resources/actuator_nets")
    return Path(source)
