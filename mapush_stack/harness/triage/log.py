"""A program's output, line by line as a terminal would have shown it."""

from __future__ import annotations

import bisect
import re
from typing import Dict, List, Optional, Tuple

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""Colours, cursor movements and titles (ECMA-48)."""
_HALF = 1000
"""Characters that are read at each end of a line: searching in longer ones takes time that grows as their square."""
_SHOWN = 400
"""Characters of a line that are shown."""


class Log:
    """Lines, numbered from 1, and where expressions are found in them."""

    def __init__(self, output: bytes) -> None:
        text = _ESCAPES.sub("", output.decode("utf-8", errors="replace").replace("\r\n", "\n"))
        self._text = "\n".join(map(_visible, text.split("\n")))
        self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._found: Dict[str, List[int]] = {}

    def __len__(self) -> int:
        """Lines; an empty one after the last line's end is none."""
        return len(self._starts) - (self._text.endswith("\n") or not self._text)

    def line(self, number: int) -> str:
        """A line without its end; a very long one is cut."""
        end = self._starts[number] if number < len(self._starts) else len(self._text)
        line = self._text[self._starts[number - 1] : end].strip()
        return line if len(line) <= _SHOWN else line[:_SHOWN] + " ..."

    def find(self, pattern: str) -> List[int]:
        """The numbers of the lines in which an expression is found, in order."""
        if pattern not in self._found:
            places = (match.start() for match in re.finditer(pattern, self._text, re.MULTILINE))
            self._found[pattern] = sorted({bisect.bisect_right(self._starts, place) for place in places})
        return self._found[pattern]

    def groups(self, pattern: str) -> Optional[Tuple[int, Tuple[str, ...]]]:
        """Where an expression is found last, and what its groups hold there."""
        for match in [*re.finditer(pattern, self._text, re.MULTILINE)][-1:]:
            return bisect.bisect_right(self._starts, match.start()), match.groups()
        return None

    def last(self, count: int) -> List[int]:
        """The numbers of the last lines that are not blank, in order."""
        numbers: List[int] = []
        for number in range(len(self), 0, -1):
            if len(numbers) == count:
                break
            if self.line(number):
                numbers.insert(0, number)
        return numbers


def _visible(line: str) -> str:
    """A line without what a progress bar wrote over, and without the middle of a very long one."""
    line = line[line.rfind("\r") + 1 :]
    return line if len(line) <= 2 * _HALF else f"{line[:_HALF]} ... {line[-_HALF:]}"
