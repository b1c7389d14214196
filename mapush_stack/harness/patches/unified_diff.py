"""Unified diffs, applied to bytes exactly where they say.

Libraries that apply diffs (patch-ng, patch itself) search for a hunk's place, allow fuzz and write files one by one.
Here both ends of every change are checked by sha256, so that the forty lines below can only be right or refuse.
"""

from __future__ import annotations

import io
import re
from typing import Dict, List, NamedTuple, Optional, Sequence

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class Hunk(NamedTuple):
    """Lines that replace others. Numbers count from 1; lines have their ends."""

    old_start: int
    old: List[bytes]
    new_start: int
    new: List[bytes]

    @property
    def reversed(self) -> Hunk:
        """The hunk that takes this one back."""
        return Hunk(self.new_start, self.new, self.old_start, self.old)


def parse(diff: bytes) -> Dict[str, List[Hunk]]:
    """The hunks of each file, by its path without the leading `b/`.

    Raises:
        ValueError: it is not a unified diff of lines that all end.

    """
    files: Dict[str, List[Hunk]] = {}
    hunks: Optional[List[Hunk]] = None
    lines = iter(_lines(diff))
    for line in lines:
        header = _HUNK.match(line)
        if line.startswith(b"+++ b/"):
            hunks = files.setdefault(line[len(b"+++ b/") :].strip().decode(), [])
        elif header and hunks is not None:
            old_start, old_length, new_start, new_length = (int(group or b"1") for group in header.groups())
            old: List[bytes] = []
            new: List[bytes] = []
            while len(old) < old_length or len(new) < new_length:
                body = next(lines, b"")
                if body[:1] not in (b" ", b"-", b"+"):
                    raise ValueError(f"a hunk ends early, at {body!r}")
                if body[:1] != b"+":
                    old.append(body[1:])
                if body[:1] != b"-":
                    new.append(body[1:])
            hunks.append(Hunk(old_start, old, new_start, new))
        elif not line.startswith(b"--- a/"):
            raise ValueError(f"{line!r} belongs to no unified diff")
    return files


def apply(content: bytes, hunks: Sequence[Hunk]) -> bytes:
    """`content` with hunks applied, each at the line that it names.

    Raises:
        ValueError: other lines are there.

    """
    lines = _lines(content)
    for hunk in reversed(hunks):
        # From the end, so that what comes before keeps its numbers. Without old lines the number is of the line before.
        first = hunk.old_start - 1 if hunk.old else hunk.old_start
        if lines[first : first + len(hunk.old)] != hunk.old:
            raise ValueError(f"line {hunk.old_start} and what follows is not what the diff is over")
        lines[first : first + len(hunk.old)] = hunk.new
    return b"".join(lines)


def _lines(content: bytes) -> List[bytes]:
    """Lines with their ends, as diff counts them: a carriage return alone ends none."""
    return io.BytesIO(content).readlines()
