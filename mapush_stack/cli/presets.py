"""`mapush presets`: what can be trained, and every field of it."""

from __future__ import annotations

from typing import Optional

import click
import yaml
from rich.table import Table

from .console import make_console


@click.command(name="presets")
@click.argument("preset", required=False)
@click.option("--with", "parts", multiple=True, help="Part or YAML file to lay over the preset; repeatable.")
@click.option("--object", "object_name", default="", help="Object to push.")
def command(preset: Optional[str], parts: tuple, object_name: str) -> None:
    """List presets, parts and objects; with PRESET, print every field of it as YAML."""
    from .. import presets
    from ..training import config

    if preset is not None:
        plain = config.load(preset, object_name, (), parts).model_dump(mode="json")
        print(yaml.safe_dump(plain, sort_keys=False), end="")
        return
    table = Table()
    for heading in ("preset", "what it is"):
        table.add_column(heading)
    for name in presets.PRESETS:
        table.add_row(name, presets.description(name))
    console = make_console()
    console.print(table)
    console.print(f"objects: {', '.join(presets.OBJECTS)}", highlight=False)
    console.print(f"parts (--with): {', '.join(presets.PARTS)}", highlight=False)
