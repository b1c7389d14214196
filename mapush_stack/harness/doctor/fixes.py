"""What `mapush doctor --fix` may do: what can be taken back or made again, without the network and without root."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Callable, List, NamedTuple

from ...errors import UserError
from ..patches.change import change
from ..patches.state import State
from .facts import Facts, PatchState


class Fix(NamedTuple):
    """Something that can be done."""

    description: str
    apply: Callable[[], None]


def plan(facts: Facts) -> List[Fix]:
    """What would mend what was found; nothing is done yet."""
    fixes = [
        Fix(f"delete {folder}, a cache that the next import makes anew", functools.partial(_delete, folder))
        for folder in facts.gymtorch.unfinished
    ]
    for patch in facts.patches:
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
