"""Where the commands print."""

from __future__ import annotations

import sys

from rich.console import Console

_WIDTH_OF_A_PIPE = 140


def make_console(stderr: bool = False) -> Console:
    """A console as wide as its terminal; wide enough for every table where there is none."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _WIDTH_OF_A_PIPE)
