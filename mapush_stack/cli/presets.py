"""`mapush presets`: everything that has a name, and every field of a preset."""

from __future__ import annotations

from typing import Iterable, Iterator, Optional, Tuple

import click
import yaml
from rich.table import Table

from .console import make_console


@click.command(name="presets")
@click.argument("preset", required=False)
@click.option("--with", "parts", multiple=True, help="Part or YAML file to lay over the preset; repeatable.")
@click.option("--object", "object_name", default="", help="Object to push.")
def command(preset: Optional[str], parts: Tuple[str, ...], object_name: str) -> None:
    """List presets, objects, robots and all else that has a name; with PRESET, print every field of it as YAML."""
    from .. import presets
    from ..training import config

    if preset is not None:
        plain = config.load(preset, object_name, (), parts).model_dump(mode="json")
        print(yaml.safe_dump(plain, sort_keys=False), end="")
        return
    table = Table("preset", "what it is")
    for name in presets.PRESETS:
        table.add_row(name, presets.description(name))
    console = make_console()
    console.print(table)
    for title, names in _named():
        console.print(f"{title}: {', '.join(names)}", highlight=False)


def _named() -> Iterator[Tuple[str, Iterable[str]]]:
    """Everything else that has a name."""
    from .. import presets
    from ..harness.triage import rules
    from ..learning.registry import LEARNERS
    from ..sim.robots import ROBOTS
    from ..sim.simulators import SIMULATORS
    from ..task.observations import LAYOUTS
    from ..task.rewards import TERMS

    yield "parts (--with)", presets.PARTS
    yield "objects (--object)", presets.OBJECTS
    yield "robots (--robot, --team)", ROBOTS
    yield "simulators (--backend)", ["auto", *SIMULATORS]
    yield "learners (--learner)", LEARNERS
    yield "observation layouts (task.observation)", LAYOUTS
    yield "reward terms (task.rewards)", TERMS
    yield "files of triage rules", [path.name for path in rules.FILES]
