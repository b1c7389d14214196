"""HARL's line on the console, and its `progress.txt`."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import List, Optional

from ...system.atomic import errors_name, write_text
from ...system.limits import read_text
from ..contract import TrainingPlan

_INTERVAL = 5
"""Updates between two lines, HARL's `log_interval`."""


class ProgressText:
    """HARL's console line after every fifth update; `progress.txt` with lines `steps,mean reward of an episode`."""

    def __init__(self, plan: TrainingPlan, algorithm: str) -> None:
        """The training begins, or goes on, now."""
        self._plan, self._algorithm = plan, algorithm
        self._begun, self._first = time.monotonic(), -1

    def add(self, run: Path, steps: int, reward: Optional[float]) -> List[str]:
        """The lines to print after an update, if any; they go into the run's `progress.txt` too.

        Args:
            run: the run's folder.
            steps: environment steps after the update.
            reward: mean reward of an episode; None if none has ended.

        """
        plan, file = self._plan, run / "progress.txt"
        if self._first < 0:
            self._first = steps - plan.steps_per_update
            _drop_lines_after(file, self._first)
        update = steps // plan.steps_per_update
        if update % _INTERVAL and update != plan.updates:
            return []
        fps = (steps - self._first) / max(time.monotonic() - self._begun, 1e-9)
        lines = [
            f"Env mapush Task {plan.task} Algo {self._algorithm} Exp {plan.experiment} updates {update}/{plan.updates} "
            f"episodes, total num timesteps {steps}/{plan.total_steps}, FPS {int(fps)}."
        ]
        if reward is not None:
            lines.append(f"Some episodes done, average episode reward is {reward}.")
            with errors_name(file), file.open("a", encoding="utf-8") as text:
                text.write(f"{steps},{reward}\n")
        return lines


def _drop_lines_after(file: Path, steps: int) -> None:
    """Take out what an earlier process wrote after `steps`."""
    lines = read_text(file, errors="replace").splitlines() if file.exists() else []
    # A killed process may have left half a line, the last one.
    rows = [re.fullmatch(r"(\d{1,15}),[^,]*", line) for line in lines]
    kept = [row.group() for row in rows if row and int(row.group(1)) <= steps]
    write_text(file, "".join(f"{line}\n" for line in kept))
