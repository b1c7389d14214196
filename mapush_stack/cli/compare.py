"""`mapush compare`: runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Optional, Tuple

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .console import make_console
from .renaming import renaming

if TYPE_CHECKING:
    from ..analysis.comparison import Comparison


@click.command(name="compare")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Report as one file for a browser.")
@click.option(
    "--episodes",
    type=click.IntRange(0, 10_000),
    default=100,
    show_default=True,
    help="Episodes of each checkpoint to play for --html; 0: none.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for plots, Markdown and JSON.")
@click.option(
    "--group-by",
    metavar="FIELD|REGEX",
    help="Group runs by a field of their configurations, or by what a regular expression finds in their paths.",
)
@click.option(
    "--tag",
    "tags",
    metavar="TAG",
    multiple=True,
    help="Show a tag of the log, or all that fit a pattern such as 'Episode/*'; repeatable.",
)
@renaming
def command(
    paths: Tuple[Path, ...],
    as_json: bool,
    html: Optional[Path],
    episodes: int,
    out: Optional[Path],
    group_by: Optional[str],
    tags: Tuple[str, ...],
    renamed: Dict[str, str],
) -> None:
    """Compare runs: configurations, checkpoints, curves, milestones, significance.

    RUN is a run directory of this project, of HARL or of OpenRL (MAPush's own), a folder of TensorBoard logs, or a
    folder of runs; they may still be training. Runs that differ only in their seed are one group.
    """
    from ..analysis import comparison
    from ..analysis.comparison import export

    console = make_console(stderr=as_json)
    if html is not None:
        from ..analysis.report import page

        page.check(html)
    runs, notes = comparison.load(paths, renamed)
    found = comparison.compare(runs, notes, tags, group_by)
    if as_json:
        print(json.dumps(export.to_json(found), indent=1))
    else:
        _show(console, found)
    if out is not None:
        for path in export.write(found, out):
            console.print(f"written: {path}", highlight=False, soft_wrap=True)
    if html is not None:
        from ..analysis.report import make

        make(html, runs, notes, episodes, tags, group_by)
        console.print(f"written: {html}", highlight=False, soft_wrap=True)


def _show(console: Console, found: Comparison) -> None:
    from ..analysis.comparison.significance import sentences
    from ..analysis.comparison.tables import tables

    for text_table in tables(found):
        table = Table(title=text_table.title, title_justify="left")
        for index, column in enumerate(text_table.columns):
            table.add_column(Text(column), justify="left" if index in text_table.prose else "right", overflow="fold")
        for row in text_table.rows:
            table.add_row(*map(Text, row))
        console.print(table)
    for sentence in sentences(found.significance):
        console.print(Text(f"· {sentence}"))
    for note in found.notes:
        console.print(Text(f"note: {note}"))
