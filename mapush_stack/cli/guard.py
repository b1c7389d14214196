"""`mapush guard`: runs any program so that it ends cleanly and with its true exit code."""

from __future__ import annotations

from typing import Tuple

import click

from ..errors import UserError
from ..harness.guard import watch
from .given import FiniteRange


@click.command(name="guard", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--wait",
    type=FiniteRange(1),
    default=30.0,
    show_default=True,
    help="Seconds that threads, exit handlers and the shutdown may take after a Python program's last line.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGUMENT]...")
def command(wait: float, command: Tuple[str, ...]) -> int:
    """Run a program unmodified, end it cleanly, and end with its true exit code.

    A Python program that has finished and then crashes or hangs while it shuts down, as with Isaac Gym, ends with the
    exit code that it had, and a warning. A failure stays one; signal N gives 128 + N. Processes that the program leaves
    behind are ended. docs/harness.md says what cannot be known.
    """
    if not command:
        raise UserError("mapush guard needs a program, as in: mapush guard -- python train.py --seed 1")
    return watch.run(command, wait)
