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
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from ..errors import UserError
from ..system.limits import read_bytes, read_head, read_tail

_HEADER, _FRAME = 12, 16
_MOST_BYTES = 2**27
"""Of a file."""
_BLOCK = 2**14
"""Records whose checksums are computed together."""
_LONGEST_CHECKED, _LONGEST_READ = 2**12, 2**16
"""Bytes of the longest record whose checksum is tested, and that is read; longer ones are pictures or histograms."""
_LAST_STEP, _LAST_SECOND = 2**53, 1e11
"""What is above, or is a time before 1970, is damaged."""
_NUMBERS = {1: ("float_val", "<f4"), 2: ("double_val", "<f8"), 3: ("int_val", "<i4"), 9: ("int64_val", "<i8")}
"""By TensorFlow's number of a type: the field of its values, and how they are packed into bytes."""
_HEAD = 1 << 12
"""Bytes at the start of a file that tell a folder for one tag from one for all tags."""
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
    texts: List[str]
    """Texts that were logged, such as hyperparameters."""


class _Records:
    """The records of one tag in the order of writing, as plain numbers to save memory and time."""

    def __init__(self) -> None:
        self.steps, self.wall, self.values = array("q"), array("d"), array("d")

    def drop_from(self, step: int) -> int:
        """Drop what was logged at `step` and later; returns how many records that were."""
        kept = np.array(self.steps) < step
        for name in () if kept.all() else ("steps", "wall", "values"):
            column = getattr(self, name)
            setattr(self, name, array(column.typecode, np.array(column)[kept].tobytes()))
        return int(np.sum(~kept))

    def series(self) -> Series:
        """The records sorted by steps; if steps repeat, the record written last counts."""
        steps, wall, values = (np.array(column) for column in (self.steps, self.wall, self.values))
        order = np.argsort(steps, kind="stable")
        last = order[np.append(np.diff(steps[order]) != 0, True)]
        return Series(steps[last], wall[last], values[last])


def relative(file: Path, folder: Optional[Path]) -> str:
    """The path of a file relative to a folder; its name if it is not in that folder."""
    return file.relative_to(folder).as_posix() if folder is not None and folder in file.parents else file.name


class _Attempt:
    """Records that continue each other, from the first step of a training to its last."""

    def __init__(self, started: float) -> None:
        self.records: Dict[str, _Records] = {}
        self.started = started
        self.repeated = 0
        """Records that later files logged again."""

    def begins_anew(self, tag: str, step: int) -> bool:
        """True if a record goes back to where its tag began."""
        found = self.records.get(tag)
        return found is not None and bool(found.steps) and step <= found.steps[0] < found.steps[-1]

    @property
    def ends(self) -> Tuple[int, int]:
        """First and last step."""
        logged = [one.steps for one in self.records.values() if one.steps]
        steps = [step for one in logged for step in (min(one), max(one))]
        return min(steps, default=0), max(steps, default=0)

    @property
    def count(self) -> int:
        """Number of records."""
        return sum(len(one.steps) for one in self.records.values())

    @property
    def last_wall(self) -> float:
        """Unix seconds of the last record."""
        return max((one.wall[-1] for one in self.records.values() if one.wall), default=-math.inf)


def read_folder(files: List[Path], root: Optional[Path] = None, newest: bool = False) -> Events:
    """Read the event files of one folder, which continue each other.

    They are read in the order of their names, as TensorBoard does; clocks may have been set back. Problems name the
    files relative to `root`. A process that resumes a run writes the step at which it continues (`purge_step`). In a
    file without it, the first record of each tag replaces all earlier records of that tag from the same step on. If
    the steps go back to the start, another training began, and the one that went furthest is read; with `newest` it
    replaces the earlier one.
    """
    half_written: List[Path] = []
    problems: List[str] = []
    texts: List[str] = []
    contents = []
    for file in sorted(files):
        try:
            contents.append((file, _File(read_bytes(file, _MOST_BYTES))))
        except UserError as error:
            problems.append(str(error))
    attempts: List[_Attempt] = [_Attempt(math.inf)]
    for file, content in contents:
        _append(attempts, content, newest)
        texts += content.texts
        problems += [f"{relative(file, root)} {problem}" for problem in content.problems]
        if content.half_written:
            half_written.append(file)
    read = max(reversed(attempts), key=lambda one: one.ends[1])
    if len(attempts) > 1:
        which = "; ".join("steps {:,} to {:,} ({:,} records)".format(*one.ends, one.count) for one in attempts)
        problems.append(
            f"holds {len(attempts)} trainings that each begin anew: {which}; only the one that went furthest is read"
        )
    if read.repeated and not newest:
        problems.append(f"{read.repeated:,} records were logged again by a later file, and the later ones count")
    series = {tag: found.series() for tag, found in read.records.items() if found.steps}
    return Events(series, read.started if math.isfinite(read.started) else math.nan, half_written, problems, texts)


def _append(attempts: List[_Attempt], content: _File, newest: bool) -> None:
    """Add the records of a file to the attempts of the files before it."""
    met: Set[str] = set()
    # Files that were written at the same time are several writers of one training.
    continues = newest or content.started < attempts[-1].last_wall
    attempts[-1].started = min(attempts[-1].started, content.started)
    for event in content.events():
        step, wall = event.step, event.wall_time
        for value in event.summary.value:
            number = content.number(value)
            if number is None:
                continue
            tag = value.tag
            if tag not in met:
                if not continues and attempts[-1].begins_anew(tag, step):
                    attempts.append(_Attempt(content.started))
                    continues = True
                met.add(tag)
                attempts[-1].repeated += attempts[-1].records.setdefault(tag, _Records()).drop_from(step)
            found = attempts[-1].records[tag]
            found.steps.append(step)
            found.wall.append(wall)
            found.values.append(number)
        if step and event.HasField("session_log") and event.session_log.status == event.session_log.START:
            for found in attempts[-1].records.values():
                found.drop_from(step)


class _File:
    """The events of one file that can be read."""

    def __init__(self, data: bytes) -> None:
        """Find the records of the file."""
        self.half_written = False
        self.problems: List[str] = []
        self.texts: List[str] = []
        self._scalars: Set[str] = set()
        self._odd: Counter[str] = Counter()
        starts, lengths = self._frames(data)
        whole = _sums_match(data, starts, lengths)
        if not whole.all():
            self.problems.append(f"has {np.sum(~whole)} damaged of {len(whole)} records, which are left out")
        self._data, self._starts, self._lengths = data, starts[whole], lengths[whole]
        known = len(self.problems)
        self.started = next((event.wall_time for event in self.events()), math.inf)
        self.problems = self.problems[:known]
        self._odd.clear()

    def _frames(self, data: bytes) -> Tuple[np.ndarray, np.ndarray]:
        """Start and length of each record, up to where the file is cut off or damaged."""
        blocks = [np.zeros((0, 2), dtype=np.int64)]
        position, size = 0, len(data)
        while True:
            block, position = _next_block(data, position)
            right = _header_sums_match(data, block[:, 0])
            first = len(block) if right.all() else int(np.argmin(right))
            blocks.append(block[:first])
            if first < len(block):
                self._damaged_from(int(block[first, 0]), size)
                break
            if not len(block):
                # What is left is a record that is not complete, if its length is one.
                self.half_written = position < size
                if position + _HEADER <= size and not _header_sums_match(data, np.array([position]))[0]:
                    self._damaged_from(position, size)
                break
        starts, lengths = np.concatenate(blocks).T
        return starts, lengths

    def _damaged_from(self, position: int, size: int) -> None:
        if position:
            self.problems.append(f"is damaged from byte {position:,} of {size:,} on; what comes before is read")
        else:
            self.problems.append("is not an event file of TensorBoard: it does not begin with a record")

    def events(self) -> Iterator[Any]:
        """Every Event that can be read; what cannot adds to `problems`."""
        # Imported here because it is slow, and `mapush --help` should not wait for it.
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event

        first = ""
        for start, length in zip((self._starts + _HEADER).tolist(), self._lengths.tolist()):
            if length > _LONGEST_READ:
                continue
            try:
                event = Event.FromString(self._data[start : start + length])
            except DecodeError:
                self._odd["records that are no event of TensorBoard"] += 1
                continue
            # A comparison with NaN is false.
            if 0 <= event.wall_time < _LAST_SECOND and abs(event.step) < _LAST_STEP:
                yield event
            else:
                self._odd["times or steps that cannot be"] += 1
                first = first or f" (the first: step {event.step:,})"
        self.problems += [
            f"has {count} {what}{first if what.startswith('times') else ''}, which are left out"
            for what, count in self._odd.items()
        ]

    def number(self, value: Any) -> Optional[float]:
        """A summary's value as a number; None for a picture or other data."""
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            return float(value.simple_value)
        if kind != "tensor":
            return None
        # TensorFlow 2 marks a tag as scalar in the first value of the tag only.
        plugin = value.metadata.plugin_data.plugin_name
        if plugin == "scalars":
            self._scalars.add(value.tag)
        if plugin == "text":
            self.texts += [text.decode("utf-8", "replace") for text in value.tensor.string_val[:1]]
        if value.tag not in self._scalars:
            return None
        tensor = value.tensor
        field, packed = _NUMBERS.get(tensor.dtype, ("", ""))
        if field and all(dimension.size == 1 for dimension in tensor.tensor_shape.dim):
            if len(tensor.tensor_content) == (np.dtype(packed).itemsize):
                return float(np.frombuffer(tensor.tensor_content, packed)[0])
            if len(getattr(tensor, field)) == 1 and not tensor.tensor_content:
                return float(getattr(tensor, field)[0])
        self._odd[f"scalars that are not one number, under {value.tag[:60]!r}"] += 1
        return None


def _next_block(data: bytes, position: int) -> Tuple[np.ndarray, int]:
    """Start and length `[n, 2]` of the next complete records, by their lengths, and where the last of them ends."""
    found = array("q")
    while position + _HEADER <= len(data) and len(found) < 2 * _BLOCK:
        (length,) = struct.unpack_from("<Q", data, position)
        if position + _FRAME + length > len(data):
            break
        found.extend((position, length))
        position += _FRAME + length
    return np.array(found, dtype=np.int64).reshape(-1, 2), position


def _header_sums_match(data: bytes, starts: np.ndarray) -> np.ndarray:
    """`[n]` bool: True if the checksum after the length at each of `starts` is right."""
    content = np.frombuffer(data, dtype=np.uint8)
    match: np.ndarray = masked_sums(content, starts, 8) == _words(content, starts + 8)
    return match


def _sums_match(data: bytes, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`[n]` bool: True if the checksum after the record at each of `starts` is right."""
    content = np.frombuffer(data, dtype=np.uint8)
    match = np.ones(len(starts), dtype=bool)
    checked = np.flatnonzero(lengths <= _LONGEST_CHECKED)
    for rows in np.split(checked, range(_BLOCK, len(checked), _BLOCK)):
        begin, end = starts[rows] + _HEADER, starts[rows] + _HEADER + lengths[rows]
        match[rows] = masked_sums(content, begin, lengths[rows]) == _words(content, end)
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


def masked_sums(content: np.ndarray, starts: np.ndarray, lengths: Any) -> np.ndarray:
    """`[n]` masked CRC-32C of the `lengths` bytes (`[n]`, or one for all) at each of `starts`, as TFRecord has it."""
    table = _crc_table()
    lengths = np.broadcast_to(lengths, starts.shape)
    order = np.argsort(-lengths, kind="stable")  # so that those that are not at their end come first
    begin, descending = starts[order], -lengths[order]
    crc = np.full(len(starts), 0xFFFFFFFF, dtype=np.uint32)
    for offset in range(int(lengths.max(initial=0))):
        count = np.searchsorted(descending, -offset)
        crc[:count] = table[(crc[:count] ^ content[begin[:count] + offset]) & 0xFF] ^ (crc[:count] >> 8)
    crc ^= np.uint32(0xFFFFFFFF)
    sums = np.empty_like(crc)
    sums[order] = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
    return sums


def first_tags(files: List[Path]) -> Set[str]:
    """The tags of the numbers in the first bytes of a folder's event files."""
    for file in files:
        try:
            content = _File(read_head(file, _HEAD))
        except UserError:
            continue
        values = [value for event in content.events() for value in event.summary.value]
        found = {value.tag for value in values if content.number(value) is not None}
        if found:
            return found
    return set()


def last_step(file: Path) -> Optional[int]:
    """The step of the last whole record with numbers, found in a file's last bytes; None if there is none.

    Numbers that are logged again over seconds or iterations do not count.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    data = read_tail(file, _TAIL)
    # A record begins where eight bytes are followed by their checksum.
    starts = np.arange(max(len(data) - _HEADER + 1, 0), dtype=np.int64)
    for start in starts[_header_sums_match(data, starts)][::-1].tolist():
        (length,) = struct.unpack_from("<Q", data, start)
        if start + _FRAME + length <= len(data):
            try:
                event = Event.FromString(data[start + _HEADER : start + _HEADER + length])
            except DecodeError:
                continue
            if any(not value.tag.endswith(("/time", "/iter")) for value in event.summary.value):
                return int(event.step)
    return None
