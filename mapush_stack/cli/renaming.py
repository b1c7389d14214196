"""The option --map, by which a tag of any log gets one of this project's names."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import click

from ..errors import UserError


def _read(context: click.Context, option: click.Parameter, values: Tuple[str, ...]) -> Dict[str, str]:
    """Names of ours by tags of the log.

    Raises:
        UserError: a value is not TAG=NAME, or there is no such name.

    """
    if not values:
        return {}
    from ..analysis import metric_names

    renamed = {}
    for value in values:
        tag, sign, name = value.rpartition("=")
        if not sign or not tag:
            raise UserError(f"--map {value}: give TAG=NAME, such as my/return=train_episode_rewards")
        if not metric_names.is_own(name):
            raise UserError(f"--map {value}: there is no name {name!r}; there is {', '.join(metric_names.tags())}")
        renamed[tag] = name
    return renamed


def renaming(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option to a command, as its argument `renamed`."""
    text = "Read a tag of the log under a name of this project, such as my/return=train_episode_rewards; repeatable."
    return click.option("--map", "renamed", metavar="TAG=NAME", multiple=True, callback=_read, help=text)(command)
