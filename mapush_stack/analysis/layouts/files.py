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


def is_event_file(name: str) -> bool:
    """True if TensorBoard reads files of this name."""
    return "tfevents" in name or name.startswith("events")


def find_checkpoints(folder: Path) -> List[Tuple[int, Path]]:
    """(environment steps, path) of a run's checkpoints, in the order of their steps."""
    paths = [path for parent in _CHECKPOINT_FOLDERS for path in (folder / parent).glob("rl_model_*_steps")]
    matches = [(_CHECKPOINT.fullmatch(path.name), path) for path in paths]
    return sorted((int(match.group(1)), path) for match, path in matches if match)


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
