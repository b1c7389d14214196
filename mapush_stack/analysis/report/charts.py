"""The data of the report's charts, as plain JSON for the page's script."""

from __future__ import annotations

import fnmatch
import math
import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..comparison.curves import hours
from ..comparison.model import Comparison, Curve
from ..diagnosis.run_facts import RunFacts
from ..evaluations import Evaluation
from ..run import LoggedRun, Series, printable
from .decimate import MOST_POINTS, decimate

_DIGITS = 5
"""Significant digits of what is drawn."""
_MOST_NUMBERS, _FEWEST_POINTS = 50_000, 100
"""Most points of all charts together, so that the file stays below 2 MB, but at least so many of a line."""
_MOST_RAW = 24
"""Most charts of tags without a name of ours."""


class ChartSpec(NamedTuple):
    """A chart over environment steps or hours."""

    name: str
    title: str
    unit: str
    tags: str
    """Regular expression of the whole tag."""
    panel: str = ""
    """The comparison's panel whose mean and quartiles are drawn for a group with several seeds."""
    raw: bool = False
    """True for the panel of a tag without a name of ours."""
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
              "actor gradient norm", limit="actor_limit"),
    ChartSpec("kl", "KL divergence of an update", "nats", r"agent\d+/approx_kl"),
    ChartSpec("clip", "Clipped samples", "share", r"agent\d+/clip_fraction"),
    ChartSpec("value-loss", "Value loss", "", "critic/value_loss", "value loss", log=True),
    ChartSpec("explained", "Variance explained by the critic", "share", "critic/explained_variance"),
    ChartSpec("critic-gradient", "Critic gradient norm", "before clipping", "critic/critic_grad_norm",
              "critic gradient norm", limit="critic_limit"),
    ChartSpec("fps", "Rate", "steps a second", "perf/fps", "speed"),
    ChartSpec("memory", "Memory", "MiB", r"perf/(rss|vram)_mib"),
)  # fmt: skip


def charts(found: Comparison, facts: Sequence[RunFacts], tags: Sequence[str]) -> List[Dict[str, Any]]:
    """The charts for which a run has data, and those of chosen tags without a name of ours."""
    chosen = (
        ChartSpec(f"tag-{number}", tag, "", re.escape(tag), tag, raw=True)
        for number, tag in enumerate(_raw(found, tags))
    )
    return _drawn([*CHARTS, *chosen], found, facts)


def other_charts(found: Comparison, facts: Sequence[RunFacts], tags: Sequence[str]) -> Tuple[List[Dict[str, Any]], int]:
    """The charts of the other tags without a name of ours, and how many more there are."""
    rest = [tag for tag in _raw(found, ["*"]) if tag not in _raw(found, tags)]
    shown = [
        ChartSpec(f"raw-{number}", tag, "", re.escape(tag), raw=True) for number, tag in enumerate(rest[:_MOST_RAW])
    ]
    return _drawn(shown, found, facts), max(len(rest) - _MOST_RAW, 0)


def _raw(found: Comparison, patterns: Sequence[str]) -> List[str]:
    tags = sorted({tag for run in found.runs for tag in run.unknown if tag not in run.series})
    return [tag for tag in tags if any(fnmatch.fnmatchcase(tag, one) or tag == one for one in patterns)]


def _drawn(specs: Sequence[ChartSpec], found: Comparison, facts: Sequence[RunFacts]) -> List[Dict[str, Any]]:
    lines = sum(bool(re.fullmatch(spec.tags, tag)) for spec in specs for run in found.runs for tag in run.series)
    most = int(np.clip(_MOST_NUMBERS // max(lines, 1), _FEWEST_POINTS, MOST_POINTS))
    drawn = [_chart(spec, found, facts, most) for spec in specs]
    return [chart for chart in drawn if chart["lines"]]


def profiles(found: Comparison) -> List[Dict[str, Any]]:
    """The performance profiles."""
    units = {score.name: score.unit for score in found.scores}
    names = {"x": "levels", "y": "share", "low": "low", "high": "high"}
    return [
        {
            "score": name,
            "unit": units[name],
            "lines": [
                {**{key: _numbers(getattr(one, field)) for key, field in names.items()}, "group": one.group}
                for one in profiles
            ],
        }
        for name, profiles in found.profiles.items()
    ]


def _chart(spec: ChartSpec, found: Comparison, facts: Sequence[RunFacts], most: int) -> Dict[str, Any]:
    lines: List[Dict[str, Any]] = []
    limits = set()
    for number, group in enumerate(found.groups):
        band = _band(spec, found, number) if len(group.runs) > 1 else None
        if band is not None:
            lines.append(band)
        for index in group.runs:
            own = _lines(spec, found, number, index, most)
            limit = getattr(facts[index], spec.limit) if spec.limit and own else None
            if limit is not None:
                limits.add(limit)
            if band is None:
                lines += own
    return {
        "name": spec.name,
        "title": printable(spec.title),
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


def _lines(spec: ChartSpec, found: Comparison, number: int, index: int, most: int) -> List[Dict[str, Any]]:
    """A run's own lines, one for each network."""
    run = found.runs[index]
    logged = run.unknown if spec.raw else run.series
    tags = sorted(tag for tag in logged if re.fullmatch(spec.tags, tag) and len(logged[tag].steps))
    several = len(found.groups[number].runs) > 1
    lines = []
    for order, tag in enumerate(tags):
        parts = [found.labels[index].split(", ")[-1]] if several else []
        if len(tags) > 1:
            parts.append(tag.split("/")[0] if tag.startswith("agent") else tag.split("/")[-1])
        lines.append({**_line(logged[tag], run, most), "group": number, "label": ", ".join(parts), "dash": order})
    return lines


def _line(series: Series, run: LoggedRun, most: int = MOST_POINTS) -> Dict[str, Any]:
    points = decimate(series._replace(wall=hours(run, series)), most)
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
