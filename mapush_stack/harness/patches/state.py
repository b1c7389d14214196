"""Finds installed distributions and the states of their files; only reads files, and imports none of them."""

from __future__ import annotations

import hashlib
import json
import shlex
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence
from urllib.parse import urlparse
from urllib.request import url2pathname

from ...errors import UserError
from ...system.limits import read_bytes
from .manifest import Patch, PatchedFile, select


class State(str, Enum):
    """The state of a file or of a whole patch."""

    APPLIED = "applied"
    NOT_APPLIED = "not applied"
    HALF_APPLIED = "half applied"
    """Some files are patched and others are not, because a process was killed in between."""
    UNKNOWN = "unknown"
    """A file is missing, or has neither of its checksums: it was edited or is of another version."""
    ABSENT = "absent"
    """The distribution is not installed."""


class PatchStatus(NamedTuple):
    """A patch and the state of its files in one folder."""

    patch: Patch
    directory: Optional[Path]
    """The site-packages folder or source tree; None if none is known."""
    state: State
    problem: str
    """What is wrong and what to do; empty if the patch is applied or not applied."""
    files: List[State]
    """In the order of `patch.files`; empty if the distribution is absent."""


def survey(patches: Sequence[Patch], target: Optional[Path] = None) -> List[PatchStatus]:
    """The status of each patch in `target`, or in the distribution installed in this Python.

    Raises:
        UserError: `target` is not a folder, or a file in it cannot be read.

    """
    if target is not None and not target.is_dir():
        raise UserError(f"{target} is not a folder; give --target a site-packages folder or a source tree")
    where = None if target is None else target.resolve()
    return [_inspect(patch, where or installed(patch.distribution)) for patch in patches]


def find(names: Sequence[str], target: Optional[Path] = None) -> List[PatchStatus]:
    """The status of the named patches; without names, of those whose distribution is there.

    Raises:
        UserError: there is no such patch, or a distribution that is asked for is absent.

    """
    statuses = survey(select(names), target)
    absent = [status for status in statuses if status.state is State.ABSENT]
    if names and absent:
        raise UserError(absent[0].problem)
    if len(absent) == len(statuses):
        known = " or ".join(dict.fromkeys(status.patch.distribution for status in statuses))
        where = "is installed in this Python" if target is None else f"is in {target}"
        raise UserError(f"no {known} {where}; give the folder that holds its packages as --target")
    return [status for status in statuses if status.state is not State.ABSENT]


def installed(distribution: str) -> Optional[Path]:
    """The folder with the packages of an installed distribution; None if it is not installed."""
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    # PEP 610: an editable installation has its files elsewhere.
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return Path(url2pathname(urlparse(origin["url"]).path)).resolve()
    return Path(str(found.locate_file(""))).resolve()


def checksum(content: bytes) -> str:
    """The sha256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _inspect(patch: Patch, directory: Optional[Path]) -> PatchStatus:
    if directory is None:
        problem = f"{patch.distribution} is not installed in this Python; give the folder that holds it as --target"
        return PatchStatus(patch, None, State.ABSENT, problem, [])
    if not any((directory / package).is_dir() for package in patch.packages):
        problem = f"{directory} does not hold {'/, '.join(patch.packages)}/ of {patch.origin}; give another --target"
        return PatchStatus(patch, directory, State.ABSENT, problem, [])
    versions = [found.version for found in metadata.distributions(name=patch.distribution, path=[str(directory)])]
    files = [_state(directory, file) for file in patch.files]
    if patch.version and versions and patch.version not in versions:
        problem = f"{patch.distribution} under {directory} is {versions[0]}, and {patch.name} is for {patch.version}"
        return PatchStatus(patch, directory, State.UNKNOWN, f"{problem}; install {_remedy(patch)}", files)
    if State.UNKNOWN in files:
        path = directory / patch.files[files.index(State.UNKNOWN)].path
        what = "has been edited or is of another version" if path.exists() else "is missing"
        problem = f"{path} {what}: {patch.name} is for the file of {patch.origin}; install {_remedy(patch)} anew"
        return PatchStatus(patch, directory, State.UNKNOWN, problem, files)
    if len(set(files)) == 1:
        return PatchStatus(patch, directory, files[0], "", files)
    rest = f"{patch.name} --target {shlex.quote(str(directory))}"
    problem = (
        f"{patch.name} is half applied under {directory}, by a process that was killed or is still at work; "
        f"finish with `mapush patches apply {rest}` or take it back with `mapush patches revert {rest}`"
    )
    return PatchStatus(patch, directory, State.HALF_APPLIED, problem, files)


def _state(directory: Path, file: PatchedFile) -> State:
    path = directory / file.path
    if not path.exists():
        return State.UNKNOWN
    found = checksum(read_bytes(path))
    return {file.before: State.NOT_APPLIED, file.after: State.APPLIED}.get(found, State.UNKNOWN)


def _remedy(patch: Patch) -> str:
    return f"{patch.distribution}=={patch.version}" if patch.version else patch.origin
