"""Runs of this project."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Optional

from ..text_logs import harl_progress
from .files import PROGRESS
from .layout import Layout, Program
from .values import ConfigValues


def _wrote(layout: Layout) -> bool:
    of_harl = "main_args" in layout.config or "algo_args" in layout.config
    return not of_harl and ("learner" in layout.config or "mapush_stack" in layout.manifest)


def _describe(layout: Layout) -> Layout:
    values, folder = ConfigValues(layout.config), layout.path
    experiment, target = values.word("experiment"), values.word("object", "name")
    return replace(
        layout,
        name=folder.name if experiment is None else f"{experiment}/{folder.name}",
        task=None if target is None else f"go1push_mid-{target}",
        algorithm=values.word("learner", "algorithm"),
        seed=values.whole("training", "seed"),
        robots=values.whole("object", "task", "num_robots", least=1),
        total_steps=_total_steps(values),
        text_logs=[partial(harl_progress, folder / PROGRESS, "train_episode_rewards")],
        problems=[*layout.problems, *values.problems],
    )


def _total_steps(values: ConfigValues) -> Optional[int]:
    """Configured environment steps, summed over the stages if there are any."""
    stages = values.get("training", "stages")
    if not stages:
        return values.whole("training", "total_steps", least=1)
    if not isinstance(stages, list):
        values.refuse(("training", "stages"), stages, "a list of stages")
        return None
    steps = [ConfigValues(stage).whole("steps", least=1) if isinstance(stage, dict) else None for stage in stages]
    known = [one for one in steps if one is not None]
    if len(known) < len(steps):
        values.refuse(("training", "stages"), stages, "a list of stages with their steps")
        return None
    return sum(known)


PROGRAM = Program("mapush", _wrote, _describe)
