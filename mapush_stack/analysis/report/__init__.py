"""Runs as one self-contained HTML file: curves, findings, pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Sequence

from .. import comparison
from ..diagnosis import rules
from ..diagnosis.diagnosis import diagnose
from ..diagnosis.run_facts import run_facts
from ..run import LoggedRun
from . import page
from .playing import play_all

_PLAYING_SECONDS = 40.0
"""Time limit for all runs together, after which no further checkpoint is played."""


def make(
    path: Path,
    runs: List[LoggedRun],
    notes: List[str],
    episodes: int,
    tags: Sequence[str] = (),
    group_by: Optional[str] = None,
) -> None:
    """Write the report of some runs; `episodes` of each of their checkpoints are played.

    `tags` and `group_by` are those of `comparison.compare`.

    Raises:
        UserError: a library is missing, or the file cannot be written.

    """
    known = rules.load()
    played = play_all(runs, episodes, _PLAYING_SECONDS)
    evaluated = [replace(run, evaluations=one.evaluations) for run, one in zip(runs, played)]
    page.write(
        path,
        comparison.compare(evaluated, notes, tags, group_by),
        [diagnose(run, known) for run in runs],
        [run_facts(run, known) for run in runs],
        played,
        tags,
    )
