"""Atomic writes: if the process is killed, the old content or the new one is there, never a part."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence

from ..errors import UserError

TEMPORARY_PREFIX = ".writing-"
"""Start of the name of unfinished folders.

Their process has a lock (`flock`) on them. What a killed process has left is removed with the next write beside it.
"""


@contextlib.contextmanager
def scratch_directory(folder: Path) -> Iterator[Path]:
    """A temporary directory in `folder`; it is removed at the end of the block, unless it was renamed."""
    remove_leftovers(folder)
    lock, temporary = None, folder
    while lock is None:  # another process may remove it before it has its lock
        temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=str(folder)))
        lock = _lock(temporary)
    try:
        yield temporary
    finally:
        shutil.rmtree(str(temporary), ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary directory that becomes `path` at the end of the block, or is removed if that fails.

    All of it is synchronised to the disk before the rename.

    Raises:
        OSError: it cannot be written, or `path` exists and is not empty.

    """
    with errors_name(path), scratch_directory(path.parent) as temporary:
        yield temporary
        for file in sorted(temporary.rglob("*")):
            sync(file)
        sync(temporary)
        temporary.chmod(0o755)
        temporary.rename(path)
        sync(path.parent)


@contextlib.contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Within the block, every `OSError` names `path` as its file, and not a temporary one or none."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def check_writable(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse a file for results that could not be written at the end.

    Raises:
        UserError: it has another suffix, or its folder is missing or not writable.

    """
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{path} must end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: {path.parent} is not a folder")
    if path.is_dir() or not os.access(str(path.parent), os.W_OK):
        raise UserError(f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'permission denied'}")


def write_json(path: Path, content: Any) -> None:
    """Write JSON to `path` atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write text to `path` atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes to `path` atomically."""
    with errors_name(path), scratch_directory(path.parent) as folder:
        temporary = staged(path, content, folder=folder)
        temporary.chmod(0o644)
        temporary.replace(path)
        sync(path.parent)


def staged(path: Path, content: bytes, prefix: str = "", folder: Optional[Path] = None) -> Path:
    """A new file with this content, synchronised to the disk; renaming it replaces `path`.

    It is in `folder`, or else beside `path`. If `path` exists, it gets the same mode and, if permitted, the same owner.
    """
    handle, name = tempfile.mkstemp(prefix=prefix, dir=str(folder or path.parent))
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
    """Delete unfinished files of killed processes in `folder`; those of running processes stay."""
    with contextlib.suppress(OSError):
        for leftover in folder.glob(TEMPORARY_PREFIX + "*"):
            lock = _lock(leftover, else_keep=True)
            if lock is not None:
                if leftover.is_dir():
                    shutil.rmtree(str(leftover), ignore_errors=True)
                else:
                    leftover.unlink()  # of an older version
                os.close(lock)


def _lock(path: Path, else_keep: bool = False) -> Optional[int]:
    """Lock a file or folder for this process; returns its descriptor, None if it is gone or another process has it.

    Where a file system has no such locks: the descriptor without a lock, or None with `else_keep`.
    """
    try:
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = path.exists()
    except BlockingIOError:
        held = False
    except OSError:
        held = not else_keep
    if held:
        return descriptor
    os.close(descriptor)
    return None


def sync(path: Path) -> None:
    """Synchronise a file or a directory's entries to the disk."""
    descriptor = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
