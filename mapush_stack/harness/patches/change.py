"""Applying and reverting: all files of all patches asked for, or none.

Every new file is written beside the old one and is on the disk before the first takes its place, by a rename. An error
puts back what had been replaced. A kill between two renames cannot be undone by anybody, but each file then has one of
its two known checksums, so the files are their own journal: the patch is *half applied*, `verify` and every other
change in that folder say so, and `apply` completes it as `revert` takes it back.

A rename also leaves other environments alone, whose files may be hard links to the same package cache.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Set

from filelock import FileLock, Timeout

from ...errors import UserError
from . import manifest
from .state import Finding, State, checksum, find, survey
from .unified_diff import apply

LOCK = ".mapush-patches.lock"
"""A file in the patched folder, empty, that stays there."""
_TEMPORARY_PREFIX = ".mapush-patches-"


class _Rewrite(NamedTuple):
    """A file and its bytes, old and new."""

    path: Path
    old: bytes
    new: bytes


def change(names: Sequence[str], goal: State, target: Optional[Path] = None) -> List[Finding]:
    """Bring patches to `goal`, State.APPLIED or State.NOT_APPLIED; returns what they were before.

    Args:
        names: patches; for none, every patch whose distribution is there.
        goal: what their files shall be.
        target: a site-packages folder or a source tree; for none, where this Python has the distributions.

    Raises:
        UserError: a distribution is absent or unknown, another process is at it, or a file cannot be written;
            nothing has been changed.

    """
    findings = find(names, target)
    _refuse_problems(findings, target)
    if all(finding.state is goal for finding in findings) and not _leftovers(findings):
        return findings
    try:
        with contextlib.ExitStack() as locks:
            for directory in sorted({str(finding.directory) for finding in findings}):
                locks.enter_context(_locked(Path(directory)))
            # Once more, now that nobody else can change anything.
            findings = find(names, target)
            _refuse_problems(findings, target)
            for leftover in _leftovers(findings):
                leftover.unlink()
            _replace([rewrite for finding in findings for rewrite in _rewrites(finding, goal)])
    except OSError as error:
        path = error.filename or target
        raise UserError(f"{path} cannot be written: {error.strerror}; nothing was changed") from None
    return findings


def _refuse_problems(findings: List[Finding], target: Optional[Path]) -> None:
    """Half-applied patches are welcome if they are among those to change; whatever else is wrong is refused."""
    for finding in findings:
        if finding.state is State.UNKNOWN:
            raise UserError(f"{finding.problem}; nothing was changed")
    chosen = {finding.patch.name for finding in findings}
    directories = {finding.directory for finding in findings}
    for finding in survey(manifest.load(), target):
        half = finding.state is State.HALF_APPLIED and finding.directory in directories
        if half and finding.patch.name not in chosen:
            raise UserError(finding.problem)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    try:
        with FileLock(str(directory / LOCK), timeout=0):
            yield
    except Timeout:
        raise UserError(f"another process is patching {directory}; wait for it") from None


def _rewrites(finding: Finding, goal: State) -> Iterator[_Rewrite]:
    """The files that are not yet what they shall be."""
    assert finding.directory is not None
    hunks = finding.patch.hunks()
    for file, state in zip(finding.patch.files, finding.files):
        if state is goal:
            continue
        path = finding.directory / file.path
        old = path.read_bytes()
        forward = goal is State.APPLIED
        try:
            new = apply(old, hunks[file.path] if forward else [hunk.reversed for hunk in hunks[file.path]])
        except ValueError:
            new = b""
        if checksum(new) != (file.after if forward else file.before):
            raise UserError(f"the diff of {finding.patch.name} does not fit its manifest; install mapush_stack again")
        yield _Rewrite(path, old, new)


def _replace(rewrites: Sequence[_Rewrite]) -> None:
    """Give every file its new bytes; on an error, also Ctrl-C, all have their old ones."""
    staged: List[Path] = []
    replaced: List[_Rewrite] = []
    try:
        for rewrite in rewrites:
            staged.append(_stage(rewrite.path, rewrite.new))
        for temporary, rewrite in zip(staged, rewrites):
            replaced.append(rewrite)
            temporary.replace(rewrite.path)
        for directory in {rewrite.path.parent for rewrite in rewrites}:
            _sync(directory)
    except BaseException:
        _put_back(replaced)
        raise
    finally:
        for temporary in staged:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def _put_back(rewrites: Sequence[_Rewrite]) -> None:
    for rewrite in rewrites:
        try:
            _stage(rewrite.path, rewrite.old).replace(rewrite.path)
        except OSError as error:
            problem = f"{rewrite.path} could neither be kept nor put back: {error.strerror}"
            raise UserError(f"{problem}; see `mapush patches verify`") from None


def _stage(path: Path, content: bytes) -> Path:
    """A file beside `path`, on the disk, with other bytes and the same mode and, where permitted, owner."""
    handle, name = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=str(path.parent))
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            shutil.copymode(str(path), name)
            with contextlib.suppress(PermissionError):
                os.chown(name, path.stat().st_uid, path.stat().st_gid)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink()
        raise
    return temporary


def _leftovers(findings: Sequence[Finding]) -> Set[Path]:
    """What a killed process had not yet put in place, or a running one has not."""
    folders = {
        finding.directory / file.path for finding in findings if finding.directory for file in finding.patch.files
    }
    return {leftover for file in folders for leftover in file.parent.glob(_TEMPORARY_PREFIX + "*")}


def _sync(directory: Path) -> None:
    descriptor = os.open(str(directory), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
