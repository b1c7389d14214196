"""Runs side by side: everything that `mapush compare` and the report show, as one object."""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence, Tuple

from ...errors import UserError
from ..run import LoggedRun, read
from . import config_fields, curves, groups, milestones, notes, scores, significance
from .model import Comparison

__all__ = ["Comparison", "compare", "load"]


def load(paths: Sequence[Path]) -> Tuple[List[LoggedRun], List[str]]:
    """Read runs; returns them, and a sentence about each path that is left out.

    Raises:
        UserError: none of the paths holds a run that can be read.

    """
    runs: List[LoggedRun] = []
    left_out: List[str] = []
    for path in paths:
        try:
            run = read(path)
        except UserError as error:
            left_out.append(f"left out: {error}")
            continue
        if any(run.path.resolve() == other.path.resolve() for other in runs):
            left_out.append(f"{path} is given twice; it counts once")
        else:
            runs.append(run)
    if not runs:
        only = left_out[0][len("left out: ") :]
        raise UserError(only if len(left_out) == 1 else f"no run can be read: {'; '.join(left_out)}")
    return runs, left_out


def compare(runs: List[LoggedRun], load_notes: Sequence[str] = ()) -> Comparison:
    """Compare runs. For a single run, differences and significance are empty.

    `load_notes` are the sentences that `load` returned.
    """
    configs = [config_fields.fields(run.config, run.library) for run in runs]
    members = groups.find(runs, configs)
    firsts = [indices[0] for indices in members]
    differences = config_fields.differences([configs[at] for at in firsts], [runs[at].library for at in firsts])
    named = groups.name(members, runs, differences)
    labels = groups.labels(runs, named)
    found = scores.scores(runs, named)
    return Comparison(
        runs=runs,
        labels=labels,
        groups=named,
        differences=differences,
        made_with=config_fields.made_with([[runs[index].manifest for index in group.runs] for group in named]),
        milestones=[one for index, run in enumerate(runs) for one in milestones.milestones(index, run)],
        panels=curves.panels(runs, named),
        scores=found,
        significance=significance.verdicts(runs, named, found, differences),
        notes=[*load_notes, *notes.notes(runs, labels, named, differences)],
    )
