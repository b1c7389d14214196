"""The run as the checks see it."""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from .. import axes
from ..run import LoggedRun, Series
from .rules import Rules, Severity
from .run_facts import _UNIT_ENTROPY, RunFacts
from .segments import Segment, quarters, scale

REWARDS = ("average_step_reward", "train_episode_rewards", "eval_average_episode_rewards")
"""Tags of a run's reward; the first that is logged is used.

The reward of a step is preferred: the mean over ended episodes begins with the shortest ones, which failed early.
"""
SUCCESS = "mapush/success_rate"
_END = 0.1
"""Last share of a run. A series without a finite value there is not judged."""


class NotJudgedError(Exception):
    """A check has no data; the message says what is missing."""


class Evidence(NamedTuple):
    """A logged number, or the mean or median of logged numbers up to `steps`."""

    tag: str
    steps: int
    """Environment steps."""
    value: float


class CheckResult(NamedTuple):
    """What a check found."""

    sentence: str
    evidence: List[Evidence]
    badness: float = 0.0
    """The result with the highest value is reported, for example of several networks."""
    severity: Optional[Severity] = None
    """Replaces the rule's severity, if given."""


class Objective(NamedTuple):
    """Success or a reward, by which the progress of a run is judged."""

    tag: str
    quarters: List[Segment]
    scale: float
    """The unit in which its changes are measured."""


class JudgedRun(NamedTuple):
    """A run, its facts, and the rules."""

    logged: LoggedRun
    facts: RunFacts
    rules: Rules

    def series(self, tag: str) -> Series:
        """The finite values of a tag, if there are enough of them to judge.

        Raises:
            NotJudgedError: it is not logged, or too short.

        """
        series = self.logged.series.get(tag)
        if series is None:
            raise NotJudgedError(f"{tag} is not logged")
        kept = series.finite()
        fewest = self.rules.fewest_points
        if len(kept.steps) < fewest or kept.steps[0] == kept.steps[-1]:
            raise NotJudgedError(f"{tag} has {len(kept.steps)} values; at least {fewest} are needed")
        return kept

    def all_series(self, pattern: str) -> Dict[str, Series]:
        """The series of every tag that fully matches a pattern of alternatives.

        Raises:
            NotJudgedError: there is none.

        """
        found, reasons = {}, []
        for tag in self.tags(pattern):
            try:
                found[tag] = self.series(tag)
            except NotJudgedError as reason:
                reasons.append(str(reason))
        if not found:
            names = pattern.replace(r"\d+", "0").split("|")
            not_logged = f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not logged"
            raise NotJudgedError(reasons[0] if reasons else not_logged)
        return found

    def tags(self, pattern: str) -> List[str]:
        """The logged tags that fully match a pattern, sorted."""
        return sorted(tag for tag in self.logged.series if re.fullmatch(pattern, tag))

    def reward_tag(self) -> str:
        """The tag of the run's reward.

        Raises:
            NotJudgedError: no reward is logged.

        """
        for tag in REWARDS:
            if tag in self.logged.series:
                return tag
        raise NotJudgedError(f"{REWARDS[0]} is not logged")

    def objective(self, tag: str) -> Objective:
        """Success or a reward with its quarters.

        Raises:
            NotJudgedError: it is not logged, too short, or not finite at the end.

        """
        series = self.series(tag)
        begin, end = self.logged.series[tag].steps[[0, -1]]
        if series.steps[-1] < end - _END * (end - begin):
            raise NotJudgedError(f"{tag} is not finite after {steps(series.steps[-1])} steps")
        parts = quarters(series)
        return Objective(tag, parts, 1.0 if tag == SUCCESS else scale(parts))

    def objectives(self) -> List[Objective]:
        """The quantities by which progress is judged: success and the reward.

        The reward is left out if its scale changes during the training (a curriculum).

        Raises:
            NotJudgedError: neither is logged, one is too short, or the reward is not finite at the end.

        """
        if self.logged.steps < self.rules.fewest_steps and self.logged.axis == axes.STEPS:
            fewest = steps(self.rules.fewest_steps)
            raise NotJudgedError(f"{steps(self.logged.steps)} steps are too few; progress is judged from {fewest} on")
        found = [] if self.success() is None else [self.objective(SUCCESS)]
        if self.facts.staged and not found:
            raise NotJudgedError("the rewards' scale changes during the training, and success is not logged")
        if found and (self.facts.staged or not any(tag in self.logged.series for tag in REWARDS)):
            return found
        return [*found, self.objective(self.reward_tag())]

    def action_size(self) -> int:
        """The number of action dimensions, over which the entropy is summed.

        Raises:
            NotJudgedError: it is not known.

        """
        if self.facts.action_size is None:
            raise NotJudgedError("the number of action dimensions is not known")
        return self.facts.action_size

    def saturation(self) -> float:
        """The |action| above which commands no longer grow.

        Raises:
            NotJudgedError: it is not known.

        """
        if self.facts.saturation is None:
            raise NotJudgedError("nothing says at which action commands saturate")
        return self.facts.saturation

    def success(self) -> Optional[Series]:
        """The success rate of the training, None if it is not logged or too short."""
        try:
            return self.series(SUCCESS)
        except NotJudgedError:
            return None

    def deviations(self) -> Dict[str, Series]:
        """The policies' standard deviations by tag: as logged, or computed from the entropy.

        A diagonal Gaussian of D dimensions with entropy H has the (geometric mean) deviation exp(H / D - 1.419).

        Raises:
            NotJudgedError: neither is logged, or too short, or D is not known.

        """
        if self.tags(r"agent\d+/action_std"):
            return self.all_series(r"agent\d+/action_std")
        return {
            tag: series._replace(values=np.exp(series.values / self.action_size() - _UNIT_ENTROPY))
            for tag, series in self.all_series(r"agent\d+/dist_entropy").items()
        }

    def reward_terms(self) -> Iterator[Tuple[str, Series]]:
        """The logged reward terms by name, finite values only."""
        for tag in self.tags(r"rewards/.+"):
            kept = self.logged.series[tag].finite()
            if len(kept.steps) >= self.rules.fewest_points:
                yield tag.split("/", 1)[1], kept

    def gradient_limit(self, tag: str) -> Optional[float]:
        """The configured gradient limit of the network that a tag names."""
        return self.facts.critic_limit if tag.startswith("critic/") else self.facts.actor_limit


def means(tag: str, *parts: Segment) -> List[Evidence]:
    """The means of segments as evidence."""
    return [Evidence(tag, one.last, one.mean) for one in parts]


def medians(tag: str, *parts: Segment) -> List[Evidence]:
    """The medians of segments as evidence."""
    return [Evidence(tag, one.last, one.median) for one in parts]


def value_at(tag: str, series: Series, index: int) -> Evidence:
    """A single value of a series as evidence."""
    return Evidence(tag, int(series.steps[index]), float(series.values[index]))


def number(value: float) -> str:
    """Four significant digits, thousands with commas."""
    if not np.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def steps(count: float) -> str:
    """Environment steps as people write them: 950,000 or 99.1 M."""
    return f"{count / 1e6:.4g} M" if count >= 1e6 else f"{count:,.0f}"


def owner(tag: str) -> str:
    """The network that a tag names: `agent0`, `the critic`."""
    name = tag.split("/", 1)[0]
    return "the critic" if name == "critic" else name
