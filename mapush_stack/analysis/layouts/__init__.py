"""Finds out which program wrote a run's folder, and which files are in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import List

from ...errors import UserError
from ..events import relative
from . import foreign, harl, mapush, openrl, search
from .files import CONFIG, MANIFEST, MARKS, find_checkpoints, is_event_file, read_json
from .layout import Layout, Program

__all__ = ["PROGRAMS", "Layout", "find"]

PROGRAMS: List[Program] = [mapush.PROGRAM, harl.PROGRAM, openrl.PROGRAM]
"""Programs whose runs are recognised, tried in this order.

HARL comes before OpenRL, because some of HARL's folders look like OpenRL's.
"""


def find(path: Path) -> Layout:
    """The layout of the run at `path`: its folder, its folder of logs, or one event file.

    Raises:
        UserError: there is no run, or there are several.

    """
    if not path.exists():
        raise UserError(f"{path} does not exist; give the folder of a run")
    if not path.is_dir():
        if not is_event_file(path.name):
            raise UserError(f"{path} is neither a run's folder nor an event file of TensorBoard; give the run's folder")
        return foreign.describe(Layout(path, "tensorboard", path.parent.name, event_files={path.parent: [path]}))
    above = path.resolve().parent
    if path.name in search.INNER and any((above / mark).is_file() for mark in MARKS):
        path = path.parent if path.parent.name else above
    runs, beside = search.find(path)
    if len(runs) > 1:
        shown = ", ".join(str(relative(run, path)) for run in list(runs)[:3])
        own = [f"{relative(file, path)} belongs to none of them" for files in beside.values() for file in files[:1]]
        raise UserError(
            "; ".join(
                [f"{path} holds {len(runs)} runs", *own[:1], f"give the folders of those you want, such as {shown}"]
            )
        )
    if not runs:
        content = "is empty" if not any(path.iterdir()) else "holds no logs of a training"
        raise UserError(f"{path} {content}; give the folder of a run, with its TensorBoard logs or its {CONFIG}")
    ((folder, events),) = runs.items()
    config, problems = read_json(folder / CONFIG)
    manifest, more = read_json(folder / MANIFEST)
    layout = Layout(
        folder,
        "tensorboard",
        folder.name,
        config=config,
        manifest=manifest,
        event_files=events,
        checkpoints=find_checkpoints(folder),
        problems=[*problems, *more],
    )
    for program in PROGRAMS:
        if program.wrote(layout):
            return program.describe(replace(layout, library=program.library))
    return foreign.describe(layout)
