"""`mapush convert`: a policy of another program as plain arrays."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import UserError, refuse
from .console import make_console, say


@click.command(name="convert")
@click.argument("source", type=click.Path(path_type=Path), metavar="MODULE.PT")
@click.argument("target", type=click.Path(path_type=Path), metavar="OUT.NPZ")
def command(source: Path, target: Path) -> None:
    """Write the actor in OpenRL's module.pt, as MAPush publishes it, as an .npz without anything pickled.

    Nothing in the file is run. `mapush evaluate OUT.NPZ --object NAME` evaluates the result like the module.pt itself.
    """
    from ..learning.openrl import actor

    if target.suffix != ".npz":
        raise UserError(f"{target} must end in .npz")
    arrays, activation = actor.module_arrays(source)
    size = actor.read_module(source).observation_size
    try:
        actor.write_npz(target, arrays, activation)
    except OSError as error:
        refuse(error, f"{target} cannot be written")
    numbers = sum(array.numel() for array in arrays.values())
    told = f"{len(arrays)} arrays, {numbers:,} numbers, {activation}, {size} observed numbers a robot"
    say(make_console(), f"{target}: {told}")
