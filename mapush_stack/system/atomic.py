"""Atomic writes: if the process is killed, the old content or the new one is there, never a part."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

TEMPORARY_PREFIX = ".writing-"
"""Start of the name of unfinished files and folders, which a killed process leaves."""


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary directory that becomes `path` at the end of the block, or is removed if that fails.

    All of it is synchronised to the disk before the rename.

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
    """Write JSON to `path` atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write text to `path` atomically."""
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
    """Delete unfinished files of killed processes in `folder`; only for the one process that may write there."""
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
