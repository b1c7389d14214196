"""A program's output, line by line as a terminal shows it; of a very long one, the lines that matter."""

from __future__ import annotations

import bisect
import codecs
import collections
import io
import itertools
import re
from typing import Deque, Dict, Iterator, List, Optional, TextIO, Tuple, Union

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
"""What programs that collect the output of others put before each line."""
_LABEL = re.compile(r"^(?=\S)([^─╭\n]{1,60}?)Traceback \(most recent call last\)", re.MULTILINE)
"""What an unlisted program puts before each line; it differs only in numbers from line to line."""
_FOLDERS = re.compile(
    r"(?<=['\"])~?/(?!dev/|etc/|usr/share/)[^'\"\n]*/|(?<=['\"])(?:[\w.+@%-]+/)+"
    r"|(?<![\w/.<'\"])~?/(?!dev/|etc/|usr/share/)(?:[\w.+@%-]+/)+"
)
"""The folders of a path: their names tell nothing about a fault, so that expressions do not see them."""
_IGNORED = re.compile(r"^Exception ignored in.*(?:\nTraceback .*(?:\n[ \t].*)*\n\S.*)?", re.MULTILINE)
"""An exception in a destructor, which Python prints and forgets."""
_HALF = 1000
"""Characters kept at each end of a line; the time of a search can grow as the square of a line's length."""
_SHOWN = 400
"""Characters of a line that are shown."""
_BLOCK = 1 << 18
_HEAD = 1 << 20
_TAIL = 4 << 20
"""Characters read in full at the start of a log (machine, versions) and at its end (the crash)."""
_MIDDLE = 20_000
"""Most lines kept of the part between start and end."""
_KEPT = re.compile(
    r"rror\b|verflow|out of memory|allocate|Nan, Inf|^Traceback|Killed|\bfault\b|nvidia[-_]|PhysX|GPU Pipeline|lavapipe"
    r"|undefined symbol|Ninja is|too old|Exception|alling back",
    re.MULTILINE,
)
"""Lines of that part are kept if they match."""
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\r\b\f\x1b"})


class Log:
    """The lines of a log, numbered from 1, and searches in them."""

    def __init__(self, output: Union[bytes, io.BufferedReader]) -> None:
        """Read a program's output of any length in bounded memory.

        Args:
            output: UTF-8, or UTF-16 with a byte order mark (PowerShell); other bytes are replaced.

        """
        lines, self._numbers, self._count = _read(_decoded(output))
        text = _unlabelled("\n".join(lines))
        self._lines = text.split("\n")
        self._text = _FOLDERS.sub("", _IGNORED.sub(lambda ignored: "\n" * ignored.group().count("\n"), text))
        self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._found: Dict[str, List[int]] = {}

    def __len__(self) -> int:
        """The number of lines; an empty one after the last line break does not count."""
        return self._count

    def line(self, number: int) -> str:
        """A line without its line break; a very long one is cut."""
        line = self._lines[bisect.bisect_left(self._numbers, number)].strip()
        return line if len(line) <= _SHOWN else line[:_SHOWN] + " ..."

    def find(self, pattern: str) -> List[int]:
        """The numbers of the lines that match an expression, ascending."""
        if pattern not in self._found:
            self._found[pattern] = sorted({first for first, _ in self.spans(pattern)})
        return self._found[pattern]

    def spans(self, pattern: str, last: Optional[int] = None) -> List[Tuple[int, int]]:
        """First and last line of each match of an expression, in all lines or in the last `last` ones."""
        first = 0 if last is None else bisect.bisect_right(self._numbers, len(self) - last)
        start = self._starts[first] if first < len(self._numbers) else len(self._text)
        matches = re.compile(pattern, re.MULTILINE).finditer(self._text, start)
        return [(self._number(match.start()), self._number(match.end())) for match in matches]

    def groups(self, pattern: str) -> Optional[Tuple[int, Tuple[str, ...]]]:
        """The line and the groups of the last match of an expression."""
        for match in collections.deque(re.finditer(pattern, self._text, re.MULTILINE), maxlen=1):
            return self._number(match.start()), match.groups()
        return None

    def named(self, patterns: List[str]) -> List[str]:
        """What the first group of an expression finds, with its folders, in the order of the lines; each once."""
        if not patterns:
            return []
        found = re.compile("|".join(patterns), re.MULTILINE).finditer("\n".join(self._lines))
        return list(dict.fromkeys(match.group(match.lastindex or 0) for match in found))

    def last(self, count: int) -> List[int]:
        """The numbers of the last `count` lines that are not blank, ascending."""
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
    """Whether a file that starts with these bytes can be a log, in any encoding.

    Up to a twentieth may be control characters; of random bytes it is a ninth. NULs at either end do not count: a log
    that was emptied while its program wrote to it starts with them.
    """
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    shown = sample.strip(b"\0")
    return len(shown) - len(shown.translate(None, _CONTROLS)) <= len(shown) / 20


def _decoded(output: Union[bytes, io.BufferedReader]) -> TextIO:
    start = output[:2] if isinstance(output, bytes) else output.peek(2)[:2]
    encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    stream = io.BytesIO(output) if isinstance(output, bytes) else output
    return io.TextIOWrapper(stream, encoding, errors="replace", newline="")


def _read(text: TextIO) -> Tuple[List[str], List[int], int]:
    """The kept lines, their numbers, and the number of all lines."""
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
                matching = [*itertools.islice(_matching(first, oldest), _MIDDLE - middle)]
                middle += len(matching)
                kept += matching
    unfinished = bool(waiting) and not waiting[-1][1].endswith("\n")
    for first, block in waiting:
        kept += _lines(first, block)
    return [_visible(line) for _, line in kept], [place for place, _ in kept], number - 1 + unfinished


def _lines(first: int, block: str) -> Iterator[Tuple[int, str]]:
    """The numbered lines of a block whose first line has the number `first`."""
    return enumerate(block[: -1 if block.endswith("\n") else None].split("\n"), first)


def _matching(first: int, block: str) -> Iterator[Tuple[int, str]]:
    """The numbered lines of a block that match `_KEPT`."""
    number, place = first, 0
    for match in _KEPT.finditer(block):
        if match.start() >= place:
            number += block.count("\n", place, match.start())
            end = block.index("\n", match.start()) + 1
            yield number, block[block.rfind("\n", 0, match.start()) + 1 : end - 1]
            number, place = number + 1, end


def _blocks(text: TextIO) -> Iterator[str]:
    """Blocks of whole lines; of a line that is longer than several blocks, only start and end."""
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
    """The lines without the label that stands before a traceback; numbers in the label, such as times, may differ."""
    labels = {re.sub(r"\d+", r"\\d+", re.escape(match.group(1))) for match in _LABEL.finditer(text)}
    return re.sub("^(?:" + "|".join(sorted(labels)) + ")", "", text, flags=re.MULTILINE) if labels else text


def _visible(line: str) -> str:
    """A line as a terminal shows it: without colours and overwritten parts; a very long one without its middle."""
    line = _ESCAPES.sub("", line).replace("\0", "").rstrip("\r")
    line = _PREFIX.sub("", line[line.rfind("\r") + 1 :])
    return line if len(line) <= 2 * _HALF else f"{line[:_HALF]} ... {line[-_HALF:]}"
