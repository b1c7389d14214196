"""`mapush bench`: a team on a suite of tasks, beside the rows that it is compared with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import click
from pydantic import Field, ValidationError
from rich.table import Table

from ..errors import UserError
from ..registry import closest
from ..settings import Settings
from .console import make_console, right, say


@click.group(name="bench")
def command() -> None:
    """Measure a team on a suite of tasks."""


@command.command(name="long-way")
@click.argument("path", required=False, type=click.Path(path_type=Path), metavar="[PATH]")
@click.option("--pretrained", default=None, metavar="NAME", help="Policy that comes with the project.")
@click.option("--single", type=click.Path(path_type=Path), help="Run of one robot, for the row `one robot`.")
@click.option("--layouts", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Layouts of a set.")
@click.option("--sets", default=None, help="Sets of layouts, such as random-8,gate-1.8.  [default: all]")
@click.option("--rows", default=None, help="Rows: direct, straight, upstream, one robot, ours.  [default: these]")
@click.option(
    "--goals-net",
    type=click.Path(path_type=Path),
    metavar="FILE.PT",
    help="Upstream's high-level policy, for the row `upstream policy`.",
)
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Change a field of the configuration.")
@click.option(
    "--add", type=click.Path(path_type=Path), multiple=True, help="Results of others to show too; repeatable."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="JSON file for the results, with a table as .md beside it."
)
def long_way(
    path: Optional[Path],
    pretrained: Optional[str],
    single: Optional[Path],
    layouts: int,
    sets: Optional[str],
    rows: Optional[str],
    goals_net: Optional[Path],
    overrides: Tuple[str, ...],
    add: Tuple[Path, ...],
    out: Optional[Path],
) -> None:
    """Push around obstacles, over 8 to 12 m, on held-out layouts that can be solved.

    PATH is a run or a checkpoint; of a run the last checkpoint counts. Every row meets the same layouts. Success: the
    object's centre is within 0.25 m of the goal before 160 s. An episode is contact-free if neither the object nor a
    robot came nearer than 12 mm to an obstacle.
    """
    from ..evaluation import long_way as suite
    from ..evaluation import policies
    from ..evaluation import pretrained as shipped
    from ..system.atomic import check_writable
    from ..training.session import set_torch_threads

    if (path is None) == (pretrained is None):
        raise UserError(f"give a PATH, or --pretrained with one of: {', '.join(shipped.names())}")
    chosen_sets, chosen_rows = _names(sets, list(suite.SETS)), _names(rows, list(suite.USUAL_ROWS))
    for name in chosen_rows:
        if name not in suite.ROWS:
            raise UserError(f"there is no row called {name}; {closest(name, list(suite.ROWS))}")
    if goals_net is not None and "upstream policy" not in chosen_rows:
        raise UserError(f"--goals-net {goals_net} is for the row `upstream policy`; add it to --rows")
    others = [row for file in add for row in _others(file)]
    if out is not None:
        check_writable(out, [".json"])
    team = policies.find(path or shipped.path(str(pretrained)), "", [])[-1]
    alone = policies.find(single, "", [])[-1] if single is not None else team
    robots = len(alone.config.team_kinds)
    if single is not None and robots > 1:
        raise UserError(f"--single {single} is not allowed: it has {robots} robots; give a run of one robot")
    set_torch_threads(team.config.training.torch_threads)
    going = [(alone if suite.ROWS[row].alone else team, name, row) for name in chosen_sets for row in chosen_rows]
    changes = {row: [*_network(row, goals_net), *overrides] for row in chosen_rows}
    for way in going:
        suite.check(*way, changes[way[-1]])
    console = make_console()
    results: List[Dict[str, Any]] = []
    for candidate, name, row in going:
        measured = suite.measure(candidate, name, row, layouts, changes[row])
        results += measured
        done = measured[0]
        say(console, f"{name}, {row}: {done['successes']} of {layouts}, {done['contact_free']} without contact")
        _write(out, pretrained or str(path), results, others)
    console.print(_table([*others, *results]))


def _names(text: Optional[str], known: List[str]) -> List[str]:
    return known if text is None else list(dict.fromkeys(name.strip() for name in text.split(",")))


def _network(row: str, file: Optional[Path]) -> List[str]:
    """The change to a configuration that a row with upstream's high-level policy needs.

    Raises:
        UserError: the row needs its file.

    """
    if row != "upstream policy":
        return []
    if file is None:
        raise UserError("the row `upstream policy` needs --goals-net FILE.pt: resources/goals_net/example.pt of MAPush")
    return [f"task.obstacles.network={json.dumps(str(file))}"]


def _others(file: Path) -> List[Dict[str, Any]]:
    """The rows of another results file.

    Raises:
        UserError: it is none.

    """
    from ..system.limits import read_json

    content = read_json(file)
    rows = content.get("rows") if isinstance(content, dict) else None
    try:
        return [_Row.model_validate(row).model_dump() for row in _list(rows)]
    except ValueError as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": ["rows"], "msg": str(error)}
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{file} holds no results of the long way ({where}: {first['msg']}); give a file that --out wrote"
        ) from None


def _list(rows: Any) -> List[Any]:
    if not isinstance(rows, list):
        raise ValueError("a list is missing")
    return rows


class _Row(Settings):
    """A row that `evaluation.long_way.measure` returned."""

    set: str
    row: str
    planner: str = ""
    layouts: int = Field(ge=1)
    successes: int
    interval: Tuple[float, float]
    contact_free: int
    contact_free_interval: Tuple[float, float]
    median_seconds: Optional[float]
    efficiency: Optional[float]
    object_contact: int
    robot_contact: int
    failures: Dict[str, int]
    finished_time: Optional[float] = None
    collaboration_degree: Optional[float] = None


def _write(out: Optional[Path], team: str, results: List[Dict[str, Any]], others: List[Dict[str, Any]]) -> None:
    from .. import __version__
    from ..evaluation.long_way import SEED
    from ..system.atomic import write_text

    if out is not None:
        content = {"suite": "long-way", "version": __version__, "team": team, "seed": SEED, "rows": results}
        write_text(out, json.dumps(content, indent=1) + "\n")
        write_text(out.with_suffix(".md"), _markdown([*others, *results]))


_HEADINGS = (
    "set",
    "row",
    "layouts",
    "success",
    "95 %",
    "contact-free",
    "median s",
    "efficiency",
    "object contact",
    "robot contact",
    "failures",
)


def _cells(row: Dict[str, Any]) -> List[str]:
    low, high = row["interval"]
    seconds, efficiency = row["median_seconds"], row["efficiency"]
    return [
        row["set"],
        row["row"],
        str(row["layouts"]),
        f"{row['successes'] / row['layouts']:.1%}",
        f"{low:.1%} - {high:.1%}",
        f"{row['contact_free'] / row['layouts']:.1%}",
        "" if seconds is None else f"{seconds:.1f}",
        "" if efficiency is None else f"{efficiency:.2f}",
        f"{row['object_contact'] / row['layouts']:.1%}",
        f"{row['robot_contact'] / row['layouts']:.1%}",
        ", ".join(f"{name} {count}" for name, count in row["failures"].items()),
    ]


def _table(rows: List[Dict[str, Any]]) -> Table:
    table = Table(*_HEADINGS[:2], *right(*_HEADINGS[2:-1]), _HEADINGS[-1])
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _markdown(rows: List[Dict[str, Any]]) -> str:
    lines = [_HEADINGS, ["---"] * len(_HEADINGS), *map(_cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
