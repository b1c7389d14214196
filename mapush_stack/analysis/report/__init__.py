"""Runs as one HTML file that needs nothing else: figures, findings, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import List

from .. import compare
from ..diagnosis import rules
from ..diagnosis.diagnosis import diagnose
from ..diagnosis.facts import facts
from ..run import LoggedRun
from . import page
from .playing import play_all

_PLAYING_SECONDS = 40.0
"""In which checkpoints may begin to be played, all runs together."""


def make(path: Path, runs: List[LoggedRun], notes: List[str], episodes: int) -> None:
    """Write the report of some runs, of whose checkpoints `episodes` each are played.

    Raises:
        UserError: a library is missing, or the file cannot be written.

    """
    known = rules.load()
    records = play_all(runs, episodes, _PLAYING_SECONDS)
    played = [run._replace(evaluations=record.evaluations) for run, record in zip(runs, records)]
    page.write(
        path,
        compare.compare(played, notes),
        [diagnose(run, known) for run in runs],
        [facts(run, known) for run in runs],
        records,
    )
