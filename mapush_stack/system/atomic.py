"""Atomic writes: if the process is killed, the old content or the new one is there, never a part."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Iterator

TEMPORARY_PREFIX = ".writing-"
"""Start of the name of unfinished files and folders, which a killed process leaves."""


@contextlib.contextmanager
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
            sync(file)
        sync(temporary)
        temporary.chmod(0o755)
        temporary.rename(path)
        sync(path.parent)
    except BaseException:
        shutil.rmtree(str(temporary), ignore_errors=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON to `path` atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write text to `path` atomically."""
    temporary = staged(path, content.encode("utf-8"))
    try:
        temporary.chmod(0o644)
        temporary.replace(path)
        sync(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def staged(path: Path, content: bytes, prefix: str = TEMPORARY_PREFIX) -> Path:
    """A new file beside `path` with this content, synchronised to the disk; renaming it replaces `path`.

    If `path` exists, it gets the same mode and, if permitted, the same owner.
    """
    handle, name = tempfile.mkstemp(prefix=prefix, dir=str(path.parent))
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if path.exists():
                shutil.copymode(str(path), name)
                with contextlib.suppress(PermissionError):
                    os.chown(name, path.stat().st_uid, path.stat().st_gid)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink()
        raise
    return temporary


def remove_leftovers(folder: Path) -> None:
    """Delete unfinished files of killed processes in `folder`; only for the one process that may write there."""
    for leftover in folder.glob(TEMPORARY_PREFIX + "*"):
        if leftover.is_dir():
            shutil.rmtree(str(leftover), ignore_errors=True)
        else:
            leftover.unlink()


def sync(path: Path) -> None:
    """Synchronise a file or a directory's entries to the disk."""
    descriptor = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
