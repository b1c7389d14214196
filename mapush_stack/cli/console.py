"""Where the commands print."""

from __future__ import annotations

import sys
from typing import List

from rich.console import Console
from rich.table import Column

_WIDTH_OF_A_PIPE = 140


def make_console(stderr: bool = False, quiet: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for every table without one.

    A quiet console prints nothing.
    """
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, quiet=quiet, width=None if stream.isatty() else _WIDTH_OF_A_PIPE)


def say(console: Console, text: str) -> None:
    """Print a line as it is and unwrapped, so that paths and commands can be copied."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def right(*headings: str) -> List[Column]:
    """Columns of a table for numbers."""
    return [Column(heading, justify="right") for heading in headings]
