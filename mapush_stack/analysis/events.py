"""Reads TensorBoard's event files as series of numbers, as far as they are intact.

The format is TFRecord. Each record has its length (uint64), the masked CRC-32C of those 8 bytes, the record itself (an
Event message) and its masked CRC-32C. TensorBoard's reader computes the checksums byte by byte in Python, which takes
four fifths of its time. Here they are computed for all records of one length together.
"""

from __future__ import annotations

import functools
import math
import struct
from array import array
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

import numpy as np

_HEADER, _FRAME = 12, 16
_LONGEST_CHECKED = 4096
"""Bytes of the longest record whose checksum is tested.

Longer records are pictures or histograms, which are not read.
"""
_LONGEST = 2**31
"""Bytes of the longest record that protocol buffers allow."""
_TAIL = 1 << 14
"""Bytes at the end of a file that hold its last record, unless that is a picture."""


class Series(NamedTuple):
    """One quantity over a training."""

    steps: np.ndarray
    """`[n]` int64, environment steps of 0.02 s, ascending."""
    wall: np.ndarray
    """`[n]` float64, unix seconds at which each value was logged."""
    values: np.ndarray
    """`[n]` float64"""

    def finite(self) -> Series:
        """The series without values that are NaN or infinite."""
        kept = np.isfinite(self.values)
        return self if kept.all() else Series(*(column[kept] for column in self))


def longest(series: Dict[str, Series]) -> Optional[Series]:
    """The series with the most records, None if there is none."""
    return max(series.values(), key=lambda one: len(one.steps), default=None)


def times_at(steps: np.ndarray, series: Dict[str, Series]) -> np.ndarray:
    """`[n]` unix seconds at which training reached `steps` `[n]`.

    Interpolated in the longest series; NaN if there is none.
    """
    clock = longest(series)
    return np.full(len(steps), np.nan) if clock is None else np.interp(steps, clock.steps, clock.wall)


class Events(NamedTuple):
    """The scalars of a folder's event files."""

    series: Dict[str, Series]
    """Series by tag."""
    started: float
    """Unix seconds of the first record, NaN if there is none."""
    half_written: List[Path]
    """Files that end within a record or line.

    They are being written, or the program that wrote them was killed.
    """
    problems: List[str]
    """Sentences about what could not be read."""


class _Records:
    """The records of one tag in the order of writing, as plain numbers to save memory and time."""

    def __init__(self) -> None:
        self.steps, self.wall, self.values = array("q"), array("d"), array("d")

    def drop_from(self, step: int) -> None:
        """Drop what was logged at `step` and later."""
        kept = [index for index, at in enumerate(self.steps) if at < step]
        for name in ("steps", "wall", "values"):
            column = getattr(self, name)
            setattr(self, name, array(column.typecode, [column[index] for index in kept]))

    def series(self) -> Series:
        """The records sorted by steps; if steps repeat, the record written last counts."""
        steps, wall, values = (np.array(column) for column in (self.steps, self.wall, self.values))
        order = np.argsort(steps, kind="stable")
        last = order[np.append(np.diff(steps[order]) != 0, True)]
        return Series(steps[last], wall[last], values[last])


def relative(file: Path, folder: Optional[Path]) -> str:
    """The path of a file relative to a folder; its name if it is not in that folder."""
    return file.relative_to(folder).as_posix() if folder is not None and folder in file.parents else file.name


def read_folder(files: List[Path], root: Optional[Path] = None) -> Events:
    """Read the event files of one folder, which continue each other.

    Problems name the files relative to `root`. A process that resumes a run writes the step at which it continues
    (`purge_step`). In a file without it, the first record of each tag replaces all earlier records of that tag from
    the same step on.
    """
    records: Dict[str, _Records] = {}
    half_written: List[Path] = []
    problems: List[str] = []
    contents = []
    for file in files:
        try:
            contents.append((file, _File(file.read_bytes())))
        except OSError as error:
            problems.append(f"{relative(file, root)} cannot be read: {error.strerror or error}")
    contents.sort(key=lambda pair: pair[1].started)
    for file, content in contents:
        _append(records, content)
        problems += [f"{relative(file, root)} {problem}" for problem in content.problems]
        if content.half_written:
            half_written.append(file)
    started = min((content.started for _, content in contents), default=math.inf)
    series = {tag: found.series() for tag, found in records.items() if found.steps}
    return Events(series, started if math.isfinite(started) else math.nan, half_written, problems)


def _append(records: Dict[str, _Records], content: _File) -> None:
    """Add the records of a file to the records of the files before it."""
    met = set()
    for event in content.events():
        step, wall = event.step, event.wall_time
        for value in event.summary.value:
            number = content.number(value)
            if number is None:
                continue
            tag = value.tag
            if tag not in met:
                met.add(tag)
                records.setdefault(tag, _Records()).drop_from(step)
            found = records[tag]
            found.steps.append(step)
            found.wall.append(wall)
            found.values.append(number)
        if step and event.HasField("session_log") and event.session_log.status == event.session_log.START:
            for found in records.values():
                found.drop_from(step)


class _File:
    """The events of one file that can be read."""

    def __init__(self, data: bytes) -> None:
        """Find the records of the file."""
        self.half_written = False
        self.problems: List[str] = []
        self._scalars: Set[str] = set()
        starts, lengths = self._frames(data)
        whole = _sums_match(data, starts, lengths)
        if not whole.all():
            self.problems.append(f"has {np.sum(~whole)} damaged of {len(whole)} records, which are left out")
        self._data, self._starts, self._lengths = data, starts[whole], lengths[whole]
        self.started = next((event.wall_time for event in self.events()), math.inf)

    def _frames(self, data: bytes) -> Tuple[np.ndarray, np.ndarray]:
        """Start and length of each record, up to where the file is cut off or damaged."""
        starts: List[int] = []
        lengths: List[int] = []
        position, size = 0, len(data)
        while position + _HEADER <= size:
            (length,) = struct.unpack_from("<Q", data, position)
            if length > _LONGEST or (length > size - position and not _header_matches(data, position)):
                self._damaged_from(position, size)
                return np.array(starts, dtype=np.int64), np.array(lengths, dtype=np.int64)
            if position + _FRAME + length > size:
                break
            starts.append(position)
            lengths.append(length)
            position += _FRAME + length
        self.half_written = position < size
        found, sizes = np.array(starts, dtype=np.int64), np.array(lengths, dtype=np.int64)
        headers = _header_sums_match(data, found)
        if not headers.all():
            first = int(np.argmin(headers))
            self.half_written = False
            self._damaged_from(int(found[first]), size)
            return found[:first], sizes[:first]
        return found, sizes

    def _damaged_from(self, position: int, size: int) -> None:
        if position:
            self.problems.append(f"is damaged from byte {position:,} of {size:,} on; what comes before is read")
        else:
            self.problems.append("is not an event file of TensorBoard: it does not begin with a record")

    def events(self) -> Iterator[Any]:
        """Every Event that can be read."""
        # Imported here because it is slow, and `mapush --help` should not wait for it.
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event

        for start, length in zip((self._starts + _HEADER).tolist(), self._lengths.tolist()):
            try:
                event = Event.FromString(self._data[start : start + length])
            except DecodeError:
                self.problems.append("holds a record that is no event of TensorBoard; what comes before is read")
                return
            yield event

    def number(self, value: Any) -> Optional[float]:
        """A summary's value as a number; None for a picture or other data."""
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            return float(value.simple_value)
        if kind != "tensor":
            return None
        # TensorFlow 2 marks a tag as scalar in the first value of the tag only.
        if value.metadata.plugin_data.plugin_name == "scalars":
            self._scalars.add(value.tag)
        if value.tag not in self._scalars:
            return None
        from tensorboard.util.tensor_util import make_ndarray

        return float(make_ndarray(value.tensor).reshape(-1)[0])


def _header_matches(data: bytes, position: int) -> bool:
    return bool(_header_sums_match(data, np.array([position], dtype=np.int64))[0])


def _header_sums_match(data: bytes, starts: np.ndarray) -> np.ndarray:
    """`[n]` bool: True if the checksum after the length at each of `starts` is right."""
    content = np.frombuffer(data, dtype=np.uint8)
    match: np.ndarray = masked_sums(content, starts, 8) == _words(content, starts + 8)
    return match


def _sums_match(data: bytes, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`[n]` bool: True if the checksum after the record at each of `starts` is right."""
    content = np.frombuffer(data, dtype=np.uint8)
    match = np.ones(len(starts), dtype=bool)
    for length in np.unique(lengths[lengths <= _LONGEST_CHECKED]).tolist():
        rows = np.flatnonzero(lengths == length)
        begin = starts[rows] + _HEADER
        match[rows] = masked_sums(content, begin, length) == _words(content, begin + length)
    return match


def _words(content: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """`[n]` the little-endian uint32 at each of `starts`."""
    return np.ascontiguousarray(content[starts[:, None] + np.arange(4)]).view("<u4")[:, 0]


@functools.lru_cache(maxsize=None)
def _crc_table() -> np.ndarray:
    """`[256]` uint32: the table of CRC-32C, one entry per byte value (RFC 3720, reflected polynomial)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(0x82F63B78), np.uint32(0))
    return table


def masked_sums(content: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """`[n]` masked CRC-32C of the `length` bytes at each of `starts`, as TFRecord defines it."""
    table = _crc_table()
    crc = np.full(len(starts), 0xFFFFFFFF, dtype=np.uint32)
    for offset in range(length):
        crc = table[(crc ^ content[starts + offset]) & 0xFF] ^ (crc >> 8)
    crc ^= np.uint32(0xFFFFFFFF)
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def last_step(file: Path) -> Optional[int]:
    """The step of the last whole record of a file, found in its last bytes; None if there is none."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    with file.open("rb") as opened:
        opened.seek(max(file.stat().st_size - _TAIL, 0))
        data = opened.read()
    # A record begins where eight bytes are followed by their checksum.
    starts = np.arange(max(len(data) - _HEADER + 1, 0), dtype=np.int64)
    for start in starts[_header_sums_match(data, starts)][::-1].tolist():
        (length,) = struct.unpack_from("<Q", data, start)
        if start + _FRAME + length <= len(data):
            try:
                return int(Event.FromString(data[start + _HEADER : start + _HEADER + length]).step)
            except DecodeError:
                continue
    return None
