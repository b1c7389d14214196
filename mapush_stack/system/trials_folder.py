"""A folder of trials: a settings file, `trials/` with the files of each trial, and a lock for who runs them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Generic, Iterator

from filelock import FileLock, Timeout

from ..errors import UserError
from .atomic import new_directory, remove_leftovers
from .stored_file import Content, StoredFile

TRIALS, _LOCK = "trials", ".lock"


@dataclass(frozen=True)
class FolderKind(Generic[Content]):
    """What a sweep and a memory probe differ in."""

    name: str
    """What messages call it: `sweep`."""
    settings_file: str
    settings: StoredFile[Content]
    resume: str
    """The command that goes on with one, without the folder."""
    elsewhere: str
    """The option that names another folder."""


class TrialsFolder(Generic[Content]):
    """A folder of trials that exists; `file` is the content of its settings file."""

    def __init__(self, path: Path, kind: FolderKind[Content]) -> None:
        """Open the folder at `path`.

        Raises:
            UserError: there is none of that kind, or its settings file cannot be read.

        """
        self.path, self.trials_path = path, path / TRIALS
        self._kind = kind
        if not (path / kind.settings_file).is_file():
            raise UserError(f"{path} is not the folder of a {kind.name}: it has no {kind.settings_file}")
        self.file = kind.settings.read(path / kind.settings_file)
        self._lock = FileLock(str(path / _LOCK))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within the block, no other process may run these trials.

        Raises:
            UserError: another process runs them, or the folder cannot be written.

        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.path} is being run by another process; wait for it or stop it") from None
        except OSError as error:
            raise UserError(f"{self.path} cannot be resumed: {error.strerror or error}") from None
        try:
            remove_leftovers(self.trials_path)
            yield
        finally:
            self._lock.release()

    def in_use(self) -> bool:
        """Whether a process runs these trials now; False if the folder is read-only."""
        if self._lock.is_locked:
            return True
        try:
            with FileLock(str(self.path / _LOCK)).acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return False


def create(path: Path, kind: FolderKind[Content], settings: Content, fill: Callable[[Path], None]) -> None:
    """Make a new folder of trials; it appears with all of its files at once.

    Args:
        path: the folder.
        kind: sweep or probe.
        settings: what its settings file holds.
        fill: called with the new `trials` folder, writes into it.

    Raises:
        UserError: it exists, or cannot be written.

    """
    if path.exists():
        raise UserError(f"{path} exists; go on with {kind.resume} {path}, or choose another {kind.elsewhere}")
    try:
        with new_directory(path) as temporary:
            kind.settings.write(temporary / kind.settings_file, settings)
            (temporary / TRIALS).mkdir()
            fill(temporary / TRIALS)
    except OSError as error:
        raise UserError(f"no {kind.name} can be started at {path}: {error.strerror or error}") from None
