"""Applies unified diffs to bytes, each hunk exactly at its line.

Programs that apply diffs search for the place of a hunk and accept differences. Here each file has a known sha256
before and after, so there is nothing to search for.
"""

from __future__ import annotations

import io
import re
from typing import Dict, List, NamedTuple, Sequence

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class Hunk(NamedTuple):
    """Lines, with their line breaks, that replace others from line `old_start` on, counted from 1."""

    old_start: int
    old: List[bytes]
    new_start: int
    new: List[bytes]

    @property
    def reversed(self) -> Hunk:
        """The hunk that undoes this one."""
        return Hunk(self.new_start, self.new, self.old_start, self.old)


def parse(diff: bytes) -> Dict[str, List[Hunk]]:
    """The hunks of each file, by its path without the leading `b/`.

    Raises:
        ValueError: it is not a unified diff, or a line has no line break.

    """
    files: Dict[str, List[Hunk]] = {}
    lines = iter(_lines(diff))
    path = ""
    for line in lines:
        header = _HUNK.match(line)
        if line.startswith(b"+++ b/"):
            path = line[len(b"+++ b/") :].strip().decode()
        elif header and path:
            old_start, old_count, new_start, new_count = (int(group or b"1") for group in header.groups())
            hunk = Hunk(old_start, [], new_start, [])
            while len(hunk.old) < old_count or len(hunk.new) < new_count:
                body = next(lines, b"")
                if body[:1] not in (b" ", b"-", b"+"):
                    raise ValueError(f"a hunk ends early, at {body!r}")
                for mark, side in ((b"-", hunk.old), (b"+", hunk.new)):
                    if body[:1] in (b" ", mark):
                        side.append(body[1:])
            files.setdefault(path, []).append(hunk)
        elif not line.startswith(b"--- a/"):
            raise ValueError(f"{line!r} belongs to no unified diff")
    return files


def apply(content: bytes, hunks: Sequence[Hunk]) -> bytes:
    """The content after applying the hunks.

    Raises:
        ValueError: the lines at a hunk's place are not those that it replaces.

    """
    lines = _lines(content)
    for hunk in reversed(hunks):  # from the end, so that the line numbers of earlier hunks stay right
        # A hunk that only adds lines names the line before them.
        first = hunk.old_start - 1 if hunk.old else hunk.old_start
        if lines[first : first + len(hunk.old)] != hunk.old:
            raise ValueError(f"line {hunk.old_start} and what follows is not what the diff is over")
        lines[first : first + len(hunk.old)] = hunk.new
    return b"".join(lines)


def _lines(content: bytes) -> List[bytes]:
    """Lines with their line breaks; as for diff, a carriage return alone is none."""
    return io.BytesIO(content).readlines()
