"""A training as it is on the disk: this project's, HARL's, OpenRL's, or plain TensorBoard's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..errors import UserError
from . import evaluations, layouts, vocabulary
from .evaluations import Evaluation
from .events import Events, Series, read_folder, relative

__all__ = ["Evaluation", "LoggedRun", "Series", "read"]

_QUIET_SECONDS = 60.0
_QUIET_INTERVALS = 5.0
"""A run without a lock goes on unless it logged nothing for so long: seconds, and its usual intervals."""


class LoggedRun(NamedTuple):
    """What a run's folder says."""

    path: Path
    library: str
    """Whose layout it is: "mapush", "harl", "openrl" or "tensorboard"."""
    name: str
    task: Optional[str]
    algorithm: Optional[str]
    seed: Optional[int]
    config: Dict[str, Any]
    """Nested plain JSON, empty where there is none."""
    manifest: Dict[str, Any]
    """Where and with what the run was made, empty where it does not say."""
    series: Dict[str, Series]
    """By the tags of `vocabulary.yaml`, in its units."""
    unknown: Dict[str, Series]
    """Those that no rule maps, by their own tags."""
    missing: List[str]
    """Tags of the vocabulary that the run does not have."""
    derived: Dict[str, str]
    """Tags in `series` that the run did not log, and how they were computed from what it did."""
    evaluations: List[Evaluation]
    """Evaluated checkpoints, in the order of their steps."""
    checkpoints: List[Tuple[int, Path]]
    """(environment steps, path), in the order of their steps."""
    total_steps: Optional[int]
    """Environment steps that the run was to have, None where it does not say."""
    started: float
    """Unix seconds at which logging began, NaN without logs."""
    running: bool
    """Whether it is still being trained, as far as one can see."""
    problems: List[str]
    """What could not be read, a sentence each."""

    @property
    def steps(self) -> int:
        """Environment steps of the last record, without logs of the last checkpoint, 0 without either."""
        saved = self.checkpoints[-1][0] if self.checkpoints else 0
        return max((int(found.steps[-1]) for found in self._all()), default=saved)

    @property
    def last_logged(self) -> float:
        """Unix seconds of the last record, NaN without one."""
        return max((float(found.wall[-1]) for found in self._all()), default=float("nan"))

    def _all(self) -> List[Series]:
        return [*self.series.values(), *self.unknown.values()]


def read(path: Path) -> LoggedRun:
    """Read a run: its folder, its folder of logs, or one event file.

    What cannot be read is said in `problems`, and the rest is there. A record that is half written is no problem while
    the run goes on.

    Raises:
        UserError: there is nothing at `path`, or nothing in it that could be read.

    """
    path = Path(path)
    layout = layouts.find(path)
    logs, total_steps = _read_logs(layout)
    evaluated, unread = evaluations.read(layout.path, total_steps)
    translation = vocabulary.translate(logs.series, layout.library, layout.robots or 2)
    problems = [*layout.problems, *logs.problems, *unread, *translation.notes]
    if translation.needs_robots and layout.robots is None:
        problems.append(
            "nothing says how many robots there are, so two are assumed where a reward term is a sum over robots"
        )
    series = dict(translation.series)
    derived = _derive(series)
    held = layouts.is_locked(layout.path)
    running = held or (held is None and _goes_on(series, total_steps))
    if not running:
        problems += _half_written(logs.half_written, layout.path)
    if not (translation.series or translation.unknown or evaluated or layout.checkpoints or layout.config):
        raise UserError(f"nothing in {path} could be read: " + ("; ".join(problems) or _why_nothing(layout)))
    if not (translation.series or translation.unknown):
        problems.append("it has logged nothing yet" if running else _why_nothing(layout))
    return LoggedRun(
        path=layout.path,
        library=layout.library,
        name=layout.name,
        task=layout.task,
        algorithm=layout.algorithm,
        seed=layout.seed,
        config=layout.config,
        manifest=layout.manifest,
        series=series,
        unknown=translation.unknown,
        missing=[tag for tag in vocabulary.tags() if tag not in series],
        derived=derived,
        evaluations=evaluated,
        checkpoints=layout.checkpoints,
        total_steps=total_steps,
        started=logs.started,
        running=running,
        problems=problems,
    )


def _half_written(files: List[Path], folder: Path) -> List[str]:
    """Sentences for the files of a run that was killed while it wrote."""
    events = [file for file in files if layouts.is_event_file(file.name)]
    said = [
        f"{relative(file, folder)} ends in a half-written line, which is left out"
        for file in files
        if file not in events
    ]
    if events:
        which = f"{relative(events[0], folder)} ends" if len(events) == 1 else f"{len(events)} event files end"
        said.append(f"{which} in a half-written record: the run was killed while it wrote; what comes before is read")
    return said


def _why_nothing(layout: layouts.Layout) -> str:
    """Why a run that is over has no logged numbers, where nothing is damaged."""
    files = [file for found in layout.event_files.values() for file in found]
    if not files:
        return "it holds no logged numbers"
    sizes = [known.st_size for known in map(layouts.status, files) if known is not None]
    return "its event files hold no numbers" if any(sizes) else "it has only empty event files"


def _read_logs(layout: layouts.Layout) -> Tuple[Events, Optional[int]]:
    """The series of all folders with event files, with those of texts that know more; the run's steps if they say.

    Raises:
        UserError: the folders are those of several runs.

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
            # OpenRL and HARL have a folder for each tag, and one for each curve of a tag with several.
            series[tag if tag not in series else f"{tag}/{folder.name}"] = one
        half_written += found.half_written
        problems += found.problems
        if found.started == found.started:
            starts.append(found.started)
    if layout.library == "tensorboard":
        _refuse_several(owners, layout.path)
    total_steps = layout.total_steps
    for source in layout.texts:
        text = source(series)
        series.update(text.series)
        problems += text.problems
        half_written += text.half_written
        total_steps = total_steps or text.total_steps
        if text.started == text.started and not starts:
            starts.append(text.started)
    return Events(series, min(starts, default=float("nan")), half_written, problems), total_steps


def _refuse_several(owners: Dict[str, List[Path]], path: Path) -> None:
    """Refuse folders that log the same: nothing says that they are one run.

    Raises:
        UserError: they do.

    """
    tag, folders = max(owners.items(), key=lambda pair: len(pair[1]), default=("", []))
    if len(folders) > 1:
        shown = ", ".join(str(relative(folder, path)) for folder in folders[:3])
        raise UserError(
            f"{path} holds {len(folders)} runs, which all log {tag}; name those that are meant, such as {shown}"
        )


def _derive(series: Dict[str, Series]) -> Dict[str, str]:
    """Add what follows from what the run has; returns how, by tag."""
    derived = {}
    for tag, compute in (("average_step_reward", _sum_of_terms), ("perf/fps", _rate)):
        if tag not in series:
            found = compute(series)
            if found is not None:
                series[tag] = found
                derived[tag] = vocabulary.derivation(tag)
    return derived


def _sum_of_terms(series: Dict[str, Series]) -> Optional[Series]:
    """The reward of a robot in a control step, where every term was logged at the same steps."""
    terms = [found for tag, found in series.items() if tag.startswith("rewards/")]
    if not terms or any(not np.array_equal(terms[0].steps, term.steps) for term in terms):
        return None
    return terms[0]._replace(values=np.sum([term.values for term in terms], axis=0))


def _rate(series: Dict[str, Series]) -> Optional[Series]:
    """Environment steps per second between the records of the longest series."""
    longest = max(series.values(), key=lambda found: len(found.steps), default=None)
    if longest is None or len(longest.steps) < 2:
        return None
    seconds = np.diff(longest.wall)
    later = seconds > 0
    if not later.any():
        return None
    rates = np.diff(longest.steps)[later] / seconds[later]
    return Series(longest.steps[1:][later], longest.wall[1:][later], rates)


def _goes_on(series: Dict[str, Series], total_steps: Optional[int]) -> bool:
    """Whether a run without a lock is still being trained, by when it last logged something."""
    longest = max(series.values(), key=lambda found: len(found.steps), default=None)
    if longest is None or (total_steps is not None and int(longest.steps[-1]) >= total_steps):
        return False
    usual = float(np.median(np.diff(longest.wall))) if len(longest.wall) > 1 else 0.0
    return time.time() - float(longest.wall[-1]) < max(_QUIET_SECONDS, _QUIET_INTERVALS * usual)
