"""A folder of trials: a settings file, `trials/` with the files of each trial, and a lock for who runs them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Generic, Iterator, Type, TypeVar

from filelock import FileLock, Timeout

from ..errors import UserError, refuse
from .atomic import errors_name, new_directory
from .stored_file import Content, StoredFile

TRIALS, _LOCK = "trials", ".lock"
F = TypeVar("F", bound="TrialsFolder[Any]")


class TrialsFolder(Generic[Content]):
    """A folder of trials that exists. Subclasses say of what kind it is."""

    kind: str
    """What messages call it: `sweep`."""
    settings_file: str
    stored: StoredFile[Content]
    """How its settings file is read and written."""
    resume: str
    """The command that goes on with one, without the folder."""
    elsewhere: str
    """The option that names another folder."""

    def __init__(self, path: Path) -> None:
        """Open the folder at `path`.

        Raises:
            UserError: there is none of that kind, or its settings file cannot be read.

        """
        self.path, self.trials_path = path, path / TRIALS
        if not (path / self.settings_file).is_file():
            raise UserError(f"{path} is not the folder of a {self.kind}: it has no {self.settings_file}")
        self.file = self.stored.read(path / self.settings_file)
        """What its settings file holds."""
        self._lock = FileLock(str(path / _LOCK))

    @classmethod
    def create(cls: Type[F], path: Path, settings: Content, fill: Callable[[Path], None] = lambda trials: None) -> F:
        """Make a new folder of trials; it appears with all of its files at once.

        Args:
            path: the folder.
            settings: what its settings file holds.
            fill: called with the new `trials` folder, writes into it.

        Raises:
            UserError: it exists, or cannot be written.
            OSError: the disk is full or fails.

        """
        if path.exists():
            raise UserError(f"{path} exists; go on with {cls.resume} {path}, or choose another {cls.elsewhere}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with new_directory(path) as temporary:
                cls.stored.write(temporary / cls.settings_file, settings)
                (temporary / TRIALS).mkdir()
                fill(temporary / TRIALS)
        except OSError as error:
            refuse(error, f"no {cls.kind} can be started at {path}")
        return cls(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within the block, no other process may run these trials.

        Raises:
            UserError: another process runs them.
            OSError: the folder cannot be written.

        """
        try:
            with errors_name(self.path / _LOCK):
                self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.path} is being run by another process; wait for it or stop it") from None
        try:
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
