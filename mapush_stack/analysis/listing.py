"""Many runs at a glance: where each stands, without reading its logs."""

from __future__ import annotations

import math
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

from ..errors import UserError
from ..system.json_text import parse_json
from ..training.episode_window import EpisodeWindow
from . import evaluations, layouts
from .events import last_step

RUNNING, FINISHED, STOPPED, KILLED, WAITING, DAMAGED = "running", "finished", "stopped", "killed", "waiting", "damaged"
STATES = (RUNNING, WAITING, STOPPED, KILLED, DAMAGED, FINISHED)
"""In the order in which one wants to see them."""
_MARKS = ("config.json", "log.txt")
_NOT_ENTERED = ("models", "checkpoints", "logs", "wandb")
_QUIET_SECONDS = 60.0
"""A run without a lock that has logged nothing for so long is over."""

_NEARLY_ALL = 0.99
"""Other programs log every tenth update or so, and not the last one."""


class RunState(NamedTuple):
    """How far a run is."""

    name: str
    """RUNNING, FINISHED, STOPPED, KILLED, WAITING or DAMAGED."""
    how: str
    """What tells."""
    steps: int
    """Environment steps so far: those logged while it runs, else those of the last checkpoint."""


class Row(NamedTuple):
    """A run in the list."""

    path: Path
    library: str
    task: Optional[str]
    algorithm: Optional[str]
    seed: Optional[int]
    state: RunState
    total_steps: Optional[int]
    best_success: Optional[float]
    """The best success rate in training, over the checkpoints; one could take that checkpoint."""
    best_steps: Optional[int]
    """The checkpoint that had it."""
    evaluated_success: Optional[float]
    """The best success rate under the published protocol, over the evaluated checkpoints."""
    started: float
    """Unix seconds."""
    disk: int
    """Bytes."""
    problems: List[str]


def find(folder: Path) -> List[Path]:
    """Every run at or below a folder: this project's, HARL's, and OpenRL's.

    Raises:
        UserError: there is no such folder.

    """
    if not folder.is_dir():
        reason = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {reason}; give the folder that the runs are in, such as results")
    return sorted(_walk(folder))


def describe(path: Path) -> Row:
    """Where a run stands; what is wrong with it is a part of the answer."""
    files = list(_files(path))
    disk = sum(size for _, size, _ in files)
    newest = max((changed for _, _, changed in files), default=0.0)
    try:
        layout = layouts.find(path)
        # A folder that is a run's by its config.json alone is whatever wrote that; ours has a section learner.
        problems = list(layout.problems)
        if layout.library == "mapush" and layout.total_steps is None and not problems:
            problems.append("config.json does not say how many steps the run has")
        best_steps, best = _best(layout.checkpoints, problems)
        evaluated, unread = evaluations.read(path, layout.total_steps)
        state = RunState(DAMAGED, "", _saved(layout)) if problems else _state(layout, newest)
    except (UserError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())
        return Row(
            path, "", None, None, None, RunState(DAMAGED, reason, 0), None, None, None, None, newest, disk, [reason]
        )
    if problems:
        state = state._replace(how="; ".join(problems))
    return Row(
        path,
        layout.library,
        layout.task,
        layout.algorithm,
        layout.seed,
        state,
        layout.total_steps,
        best,
        best_steps,
        max((one.success_rate for one in evaluated), default=None),
        _started(layout, newest),
        disk,
        problems + unread,
    )


def newest(paths: List[Path]) -> Path:
    """The run that something was last written to."""
    return max(paths, key=lambda path: max((changed for _, _, changed in _files(path)), default=0.0))


def _walk(folder: Path) -> Iterator[Path]:
    for name, folders, files in os.walk(str(folder)):
        if any(mark in files for mark in _MARKS):
            folders.clear()
            yield Path(name)
        folders[:] = [one for one in folders if one not in _NOT_ENTERED and not one.startswith(".")]


def _files(folder: Path) -> Iterator[Tuple[str, int, float]]:
    """(name, bytes, time of the last change) of every file in a folder; those that vanish meanwhile are left out."""
    for name, _, files in os.walk(str(folder)):
        for file in files:
            try:
                status = Path(name, file).lstat()
            except OSError:
                continue
            yield file, status.st_size, status.st_mtime


def _state(layout: layouts.Layout, newest: float) -> RunState:
    saved, total = _saved(layout), layout.total_steps
    held = layouts.is_locked(layout.path)
    if held:
        return RunState(RUNNING, f"{_holder(layout.path)} holds its lock", max(saved, _logged(layout)))
    if total is not None and saved >= total:
        return RunState(FINISHED, "its last checkpoint has all steps", saved)
    if held is None and layout.library != "mapush":
        return _by_time(layout, newest)
    if held is None and not saved:
        return RunState(WAITING, "nobody has trained it yet", 0)
    holder = _holder(layout.path)
    if holder:
        return RunState(KILLED, f"{holder} ended without releasing its lock", saved)
    logged = _logged(layout)
    if logged > saved:
        return RunState(KILLED, f"it logged up to {logged:,} steps, past its last checkpoint", saved)
    return RunState(STOPPED, "its last checkpoint is where its logs end", saved)


def _by_time(layout: layouts.Layout, newest: float) -> RunState:
    """The state of another program's run, which has no lock."""
    steps = max(_saved(layout), _logged(layout))
    if layout.total_steps is not None and steps >= _NEARLY_ALL * layout.total_steps:
        return RunState(FINISHED, "its logs end with its last steps", steps)
    quiet = time.time() - newest
    if quiet < _QUIET_SECONDS:
        return RunState(RUNNING, f"something was written {quiet:.0f} s ago", steps)
    return RunState(STOPPED, "it has no lock, and nothing was written lately", steps)


def _holder(path: Path) -> str:
    """The process that took the lock and has not given it back; empty where there is none or the file is an old one."""
    try:
        plain = parse_json((path / ".lock").read_text(encoding="utf-8"))
        return f"process {plain['pid']} on {plain['host']}"
    except OSError:
        return ""
    except (ValueError, KeyError, TypeError):
        return "another process" if layouts.is_locked(path) else ""


def _saved(layout: layouts.Layout) -> int:
    return layout.checkpoints[-1][0] if layout.checkpoints else 0


def _logged(layout: layouts.Layout) -> int:
    """Environment steps of the last record. Of our own run only the newest file counts: a resumed one goes back."""
    files = _event_files(layout)
    if layout.library == "mapush":
        files = files[-1:]
    return max((last_step(file) or 0 for file in files), default=0)


def _event_files(layout: layouts.Layout) -> List[Path]:
    """The files that are there, the newest last; of a link to nothing `compare` and `watch` tell, which read it."""
    files = ((file, layouts.status(file)) for found in layout.event_files.values() for file in found)
    changed = [(known.st_mtime, file) for file, known in files if known is not None]
    return [file for _, file in sorted(changed)]


def _best(checkpoints: List[Tuple[int, Path]], problems: List[str]) -> Tuple[Optional[int], Optional[float]]:
    """(steps, success rate) of the checkpoint with the best success in training; a damaged one is a problem."""
    best: Tuple[Optional[int], Optional[float]] = (None, None)
    for steps, path in checkpoints:
        file = path / "progress.json"
        if not file.is_file():
            continue  # another program's
        try:
            success = _success(parse_json(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{path.name}/{file.name} is damaged: {' '.join(str(error).split())}")
            continue
        if success is not None and (best[1] is None or success > best[1]):
            best = (steps, success)
    return best


def _success(progress: Any) -> Optional[float]:
    """The success rate that was logged beside a checkpoint; None where no episode had ended, or nobody kept it."""
    if "recent" not in progress:
        return None  # those that come with the project
    window = EpisodeWindow()
    window.load_json(progress["recent"])
    success = window.metrics().get("mapush/success_rate")
    return success if success is None or math.isfinite(success) else None


def _started(layout: layouts.Layout, otherwise: float) -> float:
    text = layout.manifest.get("started")
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        pass
    files = (layouts.status(file) for file in [*_event_files(layout), layout.path / "config.json"])
    return min((known.st_mtime for known in files if known is not None), default=otherwise)
