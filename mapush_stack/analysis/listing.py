"""The state of many runs, without reading all of their logs."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from ..errors import UserError
from ..system.limits import read_json
from ..training.episode_window import PROGRESS, CheckpointProgress, EpisodeWindow
from . import evaluations, layouts
from .events import last_step
from .layouts import Layout, search
from .layouts.files import is_locked, status
from .layouts.search import Found

RUNNING, FINISHED, STOPPED, WAITING, DAMAGED = "running", "finished", "stopped", "waiting", "damaged"
KILLED, FAILED = "killed", "failed"
STATES = (RUNNING, WAITING, STOPPED, KILLED, FAILED, DAMAGED, FINISHED)
"""All states, in the order in which they are listed."""
_QUIET_SECONDS = 60.0
"""A run without a lock is over if nothing was written for this long."""
_NEARLY_ALL = 0.99
"""Share of the steps at which a run of another program counts as finished.

Other programs may not log their last update.
"""


class RunState(NamedTuple):
    """How far a run is."""

    name: str
    """One of STATES."""
    how: str
    """The evidence for the state."""
    steps: int
    """Environment steps so far: as logged while it runs, else of the last checkpoint."""


class Row(NamedTuple):
    """A run in the list."""

    run: Layout
    """Its `problems` also name damaged checkpoints and evaluations."""
    state: RunState
    best_success: Optional[float] = None
    """The best success rate in training over the checkpoints."""
    best_steps: Optional[int] = None
    """Environment steps of the checkpoint with `best_success`."""
    evaluated_success: Optional[float] = None
    """The best success rate under the published protocol over the evaluated checkpoints."""
    started: float = math.nan
    """Unix seconds."""
    disk: int = 0
    """Bytes."""

    def to_json(self) -> Dict[str, Any]:
        """Plain data with a field for each figure."""
        run, state, figures = self.run, self.state, self._asdict()
        del figures["run"], figures["state"]
        return {
            "path": str(run.path),
            **{name: getattr(run, name) for name in ("library", "task", "algorithm", "seed")},
            "state": state.name,
            "total_steps": run.total_steps,
            **figures,
            "problems": run.problems,
            "how": state.how,
            "steps": state.steps,
        }


def find(folder: Path) -> Found:
    """Every run at or below a folder, and the logs that lie above several runs.

    Raises:
        UserError: there is no such folder.

    """
    if not folder.is_dir():
        reason = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {reason}; give the folder that the runs are in, such as results")
    return search.find(folder)


def describe(path: Path) -> Row:
    """The row of a run; a damaged run has one too."""
    files = list(_files(path))
    disk = sum(size for size, _ in files)
    newest = max((changed for _, changed in files), default=0.0)
    try:
        layout = layouts.find(path)
        problems = list(layout.problems)
        # Any program may write a config.json. Ours has a section `learner`, and must say how many steps the run has.
        if layout.library == "mapush" and layout.total_steps is None and not problems:
            problems.append("config.json does not say how many steps the run has")
        best_steps, best = _best(layout.checkpoints, problems)
        evaluated, unread = evaluations.read(path, layout.total_steps)
        state = RunState(DAMAGED, "; ".join(problems), _saved(layout)) if problems else _state(layout, newest)
    except (UserError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())
        nothing = Layout(path, "", path.name, problems=[reason])
        return Row(nothing, RunState(DAMAGED, reason, 0), started=newest, disk=disk)
    return Row(
        replace(layout, path=path, problems=problems + unread),
        state,
        best,
        best_steps,
        max((one.success_rate for one in evaluated), default=None),
        _started(layout, newest),
        disk,
    )


def newest(paths: Iterable[Path]) -> Path:
    """The run in which a file was changed last."""
    return max(paths, key=lambda path: max((changed for _, changed in _files(path)), default=0.0))


def _files(folder: Path) -> Iterator[Tuple[int, float]]:
    """(bytes, time of the last change) of every file in a folder; skips deleted files."""
    for name, _, files in os.walk(str(folder)):
        for file in files:
            try:
                known = Path(name, file).lstat()
            except OSError:
                continue
            yield known.st_size, known.st_mtime


def _state(layout: Layout, newest: float) -> RunState:
    saved, total = _saved(layout), layout.total_steps
    held = is_locked(layout.path)
    holder, failure = _holder(layout.path)
    if held:
        return RunState(RUNNING, f"{holder or 'another process'} holds its lock", max(saved, _logged(layout)))
    if total is not None and saved >= total:
        return RunState(FINISHED, "its last checkpoint has all steps", saved)
    if held is None and layout.library != "mapush":
        return _by_time(layout, newest)
    if held is None and not saved:
        return RunState(WAITING, "nobody has trained it yet", 0)
    if failure:
        return RunState(FAILED, failure, saved)
    if holder:
        return RunState(KILLED, f"{holder} ended without releasing its lock", saved)
    logged = _logged(layout)
    if logged > saved:
        return RunState(KILLED, f"it logged up to {logged:,} steps, past its last checkpoint", saved)
    return RunState(STOPPED, "its last checkpoint is where its logs end", saved)


def _by_time(layout: Layout, newest: float) -> RunState:
    """The state of another program's run, which has no lock."""
    steps = max(_saved(layout), _logged(layout))
    if layout.total_steps is not None and steps >= _NEARLY_ALL * layout.total_steps:
        return RunState(FINISHED, "its logs end with its last steps", steps)
    quiet = time.time() - newest
    if quiet < _QUIET_SECONDS:
        return RunState(RUNNING, f"something was written {quiet:.0f} s ago", steps)
    return RunState(STOPPED, "it has no lock, and nothing was written lately", steps)


def _holder(path: Path) -> Tuple[str, str]:
    """The process named in the lock file, and why the last one failed; empty if the file does not say."""
    try:
        content = read_json(path / ".lock")
        failure = " ".join(str(content.get("failed", "")).split())
        return "" if failure else f"process {content['pid']} on {content['host']}", failure
    except (UserError, KeyError, TypeError, AttributeError):
        return "", ""


def _saved(layout: Layout) -> int:
    return layout.checkpoints[-1][0] if layout.checkpoints else 0


def _logged(layout: Layout) -> int:
    """Environment steps of the last record.

    For this project's runs only the newest file counts, because a resumed run goes back to its checkpoint.
    """
    files = _event_files(layout)
    if layout.library == "mapush":
        files = files[-1:]
    return max((last_step(file) or 0 for file in files), default=0)


def _event_files(layout: Layout) -> List[Path]:
    """The event files that exist, in the order of their names; broken links are left out."""
    files = sorted(file for found in layout.event_files.values() for file in found)
    return [file for file in files if status(file) is not None]


def _best(checkpoints: List[Tuple[int, Path]], problems: List[str]) -> Tuple[Optional[int], Optional[float]]:
    """(steps, success rate) of the checkpoint with the best success in training.

    A damaged checkpoint adds a sentence to `problems`.
    """
    best: Tuple[Optional[int], Optional[float]] = (None, None)
    for steps, path in checkpoints:
        file = path / "progress.json"
        if not file.exists():
            continue  # another program's
        try:
            success = _success(PROGRESS.read(file))
        except UserError as error:
            problems.append(str(error))
            continue
        if success is not None and (best[1] is None or success > best[1]):
            best = (steps, success)
    return best


def _success(progress: CheckpointProgress) -> Optional[float]:
    """The success rate in a checkpoint's progress.json; None if it has none."""
    if progress.recent is None:
        return None
    window = EpisodeWindow()
    window.load_json(progress.recent.model_dump())
    success = window.metrics().get("mapush/success_rate")
    return success if success is None or math.isfinite(success) else None


def _started(layout: Layout, otherwise: float) -> float:
    """Unix seconds at which a run started, by its manifest, else by its oldest file."""
    try:
        return datetime.strptime(str(layout.manifest.get("started")), "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        pass
    files = (status(file) for file in [*_event_files(layout), layout.path / "config.json"])
    return min((known.st_mtime for known in files if known is not None), default=otherwise)
