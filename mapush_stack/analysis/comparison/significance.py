"""Conclusions about pairs of groups, from the scores of their seeds."""

from __future__ import annotations

import itertools
import math
from typing import List, Tuple

from ..run import LoggedRun
from . import statistics
from .model import Difference, Group, Score, Verdict
from .scores import by_seed

_MOST_SILENT = 3
"""Most pairs without a conclusion that are listed."""


def verdicts(
    runs: List[LoggedRun], groups: List[Group], scores: List[Score], differences: List[Difference]
) -> List[Verdict]:
    """A verdict on each pair of groups with the same task.

    By success, or by return unless their rewards differ. Runs of MAPush or HARL without a configuration may have other
    rewards.
    """
    rewards_differ = any("reward" in row.field.lower() for row in differences)
    silent = any(not run.config and not run.foreign for run in runs)
    units = ("share",) if rewards_differ or silent else ("share", "reward")
    usable = [score for score in scores if score.unit in units]
    return [
        _verdict(groups, usable, pair, all(runs[groups[at].runs[0]].foreign for at in pair))
        for pair in itertools.combinations(range(len(groups)), 2)
        if groups[pair[0]].task == groups[pair[1]].task
    ]


def sentences(found: List[Verdict]) -> List[str]:
    """What is concluded, the differences first; pairs without a conclusion are counted if there are many."""
    silent = [one.sentence for one in found if one.conclusion == "nothing"]
    if len(silent) > _MOST_SILENT:
        silent = [f"nothing can be concluded about {len(silent)} pairs of groups; the first: {silent[0]}"]
    ordered = sorted((one for one in found if one.conclusion != "nothing"), key=lambda one: one.conclusion != "apart")
    return [*(one.sentence for one in ordered), *silent]


def _verdict(groups: List[Group], scores: List[Score], pair: Tuple[int, int], foreign: bool) -> Verdict:
    """The verdict by the first score that both groups have."""
    a, b = (groups[index].name for index in pair)
    score = next((one for one in scores if all(one.by_group[index] is not None for index in pair)), None)
    if score is None:
        return Verdict(pair, "", None, "nothing", f"{a} and {b} have no score in common")
    one, other = (by_seed(groups[index], score.by_run) for index in pair)
    found = statistics.improvement([other], [one])
    conclusion = statistics.significant(found, (len(one), len(other)))
    seeds = f"{len(one)} and {len(other)} seeds"
    low, high = found.interval or (math.nan, math.nan)
    test = "" if found.p_value is None else f", Mann-Whitney p = {found.p_value:.2g}"
    figures = f"a seed of {b} beats one of {a} with probability {found.probability:.2f} [{low:.2f}, {high:.2f}]{test}"
    if conclusion == "nothing":
        sentence = (
            f"nothing can be concluded about {a} and {b}: {seeds} do not show how much results vary between seeds; "
            "train at least 3 of each, better 5"
        )
    elif conclusion == "apart":
        better, worse = (b, a) if found.probability > 0.5 else (a, b)
        sentence = f"by {score.name}, {better} is better than {worse}: {figures} ({seeds})"
    else:
        sentence = f"by {score.name}, {seeds} show no difference between {a} and {b}: {figures}"
    if foreign and groups[pair[0]].task is None and conclusion != "nothing":
        sentence = f"if both are of one task with one reward, which nothing says: {sentence}"
    return Verdict(pair, score.name, found, conclusion, sentence)
