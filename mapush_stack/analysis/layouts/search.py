"""Which folders are runs, and which event files belong to each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Container, Dict, Iterator, List, NamedTuple, Set, Tuple

from ..events import first_tags
from .files import LOG, MARKS, PROGRESS, is_event_file, status

_NOT_ENTERED = ("models", "checkpoints", "wandb")
INNER = ("logs", "log", "summaries", ".summary", "0", "tb", "tb_logs", "tensorboard", "events")
"""Folders inside a run in which programs put its event files."""
WRITERS = ("train", "training", "eval", "evaluation", "valid", "validation", "test")
"""Folders of several writers of one run, which log the same tags."""
Files = Dict[Path, List[Path]]
"""Event files by the folder that they are in."""


class Found(NamedTuple):
    """The runs at or below a folder."""

    runs: Dict[Path, Files]
    """The event files of each run, by its folder; empty if it has logged nothing."""
    beside: Dict[Path, List[Path]]
    """Logs that lie in a folder of several runs and belong to none of them."""


def find(folder: Path) -> Found:
    """Every run at or below a folder.

    A folder with event files, or with a file of `MARKS`, is a run. OpenRL, HARL and others write a folder for each tag:
    such folders belong to the folder above. A folder above several runs is no run.
    """
    marked: Dict[Path, List[Path]] = {}
    events: Files = {}
    for name, files in _walk(folder):
        found = sorted(Path(name, file) for file in files if is_event_file(file))
        if found:
            events[Path(name)] = found
        marks = [Path(name, mark) for mark in MARKS if mark in files]
        if marks:
            marked[Path(name)] = marks
    return _separate(_Homes(folder, events, marked).all(), marked)


def log_sizes(folder: Path) -> List[Tuple[Path, int]]:
    """The sizes of a run's logs; they change when something is logged."""
    files = [Path(name, file) for name, found in _walk(folder) for file in found if is_event_file(file)]
    files += [folder / name for name in (LOG, PROGRESS)]
    found = ((file, status(file)) for file in sorted(files))
    return [(file, known.st_size) for file, known in found if known is not None]


def _walk(folder: Path) -> Iterator[Tuple[str, List[str]]]:
    for name, folders, files in os.walk(str(folder)):
        folders[:] = [one for one in folders if one not in _NOT_ENTERED and (one[0] != "." or one in INNER)]
        yield name, files


def _separate(homes: Dict[Path, Files], marked: Dict[Path, List[Path]]) -> Found:
    """Runs, and logs above them.

    Logs of one folder inside a run belong to that run, unless both log the same tags.
    """
    beside: Dict[Path, List[Path]] = {}
    for above in sorted({*homes, *marked}, key=lambda path: -len(path.parts)):
        below = [home for home in homes if above in home.parents]
        own = homes.get(above, {})
        if len(below) == 1 and below[0] not in marked and not _tags(own) & _tags(homes[below[0]]):
            homes[above] = {**own, **homes.pop(below[0])}
        elif below:
            files = [file for found in homes.pop(above, {}).values() for file in found]
            beside[above] = files + [mark for mark in marked.get(above, []) if mark.name == LOG]
        else:
            homes.setdefault(above, {})
    return Found(dict(sorted(homes.items())), {where: files for where, files in beside.items() if files})


def _tags(files: Files) -> Set[str]:
    return {tag for found in files.values() for tag in first_tags(found)}


class _Homes:
    """The folders to which folders with event files belong."""

    def __init__(self, root: Path, events: Files, marked: Container[Path]) -> None:
        self._root, self._events, self._marked = root, events, marked
        self._tags: Dict[Path, Set[str]] = {}
        self._siblings: Dict[Path, List[Path]] = {}
        for where in events:
            self._siblings.setdefault(where.parent, []).append(where)

    def all(self) -> Dict[Path, Files]:
        """The event files of each home, by their folder."""
        homes: Dict[Path, Files] = {}
        for where, files in self._events.items():
            homes.setdefault(self._of(where), {})[where] = files
        for home, owned in list(homes.items()):
            # Folders that all log the same tag are runs, although their folder may have the name of the tag.
            if len(owned) > 1 and len(set.union(*(self._tags_in(where) for where in owned))) == 1:
                del homes[home]
                homes.update({where: {where: found} for where, found in owned.items()})
        return homes

    def _of(self, where: Path) -> Path:
        home = where
        if where not in self._marked and not (where.name in INNER and where.parent in self._marked):
            home = self._without_tag(where)
            if home != self._root and home.name in WRITERS and self._has_other_writers(home):
                home = home.parent
        while home != self._root and home not in self._marked and home.name in INNER:
            home = home.parent
        return home

    def _without_tag(self, where: Path) -> Path:
        """The folder above one that was made for a tag."""
        tags = self._tags_in(where)
        if len(tags) != 1 or where == self._root:
            return where
        (tag,) = tags
        names, parts = where.relative_to(self._root).parts, tuple(tag.split("/"))
        for at in range(len(names) - len(parts)):  # tensorboardX: <logs>/<tag>/<curve>
            if names[at : at + len(parts)] == parts:
                return self._root.joinpath(*names[:at])
        if where.parent in self._events and where.name.startswith(tag.replace("/", "_")):  # torch: <logs>/<tag>_<curve>
            return where.parent
        siblings = [self._tags_in(other) for other in self._siblings[where.parent]]
        distinct = len(set.union(*siblings)) == len(siblings) and all(len(one) == 1 for one in siblings)
        return where.parent if len(siblings) > 1 and distinct else where

    def _has_other_writers(self, where: Path) -> bool:
        others = [other.name for other in self._siblings.get(where.parent, []) if other != where]
        return where.parent in self._events or any(name in WRITERS for name in others)

    def _tags_in(self, where: Path) -> Set[str]:
        if where not in self._tags:
            self._tags[where] = first_tags(self._events[where])
        return self._tags[where]
