"""Where the commands print."""

from __future__ import annotations

import sys

from rich.console import Console

_WIDTH_OF_A_PIPE = 140


def make_console(stderr: bool = False, quiet: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for every table without one.

    A quiet console prints nothing.
    """
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, quiet=quiet, width=None if stream.isatty() else _WIDTH_OF_A_PIPE)
