"""The run as the checks see it."""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from ..run import LoggedRun, Series
from .curves import Part, quarters, scale
from .facts import Facts
from .rules import ChangeRule, Rules, Severity

REWARDS = ("average_step_reward", "train_episode_rewards")
"""What stands for the reward of a run; the first that is logged. The first episodes that end are the shortest ones, so
that the mean over ended episodes begins with the failures of bad starts; the reward of a step does not."""
SUCCESS = "mapush/success_rate"
_END = 0.1
"""Share of a run: what is not finite in all of its end cannot be judged there."""
_ENTROPY_OF_UNIT = 0.5 * np.log(2 * np.pi * np.e)
"""Of a Gaussian of deviation 1, nats a dimension."""


class NotJudgedError(Exception):
    """A check has nothing to look at; the message says what is missing."""


class Evidence(NamedTuple):
    """A number that was logged, or that follows from logged ones."""

    tag: str
    steps: int
    """Environment steps."""
    value: float


class Observed(NamedTuple):
    """What a check saw."""

    sentence: str
    evidence: List[Evidence]
    badness: float = 0.0
    """Of several networks the one with the most is told."""
    severity: Optional[Severity] = None
    """Instead of the rule's."""
    changes: Optional[List[ChangeRule]] = None
    """Instead of the rule's."""


class Measure(NamedTuple):
    """What a run's course is judged by."""

    tag: str
    parts: List[Part]
    """Its quarters."""
    size: float
    """What a change of it is compared with."""


class Subject(NamedTuple):
    """A run, what is known of it, and the rules."""

    run: LoggedRun
    facts: Facts
    rules: Rules

    def course(self, tag: str) -> Series:
        """The finite values of a tag, enough of them to judge a course.

        Raises:
            NotJudgedError: it is not logged, or too short.

        """
        series = self.run.series.get(tag)
        if series is None:
            raise NotJudgedError(f"{tag} is not logged")
        kept = series.finite()
        fewest = self.rules.fewest_points
        if len(kept.steps) < fewest or kept.steps[0] == kept.steps[-1]:
            raise NotJudgedError(f"{tag} has {len(kept.steps)} values; a course needs {fewest}")
        return kept

    def courses(self, pattern: str) -> Dict[str, Series]:
        """`course` of every tag that matches a whole pattern, which is a tag, or tags between `|`, with any numbers.

        Raises:
            NotJudgedError: there is none.

        """
        found, reasons = {}, []
        for tag in self.tags(pattern):
            try:
                found[tag] = self.course(tag)
            except NotJudgedError as reason:
                reasons.append(str(reason))
        if not found:
            raise NotJudgedError(reasons[0] if reasons else _not_logged(pattern))
        return found

    def tags(self, pattern: str) -> List[str]:
        """The logged tags that match a whole pattern, sorted."""
        return sorted(tag for tag in self.run.series if re.fullmatch(pattern, tag))

    def reward_tag(self) -> str:
        """The tag of what stands for the reward.

        Raises:
            NotJudgedError: nothing does.

        """
        for tag in REWARDS:
            if tag in self.run.series:
                return tag
        raise NotJudgedError(f"{REWARDS[0]} is not logged")

    def measure(self, tag: str) -> Measure:
        """A reward or success with its quarters.

        Raises:
            NotJudgedError: it is not logged, too short, or not finite at the end, where its loss would be seen.

        """
        series = self.course(tag)
        begin, end = self.run.series[tag].steps[[0, -1]]
        if series.steps[-1] < end - _END * (end - begin):
            raise NotJudgedError(f"{tag} is not finite after {steps(series.steps[-1])} steps")
        parts = quarters(series)
        return Measure(tag, parts, 1.0 if tag == SUCCESS else scale(parts))

    def measures(self) -> List[Measure]:
        """What the run's course is judged by: success, and the reward unless its scale changes on the way.

        Raises:
            NotJudgedError: neither is logged, one is too short, or the reward is not finite at the end.

        """
        if self.run.steps < self.rules.fewest_steps:
            fewest = steps(self.rules.fewest_steps)
            raise NotJudgedError(
                f"{steps(self.run.steps)} steps are few; the course of the reward is judged from {fewest} on"
            )
        found = [] if self.success() is None else [self.measure(SUCCESS)]
        if self.facts.staged and not found:
            raise NotJudgedError("the rewards' scale changes on the way, and success is not logged")
        if found and (self.facts.staged or not any(tag in self.run.series for tag in REWARDS)):
            return found
        return [*found, self.measure(self.reward_tag())]

    def action_size(self) -> int:
        """How many numbers an action has, over which an entropy sums.

        Raises:
            NotJudgedError: nothing says.

        """
        if self.facts.action_size is None:
            raise NotJudgedError("the number of action dimensions is not known")
        return self.facts.action_size

    def success(self) -> Optional[Series]:
        """The training's success rate; None where it is not logged or too short."""
        try:
            return self.course(SUCCESS)
        except NotJudgedError:
            return None

    def deviations(self) -> Dict[str, Series]:
        """The policies' standard deviation by the tag that it comes from: as logged, else as the entropy says.

        A diagonal Gaussian of D dimensions with entropy H has the (geometric mean) deviation exp(H / D - 1.419).

        Raises:
            NotJudgedError: neither is logged, or too short, or D is not known.

        """
        logged = self.tags(r"agent\d+/action_std")
        if logged:
            return self.courses(r"agent\d+/action_std")
        return {
            tag: Series(series.steps, series.wall, np.exp(series.values / self.action_size() - _ENTROPY_OF_UNIT))
            for tag, series in self.courses(r"agent\d+/dist_entropy").items()
        }

    def rewards(self) -> Iterator[Tuple[str, Series]]:
        """The logged reward terms by name, finite values only."""
        for tag in self.tags(r"rewards/.+"):
            kept = self.run.series[tag].finite()
            if len(kept.steps) >= self.rules.fewest_points:
                yield tag.split("/", 1)[1], kept


def worst(seen: List[Observed]) -> Optional[Observed]:
    """The one with the most badness."""
    return max(seen, key=lambda one: one.badness, default=None)


def number(value: float) -> str:
    """Four significant digits, thousands with commas."""
    if not np.isfinite(value):
        return str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def steps(count: float) -> str:
    """Environment steps as people write them: 950,000 or 99.1 M."""
    return f"{count / 1e6:.4g} M" if count >= 1e6 else f"{count:,.0f}"


def owner(tag: str) -> str:
    """Whose number a tag is: `agent0`, `the critic`."""
    name = tag.split("/", 1)[0]
    return "the critic" if name == "critic" else name


def _not_logged(pattern: str) -> str:
    names = pattern.replace(r"\d+", "0").split("|")
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not logged"
