"""Unknown crashes that triage has met, by their fingerprints, in the user's state folder."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import NamedTuple, Optional

_MOST_BYTES = 1 << 20
"""Size of the file from which on nothing is added."""


class Seen(NamedTuple):
    """When and where a crash was met first."""

    date: str
    source: str


def recall(fingerprint: str, source: str) -> Optional[Seen]:
    """When a crash was met before; a new one is noted. A folder that cannot be used is ignored."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111
    path = Path(state) / "mapush" / "crashes.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", encoding="utf-8", errors="replace") as file:
            file.seek(0)
            for line in file.read(_MOST_BYTES).splitlines():
                note = _note(line)
                if note and note[0] == fingerprint:
                    return Seen(*note[1:])
            if file.tell() < _MOST_BYTES:
                file.write(json.dumps([fingerprint, time.strftime("%Y-%m-%d %H:%M"), source]) + "\n")
    except OSError:
        pass
    return None


def _note(line: str) -> Optional[list[str]]:
    """The fingerprint, date and source on a line; None for a damaged one."""
    try:
        note = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(note, list) and len(note) == 3 and all(isinstance(one, str) for one in note)
    return note if whole else None
