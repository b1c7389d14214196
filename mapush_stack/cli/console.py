"""Where the commands print."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any, List

from rich.console import Console, Group
from rich.table import Column, Table
from rich.text import Text

_WIDTH_OF_A_PIPE = 140
_LEAST_OF_A_COLUMN = 9
"""If the columns of a table have less room than this on average, each row becomes a list."""


class _Console(Console):
    """A console whose tables lose nothing where it is narrow."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(_fitted(one, self.width) if isinstance(one, Table) else one for one in objects), **options)


def make_console(stderr: bool = False, quiet: bool = False) -> Console:
    """A console as wide as COLUMNS says or as the terminal, or wide enough for every table without either.

    A quiet console prints nothing.
    """
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty() and "COLUMNS" not in os.environ:
        return _Console(stderr=stderr, quiet=quiet)  # follows the terminal when its size changes
    width, height = shutil.get_terminal_size((_WIDTH_OF_A_PIPE, 24))
    return _Console(stderr=stderr, quiet=quiet, width=width, height=height)


def _fitted(table: Table, width: int) -> Any:
    """A table that folds what does not fit, or a list for each row if that would leave a few letters a line."""
    for column in table.columns:
        column.overflow, column.no_wrap = "fold", False
    if width >= _LEAST_OF_A_COLUMN * len(table.columns):
        return table
    lines = [Text.from_markup(str(table.title), style="italic")] if table.title else []
    for cells in zip(*(column.cells for column in table.columns)):
        lines.append(Text())
        for column, cell in zip(table.columns, cells):
            text = cell if isinstance(cell, Text) else Text.from_markup(str(cell))
            lines.append(Text.assemble((f"{column.header} ".lstrip(), "bold"), text, overflow="fold"))
    return Group(*lines)


def say(console: Console, text: str) -> None:
    """Print a line as it is and unwrapped, so that paths and commands can be copied."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def right(*headings: str) -> List[Column]:
    """Columns of a table for numbers."""
    return [Column(heading, justify="right") for heading in headings]
