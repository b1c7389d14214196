"""Files of a run's folder."""

from __future__ import annotations

import fcntl
import json
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ...errors import UserError
from ...system import limits

CONFIG, MANIFEST, LOG, PROGRESS = "config.json", "manifest.json", "log.txt", "progress.txt"
MARKS = (CONFIG, LOG)
"""A run's folder has at least one of these files."""
_CHECKPOINT = re.compile(r"rl_model_(\d{1,15})_steps")
_CHECKPOINT_FOLDERS = ("models", "checkpoints")


def run_folder(path: Path) -> Path:
    """The run's folder, given that folder, its logs, or a folder with one run in it.

    Raises:
        UserError: there are several runs in it.

    """

    def marked(folder: Path) -> bool:
        return any((folder / name).is_file() for name in MARKS)

    if marked(path):
        return path
    if path.name == "logs" and marked(path.resolve().parent):
        return path.parent if path.parent.name else path.resolve().parent
    runs = [Path(folder) for folder, _, names in os.walk(str(path)) if any(name in names for name in MARKS)]
    if len(runs) > 1:
        shown = ", ".join(str(run.relative_to(path)) for run in sorted(runs)[:3])
        raise UserError(f"{path} holds {len(runs)} runs; give the folders of those you want, such as {shown}")
    return runs[0] if runs else path


def is_event_file(name: str) -> bool:
    """True if TensorBoard reads files of this name."""
    return "tfevents" in name or name.startswith("events")


def event_files(folder: Path) -> Dict[Path, List[Path]]:
    """The event files below a folder, by the folder that they are in."""
    found: Dict[Path, List[Path]] = {}
    for name, folders, files in os.walk(str(folder)):
        folders[:] = [one for one in folders if one not in _CHECKPOINT_FOLDERS and not one.startswith(".")]
        events = sorted(Path(name) / file for file in files if is_event_file(file))
        if events:
            found[Path(name)] = events
    return found


def find_checkpoints(folder: Path) -> List[Tuple[int, Path]]:
    """(environment steps, path) of a run's checkpoints, in the order of their steps."""
    paths = [path for parent in _CHECKPOINT_FOLDERS for path in (folder / parent).glob("rl_model_*_steps")]
    matches = [(_CHECKPOINT.fullmatch(path.name), path) for path in paths]
    return sorted((int(match.group(1)), path) for match, path in matches if match)


def log_sizes(folder: Path) -> List[Tuple[Path, int]]:
    """The sizes of a run's logs; they change when something is logged."""
    files = [file for found in event_files(folder).values() for file in found]
    files += [folder / name for name in (LOG, PROGRESS)]
    found = ((file, status(file)) for file in sorted(files))
    return [(file, known.st_size) for file, known in found if known is not None]


def status(file: Path) -> Optional[os.stat_result]:
    """Size and times of a file; None if it does not exist any more, or is a broken link."""
    try:
        return file.stat()
    except OSError:
        return None


def is_locked(folder: Path) -> Optional[bool]:
    """True if a process trains the run of this project in `folder`; None without a lock file."""
    try:
        descriptor = os.open(str(folder / ".lock"), os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for a writer
    except OSError:
        return None
    try:
        # A trainer holds the file exclusively (filelock). Shared locks of readers do not exclude each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def read_json(file: Path) -> Tuple[Dict[str, Any], List[str]]:
    """The JSON object in a file (empty if there is no file), and what is wrong with it."""
    if not file.exists():
        return {}, []
    try:
        content = limits.read_json(file)
    except UserError as error:
        return {}, [str(error)]
    if not isinstance(content, dict):
        return {}, [f"{file.name} does not hold a JSON object"]
    # JSON may hold half of a surrogate pair, which cannot be printed or written.
    clean: Dict[str, Any] = json.loads(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    return clean, []
