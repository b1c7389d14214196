"""Runs side by side: everything that `mapush compare` and the report show, as one object."""

from __future__ import annotations

from pathlib import Path
from typing import List, Mapping, Optional, Sequence, Tuple

from ...errors import UserError
from ..layouts import search
from ..run import LoggedRun, read
from . import config_fields, curves, groups, milestones, notes, scores, significance
from .model import Comparison

__all__ = ["Comparison", "compare", "load"]


def load(paths: Sequence[Path], renamed: Optional[Mapping[str, str]] = None) -> Tuple[List[LoggedRun], List[str]]:
    """Read runs, all of a folder that holds several; returns them, and a sentence about each path that is left out.

    `renamed` maps tags of the logs to ours.

    Raises:
        UserError: none of the paths holds a run that can be read.

    """
    runs: List[LoggedRun] = []
    left_out: List[str] = []
    for path in [run for given in paths for run in _runs_in(given)]:
        try:
            run = read(path, renamed)
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


def _runs_in(path: Path) -> List[Path]:
    """The runs in a folder that holds several, else the path."""
    runs = list(search.find(path).runs) if path.is_dir() else []
    return runs if len(runs) > 1 else [path]


def compare(
    runs: List[LoggedRun], load_notes: Sequence[str] = (), tags: Sequence[str] = (), group_by: Optional[str] = None
) -> Comparison:
    """Compare runs. For a single run, differences and significance are empty.

    `load_notes` are the sentences that `load` returned. `tags` are patterns of further tags to show. `group_by` is a
    field, or a regular expression of paths, that makes the groups.

    Raises:
        UserError: `group_by` or one of `tags` fits no run.

    """
    configs = [config_fields.fields(run.config, run.library) for run in runs]
    members = groups.find(runs, configs, group_by)
    firsts = [indices[0] for indices in members]
    differences = config_fields.differences([configs[at] for at in firsts], [runs[at].library for at in firsts])
    named = groups.name(members, runs, differences, configs, group_by)
    labels = groups.labels(runs, named)
    found = scores.scores(runs, named)
    return Comparison(
        runs=runs,
        labels=labels,
        groups=named,
        differences=differences,
        made_with=config_fields.made_with([[runs[index].manifest for index in group.runs] for group in named]),
        milestones=[one for index, run in enumerate(runs) for one in milestones.milestones(index, run)],
        axis=curves.axis_of(runs),
        panels=curves.panels(runs, named, tags),
        scores=found,
        significance=significance.verdicts(runs, named, found, differences),
        profiles=scores.profiles(named, found),
        notes=[*load_notes, *notes.notes(runs, labels, named, differences)],
    )
