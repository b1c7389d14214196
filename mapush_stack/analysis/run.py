"""Reads a run and its logs: this project's, HARL's, OpenRL's or plain TensorBoard."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Tuple

import numpy as np

from ..errors import UserError
from . import axes, evaluations, layouts, metric_names
from .evaluations import Evaluation
from .events import Events, Series, longest, read_folder, relative
from .layouts import foreign, search
from .layouts.files import is_event_file, is_locked, status

__all__ = ["Evaluation", "LoggedRun", "Series", "read"]

_QUIET_SECONDS = 60.0
_QUIET_INTERVALS = 5.0
"""A run without a lock has ended if it logged nothing for longer than both of these.

An interval is the median time between two of its records.
"""


_ROUNDING = 0.01
"""Share by which a sum and its parts may differ as they are logged."""


_MOST_TAGS = 8
"""Most tags that a sentence lists."""


def printable(tag: str) -> str:
    """A tag without control characters, in at most 60 characters."""
    text = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in tag)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True)
class LoggedRun(layouts.Layout):
    """A run's folder with its logs."""

    series: Dict[str, Series] = field(default_factory=dict)
    """By the tags of `metric_names.yaml`, in its units."""
    unknown: Dict[str, Series] = field(default_factory=dict)
    """Series that no rule translates, by their own tags."""
    axis: str = axes.STEPS
    """What the steps of the series count, in the plural."""
    derived: Dict[str, str] = field(default_factory=dict)
    """Tags in `series` that were computed from other tags, and how."""
    evaluations: List[Evaluation] = field(default_factory=list)
    """Evaluated checkpoints, in the order of their steps."""
    started: float = float("nan")
    """Unix seconds at which logging began, NaN without logs."""
    running: bool = False
    """True if it is still being trained, as far as its files show."""

    @property
    def steps(self) -> int:
        """The step of the last record on `axis`, else of the last checkpoint, else 0."""
        saved = self.checkpoints[-1][0] if self.checkpoints else 0
        return max((int(one.steps[-1]) for one in (self.series or self.unknown).values()), default=saved)

    @property
    def last_logged(self) -> float:
        """Unix seconds of the last record, NaN if there is none."""
        logged = [*self.series.values(), *self.unknown.values()]
        return max((float(one.wall[-1]) for one in logged), default=float("nan"))

    @property
    def missing(self) -> List[str]:
        """Tags of `metric_names.yaml` that the run does not have."""
        return [tag for tag in metric_names.tags() if tag not in self.series]

    @property
    def unmapped(self) -> str:
        """A sentence that names the tags without a name of ours; empty if there are none."""
        names = [printable(tag) for tag in sorted(self.unknown) if tag not in self.series]
        more = f" and {len(names) - _MOST_TAGS} more" if len(names) > _MOST_TAGS else ""
        listed = ", ".join(names[:_MOST_TAGS]) + more
        return f"no rule reads these tags (--map TAG=NAME gives one a name of ours): {listed}" if names else ""

    def find(self, *tags: str) -> Optional[Series]:
        """The series of the first of `tags` that is logged; `agent#/...` is a mean over robots."""
        for tag in tags:
            if tag.startswith("agent#"):
                ending = tag[len("agent#") :]
                names = sorted(name for name in self.series if name.startswith("agent") and name.endswith(ending))
            else:
                names = [tag] if tag in self.series else []
            found = [self.series[name] for name in names if len(self.series[name].steps)]
            if found:
                return _mean(found)
        return None


def _mean(series: List[Series]) -> Optional[Series]:
    """The mean of several series at their common steps; None if they have none."""
    if len(series) == 1:
        return series[0]
    steps = series[0].steps
    for one in series[1:]:
        steps = np.intersect1d(steps, one.steps)
    if not len(steps):
        return None
    rows = [np.searchsorted(one.steps, steps) for one in series]
    values = np.mean([one.values[at] for one, at in zip(series, rows)], axis=0)
    return Series(steps, series[0].wall[rows[0]], values)


def read(path: Path, renamed: Optional[Mapping[str, str]] = None) -> LoggedRun:
    """Read a run: its folder, its folder of logs, or one event file.

    `renamed` maps tags of the log to ours. `problems` names what cannot be read; the rest is returned. A half-written
    record is no problem while the run is still training.

    Raises:
        UserError: there is nothing at `path`, or nothing in it that could be read.

    """
    path = Path(path)
    layout = layouts.find(path)
    logs, total_steps = _read_logs(layout)
    axis = axes.STEPS
    if layout.foreign:
        library, axis = metric_names.recognise(logs.series)
        layout = foreign.with_texts(replace(layout, library=library), logs.texts)
    placed = axes.put_on_axis(logs.series, axis, sure=not layout.foreign)
    evaluated, unread = evaluations.read(layout.path, total_steps)
    translated = metric_names.translate(placed.series, layout.library, layout.robots or 2, renamed or {})
    problems = [*layout.problems, *logs.problems, *unread, *placed.notes]
    problems += [
        f"--map {tag}={name}: it logs no such tag" for tag, name in (renamed or {}).items() if tag not in placed.series
    ]
    if placed.series and placed.name == axes.UNKNOWN:
        problems.append("nothing says what its steps count: environment steps, iterations or updates")
    elif placed.series and placed.name != axes.STEPS:
        problems.append(
            f"its steps are {layout.library}'s {placed.name} and not environment steps: they cannot be compared with "
            "those of other programs"
        )
    if translated.needs_robots and layout.robots is None:
        problems.append(
            "nothing says how many robots there are, so two are assumed where a reward term is a sum over robots"
        )
    series = dict(translated.series)
    logged_sum = translated.unknown.get("average_step_reward")
    if logged_sum is not None and layout.library == "openrl" and not _adds_up(logged_sum, placed.series, translated):
        series["average_step_reward"] = translated.unknown.pop("average_step_reward")
        problems.append(
            "average_step_reward is taken as it was logged: the reward terms that are known here do not add up to it"
        )
    derived = _derive(series, placed.name)
    held = is_locked(layout.path)
    running = held or (held is None and _goes_on(series, total_steps))
    if not running:
        problems += _half_written(logs.half_written, layout.path)
    logged = translated.series or translated.unknown
    if not (logged or evaluated or layout.checkpoints or layout.config):
        raise UserError(f"nothing in {path} could be read: " + ("; ".join(problems) or _why_nothing(layout)))
    if not logged:
        problems.append("it has logged nothing yet" if running else _why_nothing(layout))
    return LoggedRun(
        **{**vars(layout), "total_steps": total_steps, "problems": problems},
        series=series,
        unknown=translated.unknown,
        axis=placed.name,
        derived=derived,
        evaluations=evaluated,
        started=logs.started,
        running=running,
    )


def _adds_up(whole: Series, logged: Mapping[str, Series], translated: metric_names.Translated) -> bool:
    """True if a logged sum is that of the reward terms that have a name of ours."""
    terms = [logged[origin] for tag, origin in translated.origins.items() if tag.startswith("rewards/")]
    common = functools.reduce(np.intersect1d, [one.steps for one in (whole, *terms)])
    if not terms or not len(common):
        return False
    total, *parts = [one.values[np.searchsorted(one.steps, common)] for one in (whole, *terms)]
    return bool(np.median(np.abs(total - np.sum(parts, axis=0))) <= _ROUNDING * np.median(np.abs(total)) + 1e-9)


def _half_written(files: List[Path], folder: Path) -> List[str]:
    """Sentences about the files of a run that was killed while it wrote."""
    events = [file for file in files if is_event_file(file.name)]
    texts = [file for file in files if file not in events]
    problems = [f"{relative(file, folder)} ends in a half-written line, which is left out" for file in texts]
    if events:
        which = f"{relative(events[0], folder)} ends" if len(events) == 1 else f"{len(events)} event files end"
        problems.append(
            f"{which} in a half-written record: the run was killed while it wrote; what comes before is read"
        )
    return problems


def _why_nothing(layout: layouts.Layout) -> str:
    """Why a run has no logged numbers although nothing is damaged."""
    files = [file for found in layout.event_files.values() for file in found]
    if not files:
        return "it holds no logged numbers"
    sizes = [known.st_size for known in map(status, files) if known is not None]
    return "its event files hold no numbers" if any(sizes) else "it has only empty event files"


def _read_logs(layout: layouts.Layout) -> Tuple[Events, Optional[int]]:
    """The series of all event files and text logs, and the run's total steps if known."""
    series: Dict[str, Series] = {}
    half_written: List[Path] = []
    problems: List[str] = []
    texts: List[str] = []
    starts: List[float] = []
    for folder, files in sorted(layout.event_files.items()):
        found = read_folder(files, layout.path, layout.library == "mapush")
        for tag, one in found.series.items():
            if folder.name in search.WRITERS:
                series[f"{folder.name}/{tag}"] = one
            else:
                # OpenRL and HARL have a folder for each tag, or for each curve if a tag has several.
                series[tag if tag not in series else f"{tag}/{folder.name}"] = one
        half_written += found.half_written
        problems += [problem for problem in found.problems if problem not in problems]
        texts += found.texts
        if found.started == found.started:
            starts.append(found.started)
    total_steps = layout.total_steps
    for source in layout.text_logs:
        text = source(series)
        series.update(text.series)
        problems += text.problems
        half_written += text.half_written
        total_steps = total_steps or text.total_steps
        if text.started == text.started and not starts:
            starts.append(text.started)
    return Events(series, min(starts, default=float("nan")), half_written, problems, texts), total_steps


def _derive(series: Dict[str, Series], axis: str) -> Dict[str, str]:
    """Add tags that can be computed from others; returns how, by tag."""
    derived = {}
    for tag, compute in (("average_step_reward", _sum_of_terms), ("perf/fps", rate)):
        if tag not in series and (compute is not rate or axis == axes.STEPS):
            found = compute(series)
            if found is not None:
                series[tag] = found
                derived[tag] = metric_names.derivation(tag)
    return derived


def _sum_of_terms(series: Dict[str, Series]) -> Optional[Series]:
    """The reward of a robot in a control step, if every term was logged at the same steps."""
    terms = [one for tag, one in series.items() if tag.startswith("rewards/")]
    if not terms or any(not np.array_equal(terms[0].steps, term.steps) for term in terms):
        return None
    return terms[0]._replace(values=np.sum([term.values for term in terms], axis=0))


def rate(series: Dict[str, Series]) -> Optional[Series]:
    """Environment steps per second between the records of the longest series."""
    clock = longest(series)
    if clock is None or len(clock.steps) < 2:
        return None
    seconds = np.diff(clock.wall)
    later = seconds > 0
    if not later.any():
        return None
    return Series(clock.steps[1:][later], clock.wall[1:][later], np.diff(clock.steps)[later] / seconds[later])


def _goes_on(series: Dict[str, Series], total_steps: Optional[int]) -> bool:
    """True if a run without a lock is still being trained, by the time of its last record."""
    clock = longest(series)
    if clock is None or (total_steps is not None and int(clock.steps[-1]) >= total_steps):
        return False
    usual = float(np.median(np.diff(clock.wall))) if len(clock.wall) > 1 else 0.0
    return time.time() - float(clock.wall[-1]) < max(_QUIET_SECONDS, _QUIET_INTERVALS * usual)
