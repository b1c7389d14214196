"""Reads a run and its logs: this project's, HARL's, OpenRL's or plain TensorBoard."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from ..errors import UserError
from . import evaluations, layouts, metric_names
from .evaluations import Evaluation
from .events import Events, Series, longest, read_folder, relative
from .layouts.files import is_event_file, is_locked, status

__all__ = ["Evaluation", "LoggedRun", "Series", "read"]

_QUIET_SECONDS = 60.0
_QUIET_INTERVALS = 5.0
"""A run without a lock has ended if it logged nothing for longer than both of these.

An interval is the median time between two of its records.
"""


@dataclass(frozen=True)
class LoggedRun(layouts.Layout):
    """A run's folder with its logs."""

    series: Dict[str, Series] = field(default_factory=dict)
    """By the tags of `metric_names.yaml`, in its units."""
    unknown: Dict[str, Series] = field(default_factory=dict)
    """Series that no rule translates, by their own tags."""
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
        """Environment steps of the last record, else of the last checkpoint, else 0."""
        saved = self.checkpoints[-1][0] if self.checkpoints else 0
        return max((int(one.steps[-1]) for one in self._all()), default=saved)

    @property
    def last_logged(self) -> float:
        """Unix seconds of the last record, NaN if there is none."""
        return max((float(one.wall[-1]) for one in self._all()), default=float("nan"))

    @property
    def missing(self) -> List[str]:
        """Tags of `metric_names.yaml` that the run does not have."""
        return [tag for tag in metric_names.tags() if tag not in self.series]

    def _all(self) -> List[Series]:
        return [*self.series.values(), *self.unknown.values()]

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


def read(path: Path) -> LoggedRun:
    """Read a run: its folder, its folder of logs, or one event file.

    `problems` names what cannot be read; the rest is returned. A half-written record is no problem while the run is
    still training.

    Raises:
        UserError: there is nothing at `path`, or nothing in it that could be read.

    """
    path = Path(path)
    layout = layouts.find(path)
    logs, total_steps = _read_logs(layout)
    evaluated, unread = evaluations.read(layout.path, total_steps)
    translated = metric_names.translate(logs.series, layout.library, layout.robots or 2)
    problems = [*layout.problems, *logs.problems, *unread, *translated.notes]
    if translated.needs_robots and layout.robots is None:
        problems.append(
            "nothing says how many robots there are, so two are assumed where a reward term is a sum over robots"
        )
    series = dict(translated.series)
    derived = _derive(series)
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
        derived=derived,
        evaluations=evaluated,
        started=logs.started,
        running=running,
    )


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
    """The series of all event files and text logs, and the run's total steps if known.

    Raises:
        UserError: the folders belong to several runs.

    """
    series: Dict[str, Series] = {}
    half_written: List[Path] = []
    problems: List[str] = []
    starts: List[float] = []
    owners: Dict[str, List[Path]] = {}
    for folder, files in sorted(layout.event_files.items()):
        found = read_folder(files, layout.path)
        for tag, one in found.series.items():
            owners.setdefault(tag, []).append(folder)
            # OpenRL and HARL have a folder for each tag, or for each curve if a tag has several.
            series[tag if tag not in series else f"{tag}/{folder.name}"] = one
        half_written += found.half_written
        problems += found.problems
        if found.started == found.started:
            starts.append(found.started)
    if layout.library == "tensorboard":
        _refuse_several(owners, layout.path)
    total_steps = layout.total_steps
    for source in layout.text_logs:
        text = source(series)
        series.update(text.series)
        problems += text.problems
        half_written += text.half_written
        total_steps = total_steps or text.total_steps
        if text.started == text.started and not starts:
            starts.append(text.started)
    return Events(series, min(starts, default=float("nan")), half_written, problems), total_steps


def _refuse_several(owners: Dict[str, List[Path]], path: Path) -> None:
    """Raise an error if folders log the same tag, because they may be different runs.

    Raises:
        UserError: there are such folders.

    """
    tag, folders = max(owners.items(), key=lambda pair: len(pair[1]), default=("", []))
    if len(folders) > 1:
        shown = ", ".join(str(relative(folder, path)) for folder in folders[:3])
        raise UserError(
            f"{path} holds {len(folders)} runs, which all log {tag}; "
            f"give the folders of those you want, such as {shown}"
        )


def _derive(series: Dict[str, Series]) -> Dict[str, str]:
    """Add tags that can be computed from others; returns how, by tag."""
    derived = {}
    for tag, compute in (("average_step_reward", _sum_of_terms), ("perf/fps", _rate)):
        if tag not in series:
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


def _rate(series: Dict[str, Series]) -> Optional[Series]:
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
