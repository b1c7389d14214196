"""The folder of a run: `<results>/mapush/<task>/<algorithm>/<experiment>/seed-00001-<date>/`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from filelock import FileLock, Timeout
from torch import Tensor

from ..errors import UserError
from . import checkpoint
from .atomic import new_directory, remove_leftovers, write_json
from .config import ExperimentConfig, validated
from .manifest import manifest

_CONFIG, _MANIFEST, _LOCK, _INITIAL = "config.json", "manifest.json", ".lock", "initial.safetensors"


class RunDirectory:
    """`config.json`, `manifest.json`, `logs/` (TensorBoard) and `models/rl_model_<steps>_steps/`.

    The folder appears with its configuration in it, so that a run killed at any instant can be resumed.
    """

    def __init__(self, path: Path) -> None:
        """A run that exists.

        Raises:
            UserError: there is no run at `path`.

        """
        self.path = Path(path)
        if not (self.path / _CONFIG).is_file():
            raise UserError(f"{self.path} is not a run directory: it has no {_CONFIG}")
        self._lock: Optional[FileLock] = None

    @classmethod
    def create(
        cls,
        results: Path,
        config: ExperimentConfig,
        command: List[str],
        initial: Optional[Dict[str, Tensor]] = None,
    ) -> RunDirectory:
        """Make the folder of a new run, with its configuration and a manifest of where it ran.

        Raises:
            UserError: the folder cannot be written.

        """
        parent = results / "mapush" / f"go1push_mid-{config.object.name}" / config.learner.algorithm / config.experiment
        try:
            while True:
                path = parent / f"seed-{config.training.seed:05d}-{time.strftime('%Y-%m-%d-%H-%M-%S')}"
                if not path.exists():
                    break
                time.sleep(0.1)
            with new_directory(path) as temporary:
                (temporary / "logs").mkdir()
                (temporary / "models").mkdir()
                write_json(temporary / _CONFIG, config.model_dump(mode="json"))
                write_json(temporary / _MANIFEST, manifest(command))
                if initial is not None:
                    checkpoint.save_tensors(initial, temporary / _INITIAL)
        except OSError as error:
            raise UserError(f"no run can be started under {results}: {error.strerror or error}") from None
        return cls(path)

    @property
    def logs(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "logs"

    @property
    def models(self) -> Path:
        """The checkpoints."""
        return self.path / "models"

    def config(self) -> ExperimentConfig:
        """The run's configuration.

        Raises:
            UserError: the file is damaged, or of another version.

        """
        file = self.path / _CONFIG
        try:
            plain = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise UserError(f"{file} cannot be read: {error}") from None
        if not isinstance(plain, dict):
            raise UserError(f"{file} does not hold a configuration")
        try:
            return validated(plain)
        except UserError as error:
            raise UserError(f"{file} does not fit this version: {error}") from None

    def manifest(self) -> Dict[str, Any]:
        """What `manifest.json` says of the machine and the software, empty where it is missing or damaged."""
        try:
            return json.loads((self.path / _MANIFEST).read_text(encoding="utf-8"))
        except (ValueError, OSError):
            return {}

    def initial_weights(self) -> Optional[Dict[str, Tensor]]:
        """The weights that the run started from; None where it started from scratch.

        Raises:
            UserError: the file is damaged.

        """
        file = self.path / _INITIAL
        return checkpoint.load_tensors(file) if file.is_file() else None

    def checkpoints(self) -> List[Tuple[int, Path]]:
        """(steps, path) of every checkpoint, oldest first."""
        return checkpoint.all_in(self.models)

    def lock(self) -> None:
        """Claim the run for this process until it ends, and clear what a killed one left half-written.

        Raises:
            UserError: another process trains it.

        """
        self._lock = FileLock(str(self.path / _LOCK))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.path} is being trained by another process; wait for it or stop it") from None
        remove_leftovers(self.path)
        remove_leftovers(self.models)

    def release(self) -> None:
        """Give the run back; may be called twice."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def find_checkpoints(path: Path) -> Tuple[RunDirectory, List[Tuple[int, Path]]]:
    """The run that `path` belongs to, and the checkpoints it names: all of a run's, or the one that it is itself.

    Raises:
        UserError: it is neither a run nor a checkpoint, or has no checkpoint yet.

    """
    if not path.is_dir():
        reason = "is not a folder" if path.exists() else "does not exist"
        raise UserError(f"{path} {reason}; give a run directory or a checkpoint")
    if checkpoint.is_checkpoint(path):
        run = RunDirectory(path.parent.parent)
        return run, [(steps, folder) for steps, folder in run.checkpoints() if folder == path]
    run = RunDirectory(path)
    found = run.checkpoints()
    if not found:
        raise UserError(f"{run.path} has no checkpoint yet")
    return run, found
