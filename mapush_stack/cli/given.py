"""What a command line gives: overrides for its options, numbers in a range, and no field two values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence

import click
from click.core import ParameterSource

from ..errors import UserError
from ..task.config import FARTHEST_GOAL

_MOST_GOALS = 2000
"""In a file of goals."""


class FiniteRange(click.FloatRange):
    """A number in a range; neither nan, which is in every range for click, nor infinite."""

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> float:
        """Raises click's usage error for what is no such number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def check_fields(options: Mapping[str, str], overrides: Sequence[str]) -> None:
    """Refuse a command line that gives a field two values, one by an option and one by an override.

    Args:
        options: the field that each of the command's parameters stands for, such as {"steps": "training.total_steps"}.
        overrides: `path.to.field=value`, in the order of the command line; of two for a field the last one counts.

    Raises:
        UserError: a field has two values; the message names what was typed for each.

    """
    from ..training.config import parse_value

    context = click.get_current_context()
    typed = [
        (f"{parameter.opts[0]} {value}", options[parameter.name], str(value))
        for parameter in context.command.params
        for value in [context.params.get(str(parameter.name))]
        if parameter.name in options and context.get_parameter_source(parameter.name) == ParameterSource.COMMANDLINE
    ]
    said = {override.partition("=")[0].strip(): override for override in overrides}  # the last one counts
    for words, field, text in typed:
        override = said.get(field, "")
        other = override.partition("=")[2]
        if override and parse_value(_bare(other)) != parse_value(_bare(text)):
            raise UserError(f"{words} and {override} contradict each other; leave one of them out")


def team_override(team: Optional[str]) -> List[str]:
    """The override that `--team` amounts to.

    Raises:
        UserError: a kind is missing.

    """
    kinds = [] if team is None else [kind.strip() for kind in team.split(",")]
    if team is not None and not all(kinds):
        raise UserError(f"--team {team!r} is not a team: give the kind of each robot, such as go1,planar")
    return [f"team=[{', '.join(kinds)}]"] if kinds else []


def other_team(team: Optional[str]) -> List[str]:
    """The overrides for a policy in another team than it was trained in: all of its robots are here."""
    return [*team_override(team), "task.team_size=null"] if team is not None else []


def goals_override(file: Optional[Path]) -> List[str]:
    """The override that `--goals FILE` amounts to: one sequence of goals, or a list of sequences, as JSON.

    Raises:
        UserError: it is no such file.

    """
    if file is None:
        return []
    from ..system.limits import read_json

    content = read_json(file)
    lists = content if _depth(content) == 3 else [content]
    goals = [point for points in lists for point in points] if _depth(lists) == 3 else []
    if not goals or not all(
        type(value) in (int, float) and abs(value) <= FARTHEST_GOAL for one in goals for value in one
    ):
        raise UserError(
            f"{file} holds no goals; give a list of them, such as [[2, 0], [2, 2]] in m from the object's start and at "
            f"most {FARTHEST_GOAL:g} away, or a list of such lists, one for each episode"
        )
    if len(goals) > _MOST_GOALS:
        raise UserError(f"{file} holds {len(goals):,} goals; at most {_MOST_GOALS:,} are allowed")
    return [f"task.goals={json.dumps(lists)}"]


def _depth(content: Any) -> int:
    """How deep lists are nested along their first items; 0 if a list beside them is empty or less deep."""
    if not isinstance(content, list):
        return 0
    depths = {_depth(item) for item in content} if content else {-1}
    return 1 + depths.pop() if len(depths) == 1 else -1


def _bare(text: str) -> str:
    """A value without the brackets and blanks of a list, which options such as --team leave out."""
    return text.strip("[] ").replace(" ", "")
