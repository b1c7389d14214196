"""Numbers that other programs log as text: OpenRL's console log and HARL's `progress.txt`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..errors import UserError
from ..system.limits import read_text
from .events import Series, times_at

_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) \[\w+\] ?(.*)$")
_EPISODE = re.compile(r"Episode: (\d{1,9})/(\d{1,9})")
_NUMBER = re.compile(r"^\t([^\s:]+): (\S+)$")
_PROGRESS = re.compile(r"(\d{1,15}),\s*([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?|nan)")
_ZONE_SECONDS = 900
"""Time zones differ by quarters of an hour."""
_LARGEST = float(np.finfo(np.float32).max)
"""Of event files, whose values are 32-bit floats; sums of such values do not overflow."""


@dataclass(frozen=True)
class TextLog:
    """What a text file adds to the event files."""

    series: Dict[str, Series] = field(default_factory=dict)
    """Whole series, with the records of the event files."""
    total_steps: Optional[int] = None
    started: float = float("nan")
    """Unix seconds of the first line."""
    problems: List[str] = field(default_factory=list)
    half_written: List[Path] = field(default_factory=list)
    """The file, if it ends within a line: it is being written, or its writer was killed."""


class _Console(NamedTuple):
    values: Dict[str, List[Tuple[int, float, float]]]
    """(update, seconds, value) by name."""
    updates: int
    """Number of updates that were configured."""
    started: float


def openrl_console(file: Path, total_steps: Optional[int], logged: Dict[str, Series]) -> TextLog:
    """OpenRL's `log.txt`, which has more digits than the event files.

    If the run was killed, it also has more records. The log counts updates. The steps of an update follow from the
    event files, or else from the run's `total_steps`. The log's times have no time zone; a comparison with the event
    files gives it.
    """
    if not file.exists():
        return TextLog()
    try:
        lines, half_written = _whole_lines(file)
    except UserError as error:
        return TextLog(problems=[str(error)])
    console = _parse_console(lines)
    if not console.values:
        return TextLog(half_written=half_written)
    shared = next((tag for tag in console.values if tag in logged), None)
    per_update, shift = 0, 0.0
    if shared is not None:
        update, seconds, _ = console.values[shared][0]
        first = logged[shared]
        per_update = int(first.steps[0]) // (update + 1)
        shift = _ZONE_SECONDS * round((float(first.wall[0]) - seconds) / _ZONE_SECONDS)
    elif total_steps and console.updates:
        per_update = total_steps // console.updates
    if per_update <= 0:
        problem = f"{file.name} counts updates, but nothing says how many steps an update has; it is left out"
        return TextLog(problems=[problem], half_written=half_written)
    merged = {tag: _merge(values, per_update, shift, logged.get(tag)) for tag, values in console.values.items()}
    merged = {tag: series for tag, series in merged.items() if len(series.steps)}
    return TextLog(merged, console.updates * per_update, console.started + shift, half_written=half_written)


def _whole_lines(file: Path) -> Tuple[List[str], List[Path]]:
    """The lines of a log without an unfinished last one, and the file if it has one.

    Both programs end every line with a newline. In a line without one, a number may lack digits.

    Raises:
        UserError: it cannot be read.

    """
    text = read_text(file, errors="replace")
    whole, _, rest = text.rpartition("\n")
    return whole.splitlines(), [file] if rest else []


def _parse_console(lines: List[str]) -> _Console:
    values: Dict[str, List[Tuple[int, float, float]]] = {}
    update, updates, seconds, started = -1, 0, float("nan"), float("nan")
    for line in lines:
        stamp = _LINE.match(line)
        if stamp:
            try:
                moment = datetime.strptime(stamp.group(1), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
            except ValueError:
                continue  # no date
            seconds = moment.timestamp() + int(stamp.group(2)) / 1000
            started = seconds if started != started else started
            episode = _EPISODE.fullmatch(stamp.group(3).strip())
            if episode:
                update, updates = int(episode.group(1)), int(episode.group(2))
            continue
        number = _NUMBER.match(line)
        if number and update >= 0:
            try:
                values.setdefault(number.group(1), []).append((update, seconds, _value(number.group(2))))
            except ValueError:
                continue  # not a number
    return _Console(values, updates, started)


def _value(text: str) -> float:
    """A logged number; infinite if it is too large for an event file."""
    value = float(text)
    return math.copysign(math.inf, value) if abs(value) > _LARGEST else value


def _merge(values: List[Tuple[int, float, float]], per_update: int, shift: float, logged: Optional[Series]) -> Series:
    """The values of the log, and at other steps the values of the event files."""
    by_step = {} if logged is None else {int(step): row for step, *row in zip(*logged)}
    counted = (((update + 1) * per_update, [seconds + shift, value]) for update, seconds, value in values)
    by_step.update((step, row) for step, row in counted if step < 2**53)
    steps = sorted(by_step)
    table = np.array([by_step[step] for step in steps], dtype=np.float64).reshape(-1, 2)
    return Series(np.array(steps, dtype=np.int64), table[:, 0], table[:, 1])


def harl_progress(file: Path, tag: str, logged: Dict[str, Series]) -> TextLog:
    """HARL's `progress.txt` as the series of `tag`, if the event files do not have it.

    Its lines are `steps,mean return`. Times are interpolated from the event files.
    """
    if tag in logged or not file.exists():
        return TextLog()
    try:
        lines, half_written = _whole_lines(file)
    except UserError as error:
        return TextLog(problems=[str(error)])
    rows = [match.groups() for match in map(_PROGRESS.fullmatch, lines) if match]
    if not rows:
        return TextLog(half_written=half_written)
    values = {int(step): _value(value) for step, value in rows}
    steps = np.array(sorted(values), dtype=np.int64)
    series = Series(steps, times_at(steps, logged), np.array([values[int(step)] for step in steps]))
    return TextLog({tag: series}, half_written=half_written)
