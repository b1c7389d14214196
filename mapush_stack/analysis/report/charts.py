"""The figures' data: what is drawn of which group, as plain JSON for the page's script."""

from __future__ import annotations

import math
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from ..compare import Comparison, Curve, hours
from ..diagnosis.facts import Facts
from ..evaluations import Evaluation
from ..run import LoggedRun, Series
from .decimate import decimate

_DIGITS = 5
"""Significant digits of what is drawn."""


class Figure(NamedTuple):
    """A figure over environment steps or hours."""

    name: str
    title: str
    unit: str
    tags: str
    """Regular expression of the whole tag."""
    panel: str = ""
    """The comparison's name of it, whose mean and quartiles are drawn of a group with several seeds."""
    limit: str = ""
    """Field of `Facts` that is drawn as a line across."""
    log: bool = False


FIGURES = (
    Figure("success", "Success rate in training", "share of episodes", "mapush/success_rate", "success in training"),
    Figure("reward", "Return of an episode", "reward", "train_episode_rewards", "episode return"),
    Figure("step-reward", "Reward of a control step", "reward", "average_step_reward", "reward per control step"),
    Figure("entropy", "Policy entropy", "nats", r"agent\d+/dist_entropy", "entropy"),
    Figure("deviation", "Policy standard deviation", "", r"agent\d+/action_std"),
    Figure("policy-loss", "Policy loss", "", r"agent\d+/policy_loss", "policy loss"),
    Figure("actor-gradient", "Actor gradient norm", "before clipping", r"agent\d+/actor_grad_norm",
           "actor gradient norm", "actor_limit"),
    Figure("kl", "KL divergence of an update", "nats", r"agent\d+/approx_kl"),
    Figure("clip", "Clipped samples", "share", r"agent\d+/clip_fraction"),
    Figure("value-loss", "Value loss", "", "critic/value_loss", "value loss", log=True),
    Figure("explained", "Variance explained by the critic", "share", "critic/explained_variance"),
    Figure("critic-gradient", "Critic gradient norm", "before clipping", "critic/critic_grad_norm",
           "critic gradient norm", "critic_limit"),
    Figure("fps", "Rate", "steps a second", "perf/fps", "speed"),
    Figure("memory", "Memory", "MiB", r"perf/(rss|vram)_mib"),
)  # fmt: skip


def charts(found: Comparison, facts: Sequence[Facts]) -> List[Dict[str, Any]]:
    """A chart for every figure of which a run has something."""
    drawn = [_chart(figure, found, facts) for figure in FIGURES]
    return [chart for chart in drawn if chart["lines"]]


def _chart(figure: Figure, found: Comparison, facts: Sequence[Facts]) -> Dict[str, Any]:
    lines: List[Dict[str, Any]] = []
    limits = set()
    for number, group in enumerate(found.groups):
        band = _band(figure, found, number) if len(group.runs) > 1 else None
        if band is not None:
            lines.append(band)
        for index in group.runs:
            own = _lines(figure, found, number, index)
            limit = getattr(facts[index], figure.limit) if figure.limit and own else None
            limits |= set() if limit is None else {limit}
            lines += [] if band is not None else own
    return {
        "name": figure.name,
        "title": figure.title,
        "unit": figure.unit,
        "log": figure.log and all(value is None or value > 0 for line in lines for value in line["y"]),
        "lines": lines,
        "limits": sorted(limits),
    }


def _band(figure: Figure, found: Comparison, number: int) -> Optional[Dict[str, Any]]:
    """Mean and quartiles over a group's seeds."""
    for panel in found.panels:
        curve = _of_group(panel.over_steps, number)
        if panel.name == figure.panel and curve is not None:
            timed = _of_group(panel.over_hours, number)
            drawn = {**_curve(curve), "hours": None if timed is None else _curve(timed)}
            return {**drawn, "group": number, "label": f"mean and quartiles of {curve.seeds} runs", "dash": 0}
    return None


def _of_group(curves: Sequence[Curve], number: int) -> Optional[Curve]:
    return next((curve for curve in curves if curve.group == number), None)


def _curve(curve: Curve) -> Dict[str, Any]:
    names = {"x": "x", "y": "mean", "low": "low", "high": "high"}
    return {name: _numbers(getattr(curve, field)) for name, field in names.items()}


def _lines(figure: Figure, found: Comparison, number: int, index: int) -> List[Dict[str, Any]]:
    """A run's own lines, one a network."""
    run = found.runs[index]
    tags = sorted(tag for tag in run.series if re.fullmatch(figure.tags, tag) and len(run.series[tag].steps))
    several = len(found.groups[number].runs) > 1
    lines = []
    for order, tag in enumerate(tags):
        parts = [found.labels[index].split(", ")[-1]] if several else []
        if len(tags) > 1:
            parts.append(tag.split("/")[0] if tag.startswith("agent") else tag.split("/")[-1])
        lines.append({**_line(run.series[tag], run), "group": number, "label": ", ".join(parts), "dash": order})
    return lines


def _line(series: Series, run: LoggedRun) -> Dict[str, Any]:
    points = decimate(series._replace(wall=hours(run, series)))
    line: Dict[str, Any] = {
        "x": [int(at) for at in points.steps],
        "h": _numbers(points.wall),
        "y": _numbers(points.values),
    }
    if points.low is not None:
        line["low"], line["high"] = _numbers(points.low), _numbers(points.high)
    return line


def endings(run: LoggedRun) -> List[Dict[str, Any]]:
    """How training episodes ended over the run: a line for each way that occurred, success first."""
    prefix = "mapush/cause/"
    found = {tag[len(prefix) :]: series for tag, series in run.series.items() if tag.startswith(prefix)}
    return [
        {**_line(found[cause], run), "label": cause.replace("_", " ")}
        for cause in sorted(found, key=lambda name: (name != "finished", name))
        if len(found[cause].steps) and np.nanmax(found[cause].values, initial=0) > 0
    ]


def reward_terms(run: LoggedRun) -> List[Dict[str, Any]]:
    """The reward terms over the run."""
    tags = sorted(tag for tag in run.series if tag.startswith("rewards/") and len(run.series[tag].steps))
    return [{**_line(run.series[tag], run), "label": tag.split("/", 1)[1].replace("_", " ")} for tag in tags]


def checkpoints(found: Comparison, evaluations: Sequence[Sequence[Evaluation]]) -> List[Dict[str, Any]]:
    """Success of each run's evaluated checkpoints, with its interval where it is known."""
    groups = {index: number for number, group in enumerate(found.groups) for index in group.runs}
    curves = []
    for index, evaluated in enumerate(evaluations):
        intervals = [one.success_interval or (None, None) for one in evaluated]
        if evaluated:
            curves.append(
                {
                    "group": groups[index],
                    "label": found.labels[index],
                    "x": [one.steps for one in evaluated],
                    "y": _numbers([one.success_rate for one in evaluated]),
                    "low": _numbers([low for low, _ in intervals]),
                    "high": _numbers([high for _, high in intervals]),
                    "episodes": [one.episodes for one in evaluated],
                }
            )
    return curves


def _numbers(values: Sequence[Any]) -> List[Optional[float]]:
    """Plain rounded numbers; None for what is not finite."""
    return [
        None if value is None or not math.isfinite(value) else float(f"{float(value):.{_DIGITS}g}") for value in values
    ]
