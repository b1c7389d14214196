"""The data of the report's charts, as plain JSON for the page's script."""

from __future__ import annotations

import math
import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

import numpy as np

from ..comparison.curves import hours
from ..comparison.model import Comparison, Curve
from ..diagnosis.run_facts import RunFacts
from ..evaluations import Evaluation
from ..run import LoggedRun, Series
from .decimate import decimate

_DIGITS = 5
"""Significant digits of what is drawn."""


class ChartSpec(NamedTuple):
    """A chart over environment steps or hours."""

    name: str
    title: str
    unit: str
    tags: str
    """Regular expression of the whole tag."""
    panel: str = ""
    """The comparison's panel whose mean and quartiles are drawn for a group with several seeds."""
    limit: str = ""
    """Field of `RunFacts` that is drawn as a horizontal line."""
    log: bool = False


CHARTS = (
    ChartSpec("success", "Success rate in training", "share of episodes", "mapush/success_rate", "success in training"),
    ChartSpec("reward", "Return of an episode", "reward", "train_episode_rewards", "episode return"),
    ChartSpec("step-reward", "Reward of a control step", "reward", "average_step_reward", "reward per control step"),
    ChartSpec("entropy", "Policy entropy", "nats", r"agent\d+/dist_entropy", "entropy"),
    ChartSpec("deviation", "Policy standard deviation", "", r"agent\d+/action_std"),
    ChartSpec("policy-loss", "Policy loss", "", r"agent\d+/policy_loss", "policy loss"),
    ChartSpec("actor-gradient", "Actor gradient norm", "before clipping", r"agent\d+/actor_grad_norm",
              "actor gradient norm", "actor_limit"),
    ChartSpec("kl", "KL divergence of an update", "nats", r"agent\d+/approx_kl"),
    ChartSpec("clip", "Clipped samples", "share", r"agent\d+/clip_fraction"),
    ChartSpec("value-loss", "Value loss", "", "critic/value_loss", "value loss", log=True),
    ChartSpec("explained", "Variance explained by the critic", "share", "critic/explained_variance"),
    ChartSpec("critic-gradient", "Critic gradient norm", "before clipping", "critic/critic_grad_norm",
              "critic gradient norm", "critic_limit"),
    ChartSpec("fps", "Rate", "steps a second", "perf/fps", "speed"),
    ChartSpec("memory", "Memory", "MiB", r"perf/(rss|vram)_mib"),
)  # fmt: skip


def charts(found: Comparison, facts: Sequence[RunFacts]) -> List[Dict[str, Any]]:
    """The charts for which a run has data."""
    drawn = [_chart(spec, found, facts) for spec in CHARTS]
    return [chart for chart in drawn if chart["lines"]]


def _chart(spec: ChartSpec, found: Comparison, facts: Sequence[RunFacts]) -> Dict[str, Any]:
    lines: List[Dict[str, Any]] = []
    limits = set()
    for number, group in enumerate(found.groups):
        band = _band(spec, found, number) if len(group.runs) > 1 else None
        if band is not None:
            lines.append(band)
        for index in group.runs:
            own = _lines(spec, found, number, index)
            limit = getattr(facts[index], spec.limit) if spec.limit and own else None
            if limit is not None:
                limits.add(limit)
            if band is None:
                lines += own
    return {
        "name": spec.name,
        "title": spec.title,
        "unit": spec.unit,
        "log": spec.log and all(value is None or value > 0 for line in lines for value in line["y"]),
        "lines": lines,
        "limits": sorted(limits),
    }


def _band(spec: ChartSpec, found: Comparison, number: int) -> Optional[Dict[str, Any]]:
    """Mean and quartiles over a group's seeds."""
    for panel in found.panels:
        if panel.name == spec.panel:
            over_steps, over_hours = (
                next((curve for curve in curves if curve.group == number), None)
                for curves in (panel.over_steps, panel.over_hours)
            )
            if over_steps is not None:
                drawn = {**_curve(over_steps), "hours": None if over_hours is None else _curve(over_hours)}
                label = f"mean and quartiles of {over_steps.seeds} runs"
                return {**drawn, "group": number, "label": label, "dash": 0}
    return None


def _curve(curve: Curve) -> Dict[str, Any]:
    names = {"x": "x", "y": "mean", "low": "low", "high": "high"}
    return {name: _numbers(getattr(curve, field)) for name, field in names.items()}


def _lines(spec: ChartSpec, found: Comparison, number: int, index: int) -> List[Dict[str, Any]]:
    """A run's own lines, one for each network."""
    run = found.runs[index]
    tags = sorted(tag for tag in run.series if re.fullmatch(spec.tags, tag) and len(run.series[tag].steps))
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
    if points.low is not None and points.high is not None:
        line["low"], line["high"] = _numbers(points.low), _numbers(points.high)
    return line


def endings(run: LoggedRun) -> List[Dict[str, Any]]:
    """How training episodes ended: a line for each cause that occurred, success first."""
    prefix = "mapush/cause/"
    found = {tag[len(prefix) :]: series for tag, series in run.series.items() if tag.startswith(prefix)}
    return [
        {**_line(found[cause], run), "label": cause.replace("_", " ")}
        for cause in sorted(found, key=lambda name: (name != "finished", name))
        if len(found[cause].steps) and np.nanmax(found[cause].values, initial=0) > 0
    ]


def reward_terms(run: LoggedRun) -> List[Dict[str, Any]]:
    """A line for each reward term."""
    tags = sorted(tag for tag in run.series if tag.startswith("rewards/") and len(run.series[tag].steps))
    return [{**_line(run.series[tag], run), "label": tag.split("/", 1)[1].replace("_", " ")} for tag in tags]


def checkpoints(found: Comparison, evaluations: Sequence[Sequence[Evaluation]]) -> List[Dict[str, Any]]:
    """Success of each run's evaluated checkpoints, with its interval if it is known."""
    curves = []
    for index, evaluated in enumerate(evaluations):
        intervals = [one.success_interval or (None, None) for one in evaluated]
        if evaluated:
            curves.append(
                {
                    "group": found.group_of(index),
                    "label": found.labels[index],
                    "x": [one.steps for one in evaluated],
                    "y": _numbers([one.success_rate for one in evaluated]),
                    "low": _numbers([low for low, _ in intervals]),
                    "high": _numbers([high for _, high in intervals]),
                    "episodes": [one.episodes for one in evaluated],
                }
            )
    return curves


def _numbers(values: Iterable[Optional[float]]) -> List[Optional[float]]:
    """Plain rounded numbers; None for NaN and infinity."""
    return [
        None if value is None or not math.isfinite(value) else float(f"{float(value):.{_DIGITS}g}") for value in values
    ]
