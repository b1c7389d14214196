"""Unknown crashes that triage has met, by their fingerprints, in the user's state folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple, Optional

from ...errors import UserError
from ...system.limits import read_text

_MOST_BYTES = 1 << 20
"""Size of the file from which on it is neither read nor extended."""


class Seen(NamedTuple):
    """When and where a crash was met first."""

    date: str
    source: str


def recall(fingerprint: str, source: str) -> Optional[Seen]:
    """When a crash was met before; a new one is noted. A folder that cannot be used is ignored."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111
    path = Path(state) / "mapush" / "crashes.tsv"
    try:
        notes = read_text(path, _MOST_BYTES, "replace").splitlines() if path.exists() else []
        for noted, *rest in (line.split("\t") for line in notes):
            if noted == fingerprint and len(rest) == 2:
                return Seen(*rest)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write("\t".join([fingerprint, time.strftime("%Y-%m-%d %H:%M"), " ".join(source.split())]) + "\n")
    except (OSError, UserError):
        pass
    return None
