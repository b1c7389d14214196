"""A program's output, line by line as a terminal would have shown it; of a very long one, what tells."""

from __future__ import annotations

import bisect
import codecs
import collections
import io
import itertools
import re
from typing import BinaryIO, Deque, Dict, Iterator, List, Optional, TextIO, Tuple, Union

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""Colours, cursor movements and titles (ECMA-48)."""
_PREFIX = re.compile(
    r"^(?:"
    # docker logs -t, GitHub Actions, ts, Python's logging; Isaac Gym's own lines go on with a bracket
    r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]? (?!\[)"
    r"(?:(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)[: ] ?)?(?:- )?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:[\w.-]+ [\w.@/-]+\[\d+\]: )?"  # syslog, journalctl, ts
    r"|\d{1,4}: "  # srun --label
    r"|[E>] {3}"  # pytest
    r"|\[\d+,\d+\]<std(?:out|err)>: ?"  # mpirun --tag-output
    r"|#\d+ \d+\.\d+ "  # docker build
    r"|\[pod/\S+\] "  # kubectl logs --prefix
    r"|[\w.-]+ +\| "  # docker compose
    r"|\[(?:rank|default|local_rank)?\d+\]: ?"  # torch from 2.3, torchrun, mpirun
    r"|\([\w. ()-]*\bpid=\d+[^)]*\) "  # Ray
    r")"
)
"""What programs that gather others' output put before each line."""
_LABEL = re.compile(r"^(?=\S)([^─╭\n]{1,60}?)Traceback \(most recent call last\)", re.MULTILINE)
"""What a program not listed there puts before a line; before the others it is the same but for its numbers."""
_HALF = 1000
"""Characters that are read at each end of a line: searching in longer ones takes time that grows as their square."""
_SHOWN = 400
"""Characters of a line that are shown."""
_BLOCK = 1 << 18
_HEAD = 1 << 20
_TAIL = 4 << 20
"""Characters that are read whole at the log's start, where machine and versions are named, and end, where it died."""
_MIDDLE = 20_000
"""Lines kept of what lies between."""
_TELLING = re.compile(
    r"rror\b|verflow|out of memory|allocate|Nan, Inf|^Traceback|Killed|\bfault\b|nvidia[-_]|PhysX|GPU Pipeline|lavapipe"
    r"|undefined symbol|Ninja is|too old|Exception",
    re.MULTILINE,
)
"""What a line between them is kept for."""
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\r\b\f\x1b"})


class Log:
    """Lines, numbered from 1, and where expressions are found in them."""

    def __init__(self, output: Union[bytes, BinaryIO]) -> None:
        """Read a program's output, of whatever length, in bounded memory.

        Args:
            output: bytes in UTF-8 or, as PowerShell writes them, UTF-16; whatever they are not is replaced.

        """
        lines, self._numbers, self._count = _read(_decoded(io.BytesIO(output) if isinstance(output, bytes) else output))
        self._text = _unlabelled("\n".join(lines))
        self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._found: Dict[str, List[int]] = {}

    def __len__(self) -> int:
        """Lines; an empty one after the last line's end is none."""
        return self._count

    def line(self, number: int) -> str:
        """A line without its end; a very long one is cut."""
        index = bisect.bisect_left(self._numbers, number)
        end = self._starts[index + 1] if index + 1 < len(self._starts) else len(self._text)
        line = self._text[self._starts[index] : end].strip()
        return line if len(line) <= _SHOWN else line[:_SHOWN] + " ..."

    def find(self, pattern: str) -> List[int]:
        """The numbers of the lines in which an expression is found, in order."""
        if pattern not in self._found:
            self._found[pattern] = sorted({first for first, _ in self.spans(pattern)})
        return self._found[pattern]

    def spans(self, pattern: str, last: Optional[int] = None) -> List[Tuple[int, int]]:
        """First and last lines of what an expression finds in all lines, or in the last so many, in order."""
        first = 0 if last is None else bisect.bisect_right(self._numbers, len(self) - last)
        start = self._starts[first] if first < len(self._numbers) else len(self._text)
        matches = re.compile(pattern, re.MULTILINE).finditer(self._text, start)
        return [(self._number(match.start()), self._number(match.end())) for match in matches]

    def groups(self, pattern: str) -> Optional[Tuple[int, Tuple[str, ...]]]:
        """Where an expression is found last, and what its groups hold there."""
        for match in collections.deque(re.finditer(pattern, self._text, re.MULTILINE), maxlen=1):
            return self._number(match.start()), match.groups()
        return None

    def last(self, count: int) -> List[int]:
        """The numbers of the last lines that are not blank, in order."""
        numbers: List[int] = []
        for number in reversed(self._numbers):
            if len(numbers) == count:
                break
            if self.line(number):
                numbers.insert(0, number)
        return numbers

    def _number(self, place: int) -> int:
        return self._numbers[bisect.bisect_right(self._starts, place) - 1]


def is_text(sample: bytes) -> bool:
    """Whether a file that starts so can be a log, in whatever encoding.

    A twentieth may be what no terminal shows, against a ninth of random bytes. NULs at either end do not count: a log
    that was emptied while its program wrote on starts with them.
    """
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    shown = sample.strip(b"\0")
    return len(shown) - len(shown.translate(None, _CONTROLS)) <= len(shown) / 20


def _decoded(output: BinaryIO) -> TextIO:
    stream = io.BufferedReader(output)  # type: ignore[arg-type]
    utf16 = stream.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return io.TextIOWrapper(stream, "utf-16" if utf16 else "utf-8-sig", errors="replace", newline="")


def _read(text: TextIO) -> Tuple[List[str], List[int], int]:
    """Lines that are kept, their numbers, and how many lines there are."""
    kept: List[Tuple[int, str]] = []
    waiting: Deque[Tuple[int, str]] = collections.deque()
    number, size, head, middle = 1, 0, 0, 0
    for block in _blocks(text):
        waiting.append((number, block))
        size += len(block)
        number += block.count("\n")
        while size - len(waiting[0][1]) >= _TAIL:
            first, oldest = waiting.popleft()
            size -= len(oldest)
            if head < _HEAD:
                head += len(oldest)
                kept += _lines(first, oldest)
            elif middle < _MIDDLE:
                telling = [*itertools.islice(_telling(first, oldest), _MIDDLE - middle)]
                middle += len(telling)
                kept += telling
    unfinished = bool(waiting) and not waiting[-1][1].endswith("\n")
    for first, block in waiting:
        kept += _lines(first, block)
    return [_visible(line) for _, line in kept], [place for place, _ in kept], number - 1 + unfinished


def _lines(first: int, block: str) -> Iterator[Tuple[int, str]]:
    """The lines of a block, the first of which has the number `first`."""
    return enumerate(block[: -1 if block.endswith("\n") else None].split("\n"), first)


def _telling(first: int, block: str) -> Iterator[Tuple[int, str]]:
    """Those of its lines that tell something."""
    number, place = first, 0
    for match in _TELLING.finditer(block):
        if match.start() >= place:
            number += block.count("\n", place, match.start())
            end = block.index("\n", match.start()) + 1
            yield number, block[block.rfind("\n", 0, match.start()) + 1 : end - 1]
            number, place = number + 1, end


def _blocks(text: TextIO) -> Iterator[str]:
    """Blocks of whole lines; of a line that is longer than some blocks, its start and its end."""
    rest = ""
    for block in iter(lambda: text.read(_BLOCK), ""):
        whole, end, rest = (rest + block).rpartition("\n")
        if end:
            yield whole + end
        elif len(rest) > 4 * _BLOCK:
            rest = rest[:_HALF] + rest[-_BLOCK:]
    if rest:
        yield rest


def _unlabelled(text: str) -> str:
    """The lines without what stands before a traceback's first one; its numbers, such as times, may differ."""
    labels = {re.sub(r"\d+", r"\\d+", re.escape(match.group(1))) for match in _LABEL.finditer(text)}
    return re.sub("^(?:" + "|".join(sorted(labels)) + ")", "", text, flags=re.MULTILINE) if labels else text


def _visible(line: str) -> str:
    """A line as it is shown: without colours, what a progress bar wrote over, and the middle of a very long one."""
    line = _ESCAPES.sub("", line).replace("\0", "").rstrip("\r")
    line = _PREFIX.sub("", line[line.rfind("\r") + 1 :])
    return line if len(line) <= 2 * _HALF else f"{line[:_HALF]} ... {line[-_HALF:]}"
