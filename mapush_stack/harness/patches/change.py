"""Applies and reverts patches: all files of all requested patches, or none.

Every new file is written beside the old one and synchronised to the disk before the first rename. After an error all
files have their old content. A kill between two renames leaves each file with one of its two known checksums: the
patch is then half applied, `verify` says so, `apply` completes it and `revert` takes it back.

Renames also leave other environments alone, whose files may be hard links to the same package cache.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Set

from filelock import FileLock, Timeout

from ...errors import UserError
from ...system.atomic import staged, sync
from . import manifest
from .state import PatchStatus, State, checksum, find, survey
from .unified_diff import apply

LOCK = ".mapush-patches.lock"
"""An empty file in the patched folder, which stays there."""
_TEMPORARY_PREFIX = ".mapush-patches-"


class _Rewrite(NamedTuple):
    """A file with its old and new bytes."""

    path: Path
    old: bytes
    new: bytes


def change(names: Sequence[str], goal: State, target: Optional[Path] = None) -> List[PatchStatus]:
    """Bring patches to `goal`, State.APPLIED or State.NOT_APPLIED; returns their statuses before.

    Args:
        names: patches; without names, every patch whose distribution is there.
        goal: the wanted state.
        target: a site-packages folder or a source tree; None for the distributions installed in this Python.

    Raises:
        UserError: a distribution is absent or unknown, another process is changing it, or a file cannot be written;
            nothing has been changed then.

    """
    statuses = _checked(names, target)
    if all(status.state is goal for status in statuses) and not _leftovers(statuses):
        return statuses
    try:
        with contextlib.ExitStack() as locks:
            for directory in sorted({str(status.directory) for status in statuses}):
                locks.enter_context(_locked(Path(directory)))
            statuses = _checked(names, target)  # again, now that no other process can change anything
            for leftover in _leftovers(statuses):
                leftover.unlink()
            _replace([rewrite for status in statuses for rewrite in _rewrites(status, goal)])
    except OSError as error:
        path = error.filename or target
        raise UserError(f"{path} cannot be written: {error.strerror}; nothing was changed") from None
    return statuses


def _checked(names: Sequence[str], target: Optional[Path]) -> List[PatchStatus]:
    """The statuses of patches; raises `UserError` for unknown files and for other patches that are half applied."""
    statuses = find(names, target)
    for status in statuses:
        if status.state is State.UNKNOWN:
            raise UserError(f"{status.problem}; nothing was changed")
    chosen = {status.patch.name for status in statuses}
    directories = {status.directory for status in statuses}
    for other in survey(manifest.load(), target):
        half = other.state is State.HALF_APPLIED and other.directory in directories
        if half and other.patch.name not in chosen:
            raise UserError(other.problem)
    return statuses


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    try:
        with FileLock(str(directory / LOCK), timeout=0):
            yield
    except Timeout:
        raise UserError(f"another process is patching {directory}; wait for it") from None


def _rewrites(status: PatchStatus, goal: State) -> Iterator[_Rewrite]:
    """The files that do not have the wanted state yet."""
    hunks = status.patch.hunks()
    forward = goal is State.APPLIED
    for path, file, state in zip(_paths(status), status.patch.files, status.files):
        if state is goal:
            continue
        old = path.read_bytes()
        try:
            new = apply(old, hunks[file.path] if forward else [hunk.reversed for hunk in hunks[file.path]])
        except ValueError:
            new = b""
        if checksum(new) != (file.after if forward else file.before):
            raise UserError(f"the diff of {status.patch.name} does not fit its manifest; install mapush_stack again")
        yield _Rewrite(path, old, new)


def _replace(rewrites: Sequence[_Rewrite]) -> None:
    """Give every file its new bytes; on an error, also on Ctrl-C, every file gets its old bytes back."""
    temporaries: List[Path] = []
    replaced: List[_Rewrite] = []
    try:
        for rewrite in rewrites:
            temporaries.append(staged(rewrite.path, rewrite.new, _TEMPORARY_PREFIX))
        for temporary, rewrite in zip(temporaries, rewrites):
            replaced.append(rewrite)
            temporary.replace(rewrite.path)
        for directory in {rewrite.path.parent for rewrite in rewrites}:
            sync(directory)
    except BaseException:
        _put_back(replaced)
        raise
    finally:
        for temporary in temporaries:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def _put_back(rewrites: Sequence[_Rewrite]) -> None:
    for rewrite in rewrites:
        try:
            staged(rewrite.path, rewrite.old, _TEMPORARY_PREFIX).replace(rewrite.path)
        except OSError as error:
            problem = f"{rewrite.path} could neither be kept nor put back: {error.strerror}"
            raise UserError(f"{problem}; see `mapush patches verify`") from None


def _paths(status: PatchStatus) -> List[Path]:
    """The files of a patch, where its distribution lies."""
    return [status.directory / file.path for file in status.patch.files] if status.directory else []


def _leftovers(statuses: Sequence[PatchStatus]) -> Set[Path]:
    """Temporary files of a process that was killed, or that is still running."""
    folders = {path.parent for status in statuses for path in _paths(status)}
    return {leftover for folder in folders for leftover in folder.glob(_TEMPORARY_PREFIX + "*")}
