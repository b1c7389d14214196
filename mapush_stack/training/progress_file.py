"""`progress.json` in a run directory: how far the training is, for programs that watch it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Optional

from ..settings import Settings
from ..system.stored_file import StoredFile

NAME = "progress.json"


class TrainingProgress(Settings):
    """The progress of a training after its last update."""

    steps: int
    """Environment steps done."""
    total_steps: int
    fps: float
    """Environment steps per second of the last process that trained."""
    success_rate: Optional[float]
    """Success rate of the last episodes, 0 to 1; None until one has ended."""
    seconds: float
    """Wall time of that process."""
    state: Literal["training", "stopped", "finished"]


FILE = StoredFile(TrainingProgress)


def read(run: Path) -> Optional[TrainingProgress]:
    """The progress of the run at `run`; None before its first update.

    Raises:
        UserError: the file cannot be read.

    """
    file = run / NAME
    return FILE.read(file) if file.is_file() else None
