"""Runs of HARL's own program."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from ..text_logs import harl_progress
from .files import PROGRESS
from .foreign import named
from .layout import Layout, Program
from .values import ConfigValues

_TASK_NAMES = ("task", "scenario", "map_name", "env_name")
"""Fields in which HARL's environments name their task."""


def _wrote(layout: Layout) -> bool:
    """True for HARL's configuration, or for folders like logs/agent0/<name>/agent0/<name>."""
    if "main_args" in layout.config or "algo_args" in layout.config:
        return True
    return any(
        re.fullmatch(r"(logs/)?(agent\d+/\w+)/\2", folder.relative_to(layout.path).as_posix())
        for folder in layout.event_files
    )


def _describe(layout: Layout) -> Layout:
    values = ConfigValues(layout.config)
    tasks = (values.word("env_args", name) for name in _TASK_NAMES)
    task = next((name for name in tasks if name is not None), None)
    world, experiment = values.word("main_args", "env"), values.word("main_args", "exp_name")
    return replace(
        layout,
        name=layout.path.name if experiment is None else f"{experiment}/{layout.path.name}",
        task=task if task is None or world is None else f"{world}-{task}",
        algorithm=values.word("main_args", "algo"),
        seed=values.whole("algo_args", "seed", "seed") if layout.config else named(layout.path).seed,
        total_steps=values.whole("algo_args", "train", "num_env_steps", least=1),
        text_logs=[partial(harl_progress, layout.path / PROGRESS, "eval_average_episode_rewards")],
        problems=[*layout.problems, *values.problems],
    )


PROGRAM = Program("harl", _wrote, _describe)
