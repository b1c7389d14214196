"""What `mapush doctor --fix` does: only what can be undone or rebuilt, without network or root access."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Callable, List, NamedTuple

from ...errors import UserError
from ..patches.change import change
from ..patches.state import State
from .machine_info import MachineInfo, PatchState


class Fix(NamedTuple):
    """A fix that can be applied."""

    description: str
    apply: Callable[[], None]


def plan(machine: MachineInfo) -> List[Fix]:
    """The fixes for a machine; none is applied yet."""
    fixes = [
        Fix(f"delete {folder}, a cache that the next import makes anew", functools.partial(_delete, folder))
        for folder in machine.gymtorch.unfinished
    ]
    for patch in machine.patches:
        if patch.state in (State.NOT_APPLIED, State.HALF_APPLIED):
            what = f"apply the patch {patch.name} in {patch.directory} (mapush patches revert takes it back)"
            fixes.append(Fix(what, functools.partial(_patch, patch)))
    return fixes


def _delete(folder: str) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be deleted: {error.strerror}") from None


def _patch(patch: PatchState) -> None:
    change([patch.name], State.APPLIED, Path(str(patch.directory)))
