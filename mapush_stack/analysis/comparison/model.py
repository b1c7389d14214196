"""The data of a comparison of runs."""

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
    """One plain JSON value per group; "-" if a group has no such field."""
    meaning: str
    """What the field does; empty if it is not known."""


class Milestones(NamedTuple):
    """When a run first reached success rates."""

    run: int
    source: str
    """"evaluations" (of its checkpoints) or "training" (means of ten records)."""
    steps: Dict[float, Optional[int]]
    """Environment steps by threshold, None if it was not reached."""
    hours: Dict[float, Optional[float]]
    """Hours of training by threshold; None if it was not reached, or if the log has no times."""
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
    """Third quartile over seeds; the mean for a single seed."""
    seeds: int
    first: float
    """Mean over seeds of the first finite value that was logged."""
    last: float
    lowest: float
    """Smallest finite value that was logged, of all seeds."""
    highest: float


class Panel(NamedTuple):
    """A quantity on shared axes."""

    name: str
    unit: str
    over_steps: List[Curve]
    """x: what `Comparison.axis` says."""
    over_hours: List[Curve]
    """x: hours of training, without pauses."""


class Score(NamedTuple):
    """A number for each run, and its estimate over the seeds of each group."""

    name: str
    unit: str
    by_run: List[Optional[float]]
    by_group: List[Optional[Estimate]]
    """Interquartile mean with its bootstrap interval."""
    gaps: List[Optional[Estimate]]
    """Optimality gap of each group; None for scores without a best value."""


class Profile(NamedTuple):
    """Share of a group's seeds above each level of a score."""

    group: int
    levels: np.ndarray
    share: np.ndarray
    low: np.ndarray
    """95 % bootstrap interval."""
    high: np.ndarray


class Verdict(NamedTuple):
    """The conclusion about two groups."""

    groups: Tuple[int, int]
    score: str
    improvement: Optional[Improvement]
    """Probability that the second group beats the first; None without a common score."""
    conclusion: str
    """"nothing" (too few seeds), "apart" (they differ) or "alike" (no difference was shown)."""
    sentence: str


class Comparison(NamedTuple):
    """Everything that is shown about some runs."""

    runs: List[LoggedRun]
    labels: List[str]
    """A short name of each run."""
    groups: List[Group]
    differences: List[Difference]
    """Configuration fields that differ."""
    made_with: List[Difference]
    """Software and machines that differ."""
    milestones: List[Milestones]
    axis: str
    """What the steps of the runs count, in the plural."""
    panels: List[Panel]
    scores: List[Score]
    significance: List[Verdict]
    profiles: Dict[str, List[Profile]]
    """Performance profiles by the name of the score, if a group has several seeds."""
    notes: List[str]
    """Warnings: unreadable files, missing metrics, different tasks or lengths."""

    def group_of(self, run: int) -> int:
        """The index of a run's group."""
        return next(number for number, group in enumerate(self.groups) if run in group.runs)
