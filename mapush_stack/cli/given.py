"""What a command line says of fields: refused if it says two things of one."""

from __future__ import annotations

from typing import Dict, Mapping, Sequence, Tuple

import click
from click.core import ParameterSource

from ..errors import UserError


def check_fields(options: Mapping[str, str], overrides: Sequence[str]) -> None:
    """Refuse a command line that gives a field two values.

    Args:
        options: the field that each of the command's parameters stands for, such as {"steps": "training.total_steps"}.
        overrides: `path.to.field=value`, in the order of the command line.

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
    typed += [(override, *override.partition("=")[::2]) for override in overrides]
    seen: Dict[str, Tuple[str, str]] = {}
    for words, field, text in typed:
        before, other = seen.setdefault(field.strip(), (words, text))
        if other != text and parse_value(other) != parse_value(text):
            raise UserError(f"{before} and {words} contradict each other; leave one of them out")
