"""The folder of a run: `<results>/mapush/<task>/<algorithm>/<experiment>/seed-00001-<date>/`."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from .. import plugins
from ..errors import UserError, refuse
from ..system import closing
from ..system.atomic import errors_name, new_directory, write_json
from ..system.limits import read_json
from . import checkpoint
from .config import ExperimentConfig, validated
from .manifest import hardware, manifest
from .upgrades import SCHEMA, stamped, upgraded

_CONFIG, _MANIFEST, _LOCK, _INITIAL = "config.json", "manifest.json", ".lock", "initial.safetensors"
_LOCK_PATIENCE = 0.2
"""Seconds; `mapush runs` holds a lock for an instant to see whether anybody else does."""


def task_name(config: ExperimentConfig) -> str:
    """Name of the task in folders and logs."""
    return f"go1push_mid-{config.object.name}"


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
        self.logs = self.path / "logs"
        """TensorBoard's event files."""
        self.models = self.path / "models"
        """The checkpoints."""
        if not (self.path / _CONFIG).exists():
            raise UserError(f"{self.path} is not a run directory: it has no {_CONFIG}")
        self._lock: Optional[FileLock] = None
        self._before = ""
        """What the lock file held before this process."""

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
            OSError: the disk is full or fails.

        """
        parent = results / "mapush" / task_name(config) / config.learner.algorithm / config.experiment
        try:
            parent.mkdir(parents=True, exist_ok=True)
            while True:
                path = parent / f"seed-{config.training.seed:05d}-{time.strftime('%Y-%m-%d-%H-%M-%S')}"
                if not path.exists():
                    break
                time.sleep(0.1)
            with new_directory(path) as temporary:
                (temporary / "logs").mkdir()
                (temporary / "models").mkdir()
                write_json(temporary / _CONFIG, stamped(config.model_dump(mode="json")))
                plain = {**manifest(command), "started_from_weights": initial is not None}
                write_json(temporary / _MANIFEST, plain)
                if initial is not None:
                    checkpoint.save_tensors(checkpoint.on_host(initial), temporary / _INITIAL)
        except OSError as error:
            refuse(error, f"no run can be started under {results}")
        return cls(path)

    def config(self) -> ExperimentConfig:
        """The run's configuration.

        Raises:
            UserError: the file is damaged, or of another version.

        """
        file = self.path / _CONFIG
        plain = read_json(file)
        if not isinstance(plain, dict):
            raise UserError(f"{file} does not hold a configuration")
        absent = plugins.missing(self.manifest())
        try:
            config = validated(upgraded(plain))
        except UserError as error:
            if absent and plain.get("schema", 1) in range(SCHEMA + 1):
                options = " ".join(f"--plugin {plugin.name}" for plugin in absent)
                raise UserError(
                    f"{self.path} was made with a plug-in that is not loaded, or has changed: add {options}"
                ) from None
            raise UserError(f"{file} does not fit this version: {error}") from None
        for plugin in absent:
            closing.warn(f"{self.path} was made with the plug-in {plugin.name}, which is not loaded or has changed")
        return config

    def manifest(self) -> Dict[str, Any]:
        """What `manifest.json` says of the machine and the software, empty where it is missing or damaged."""
        try:
            plain = read_json(self.path / _MANIFEST)
        except UserError:
            return {}
        return plain if isinstance(plain, dict) else {}

    def torch_threads(self) -> int:
        """The number of torch's threads that the manifest records, 0 if it does not."""
        threads = self.manifest().get("torch_threads")
        return threads if isinstance(threads, int) and 0 < threads <= 1024 else 0

    def device(self) -> str:
        """Where the run was trained last by its manifest, "cpu" or "cuda"; empty if it does not say."""
        sessions = self.manifest().get("sessions")
        last = sessions[-1] if isinstance(sessions, list) and sessions else None
        device = last.get("device") if isinstance(last, dict) else None
        return device if device in ("cpu", "cuda") else ""

    def record_hardware(self, device: torch.device, processes: int, steps: int) -> None:
        """Add to the manifest's `sessions` what trains from `steps` on; for the process that has the lock."""
        plain = self.manifest()
        before = plain.get("sessions")
        sessions = [*(before if isinstance(before, list) else []), {"from_steps": steps, **hardware(device, processes)}]
        write_json(self.path / _MANIFEST, {**plain, "sessions": sessions})

    @property
    def initial_file(self) -> Optional[Path]:
        """The weights that the run started from; None where it started from scratch."""
        file = self.path / _INITIAL
        return file if file.is_file() else None

    def checkpoints(self) -> List[Tuple[int, Path]]:
        """(steps, path) of every checkpoint, oldest first."""
        return checkpoint.all_in(self.models)

    def lock(self) -> None:
        """Claim the run for this process until it ends.

        Raises:
            UserError: another process trains it.
            OSError: the folder cannot be written.

        """
        file = self.path / _LOCK
        lock = FileLock(str(file))
        try:
            with errors_name(file):
                lock.acquire(timeout=_LOCK_PATIENCE, poll_interval=_LOCK_PATIENCE / 10)
        except Timeout:
            raise UserError(f"{self.path} is being trained by another process; wait for it or stop it") from None
        self._lock = lock
        with errors_name(file):
            self._before = file.read_text(encoding="utf-8", errors="replace")
            self._write_lock(json.dumps({"pid": os.getpid(), "host": platform.node()}) + "\n")

    def release(self, failure: str = "", refused: bool = False) -> None:
        """Give the run back; may be called twice.

        A lock file that is not empty then tells of a process that was killed, or why one failed.

        Args:
            failure: why the training failed; empty if it did not.
            refused: nothing was done, so that the lock file gets what it held before.

        """
        if self._lock is not None:
            text = json.dumps({"failed": failure}) + "\n" if failure else ""
            with contextlib.suppress(OSError):  # the disk may be why the training failed
                self._write_lock(self._before if refused else text)
            self._lock.release()
            self._lock = None

    def _write_lock(self, text: str) -> None:
        """Write the lock file in place, which needs no more room on a full disk."""
        with (self.path / _LOCK).open("r+", encoding="utf-8") as file:
            file.write(text)
            file.truncate()


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
