"""Writing so that a kill at any instant leaves either the old or the new, never a half."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

TEMPORARY_PREFIX = ".writing-"
"""Start of the name of whatever a killed process may have left unfinished."""


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary directory that becomes `path` when the block ends well, and vanishes when it does not.

    Files and directory entries are on the disk before the rename is.

    Raises:
        OSError: `path` exists and is not empty.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=str(path.parent)))
    try:
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _sync(file)
        _sync(temporary)
        temporary.chmod(0o755)
        temporary.rename(path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(str(temporary), ignore_errors=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON to `path` by way of a temporary file."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write text to `path` by way of a temporary file."""
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=str(path.parent))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
        _sync(path.parent)
    except BaseException:
        Path(name).unlink()
        raise


def remove_leftovers(folder: Path) -> None:
    """Delete what killed writers left in `folder`; only for the one process that may write there."""
    for leftover in folder.glob(TEMPORARY_PREFIX + "*"):
        if leftover.is_dir():
            shutil.rmtree(str(leftover), ignore_errors=True)
        else:
            leftover.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
