"""What HARL's users are used to see and to keep: its line on the console, and `progress.txt`."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Dict, Optional, Type

from ...training.config import ExperimentConfig
from ...training.progress import TrainingReport

_INTERVAL = 5
"""Updates between two lines, HARL's `log_interval`."""


class Progress:
    """HARL's console line after every fifth update; `progress.txt` with lines `steps,mean reward of an episode`."""

    def __init__(self, config: ExperimentConfig, folder: Path, steps: int, report: TrainingReport) -> None:
        """Go on from `steps`; what an earlier process wrote after that is dropped from the file."""
        self._config, self._report, self._first = config, report, steps
        self._begun = time.monotonic()
        path = folder / "progress.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        # A killed process may have left half a line, the last one.
        kept = [line for line in lines if line.count(",") == 1 and int(line.split(",")[0] or 0) <= steps]
        self._file = path.open("w", encoding="utf-8")
        self._file.writelines(f"{line}\n" for line in kept)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._file.close()

    def add(self, update: int, updates: int, steps: int, metrics: Dict[str, float]) -> None:
        """Take note of update number `update` of `updates`, after `steps` environment steps."""
        if update % _INTERVAL and update != updates:
            return
        config = self._config
        fps = (steps - self._first) / max(time.monotonic() - self._begun, 1e-9)
        self._report.line(
            f"Env mapush Task go1push_mid-{config.object.name} Algo {config.learner.algorithm} Exp {config.experiment} "
            f"updates {update}/{updates} episodes, total num timesteps {steps}/{config.total_steps}, FPS {int(fps)}."
        )
        reward = metrics.get("train_episode_rewards")
        if reward is not None:
            self._report.line(f"Some episodes done, average episode reward is {reward}.")
            self._file.write(f"{steps},{reward}\n")
            self._file.flush()
