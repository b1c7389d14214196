"""What a comparison of runs consists of."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..run import LoggedRun
from .statistics import Estimate, Improvement


class Group(NamedTuple):
    """Runs of one configuration, which differ in their seeds."""

    name: str
    runs: List[int]
    """Indices into `Comparison.runs`."""
    task: Optional[str]
    seeds: List[Optional[int]]


class Difference(NamedTuple):
    """A field that differs between groups."""

    field: str
    values: List[Any]
    """A value of each group as plain JSON; "-" for one without such a field."""
    meaning: str
    """What the field does; empty if it is not known."""


class Milestones(NamedTuple):
    """When a run first reached success rates."""

    run: int
    source: str
    """"evaluations" of its checkpoints, or success in "training" (mean of ten records)."""
    steps: Dict[float, Optional[int]]
    """Environment steps by threshold, None if it was not reached."""
    hours: Dict[float, Optional[float]]
    """Hours of training by threshold; None also if the log has no times."""
    best: float
    """The highest success rate."""


class Curve(NamedTuple):
    """A quantity of a group over steps or hours."""

    group: int
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    """First quartile over seeds; the mean for a single seed."""
    high: np.ndarray
    """Third quartile likewise."""
    seeds: int


class Panel(NamedTuple):
    """A quantity on shared axes."""

    name: str
    unit: str
    over_steps: List[Curve]
    """x: environment steps of 0.02 s."""
    over_hours: List[Curve]
    """x: hours of training, without pauses."""


class Score(NamedTuple):
    """A number for each run, and its estimate over the seeds of each group."""

    name: str
    unit: str
    by_run: List[Optional[float]]
    by_group: List[Optional[Estimate]]
    """Interquartile mean with its bootstrap interval."""


class Verdict(NamedTuple):
    """What two groups allow to conclude."""

    groups: Tuple[int, int]
    score: str
    improvement: Optional[Improvement]
    """Probability that a seed of the second group beats one of the first; None if they have no score in common."""
    conclusion: str
    """"nothing", "apart" or "alike"."""
    sentence: str


class Comparison(NamedTuple):
    """Everything there is to show about some runs."""

    runs: List[LoggedRun]
    labels: List[str]
    """A short name of each run."""
    groups: List[Group]
    differences: List[Difference]
    """Configuration fields that differ."""
    made_with: List[Difference]
    """Software and machines that differ."""
    milestones: List[Milestones]
    panels: List[Panel]
    scores: List[Score]
    significance: List[Verdict]
    notes: List[str]
    """What the reader must know: unreadable files, different tasks, missing metrics, different lengths."""

    def group_of(self, run: int) -> int:
        """The index of a run's group."""
        return next(number for number, group in enumerate(self.groups) if run in group.runs)
