"""Metrics on Weights & Biases (https://wandb.ai): `mapush train --wandb`."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Any, Callable, Dict

from ..errors import UserError
from ..system.atomic import write_json
from ..system.limits import read_json
from .config import ExperimentConfig
from .run_directory import RunDirectory

_FILE = "wandb.json"
"""In the run's folder: id and project there, so that a resumed run goes on with the same one."""
_PROJECT = "mapush"


class WandbLog:
    """Hands every update's metrics to wandb's own process, which sends or stores them.

    If that fails, one line says so, and the training goes on without it.
    """

    def __init__(self) -> None:
        """Check that wandb is installed and has an account, before anything starts.

        Raises:
            UserError: it is not installed, or has no account to log to.

        """
        try:
            import wandb
        except ImportError as error:
            raise UserError(f"--wandb needs the package {error.name}: pip install 'mapush_stack[wandb]'") from None
        if not hasattr(wandb, "init"):  # a folder of that name, such as wandb itself makes
            raise UserError("--wandb needs the package wandb: pip install 'mapush_stack[wandb]'")
        self._wandb = wandb
        self._run: Any = None
        self._tell: Callable[[str], None] = print
        self._online = os.environ.get("WANDB_MODE", "online") == "online"
        try:
            if self._online:
                wandb.login()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"--wandb has no account to log to ({reason}): run wandb login, or set WANDB_MODE=offline"
            ) from None

    def begin(self, run: RunDirectory, config: ExperimentConfig, tell: Callable[[str], None]) -> WandbLog:
        """Open the run on wandb, a new one or the one that it had before; returns itself.

        Args:
            run: the run.
            config: its configuration.
            tell: prints a line.

        """
        self._tell = tell
        self._attempt(lambda: self._open(run, config))
        return self

    def write(self, metrics: Dict[str, float], steps: int) -> None:
        """Hand over an update's metrics. Steps that wandb has already, from before a kill, stay as they are."""
        if self._run is not None:
            self._attempt(lambda: self._run.log(metrics, step=steps))

    def close(self) -> None:
        """Wait until everything is sent or stored."""
        if self._run is not None and self._attempt(lambda: self._run.finish()):
            self._end()

    def _open(self, run: RunDirectory, config: ExperimentConfig) -> None:
        self._run = self._wandb.init(
            **self._identity(run),
            dir=str(run.path),
            name=run.path.name,
            group=config.experiment,
            tags=[config.object.name, config.learner.algorithm, config.learner.library, config.sim.robot],
            config={**config.model_dump(mode="json"), "run_directory": str(run.path)},
            resume="allow" if self._online else None,
            settings=self._wandb.Settings(console="off", silent=True),
        )
        self._tell(f"wandb: {self._run.url if self._online else self._run.settings.sync_dir}")

    @staticmethod
    def _identity(run: RunDirectory) -> Dict[str, str]:
        """Id and project, kept in the run's folder."""
        file = run.path / _FILE
        if file.is_file():
            known = read_json(file)
            return {"id": str(known["id"]), "project": str(known["project"])}
        new = {"id": secrets.token_hex(4), "project": os.environ.get("WANDB_PROJECT", _PROJECT)}
        write_json(file, new)
        return new

    def _attempt(self, action: Callable[[], Any]) -> bool:
        """Do something with wandb; if that fails, say so and do without it from now on."""
        try:
            action()
        except Exception as error:
            self._end()
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self._tell(f"warning: wandb has failed, and the training goes on without it ({reason})")
            return False
        return True

    def _end(self) -> None:
        """End wandb's own process, which would be ended as one left behind, or complain when Python ends."""
        self._run = None
        with contextlib.suppress(Exception):
            self._wandb.teardown()
