"""Numbers that are logged as text: OpenRL's console log and HARL's `progress.txt`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from .events import Series

_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) \[\w+\] ?(.*)$")
_EPISODE = re.compile(r"Episode: (\d+)/(\d+)")
_NUMBER = re.compile(r"^\t([^\s:]+): (\S+)$")
_ZONE_SECONDS = 900
"""Time zones differ by quarters of an hour."""


@dataclass(frozen=True)
class Text:
    """What a text adds to the event files."""

    series: Dict[str, Series] = field(default_factory=dict)
    """Whole series, with the points that the event files have."""
    total_steps: Optional[int] = None
    started: float = float("nan")
    """Unix seconds of the first line."""
    problems: List[str] = field(default_factory=list)
    half_written: List[Path] = field(default_factory=list)
    """The file, if it ends within a line: it is being written, or its writer was killed."""


class _Console(NamedTuple):
    points: Dict[str, List[Tuple[int, float, float]]]
    """(update, seconds, value) by name."""
    updates: int
    """Updates that the run was to have."""
    started: float


def openrl_console(file: Path, total_steps: Optional[int], logged: Dict[str, Series]) -> Text:
    """OpenRL's `log.txt`: more digits and, where a run was killed, more points than its event files have.

    The log counts updates; how many steps an update has follows from the event files, else from the run's
    `total_steps`. It has the clock of its machine without a time zone, which follows from the event files too.
    """
    if not file.is_file():
        return Text()
    try:
        lines, half_written = _whole_lines(file)
    except OSError as error:
        return Text(problems=[f"{file.name} cannot be read: {error.strerror or error}"])
    console = _parse_console(lines)
    if not console.points:
        return Text(half_written=half_written)
    both = next((tag for tag in console.points if tag in logged), None)
    per_update, shift = 0, 0.0
    if both is not None:
        update, seconds, _ = console.points[both][0]
        first = logged[both]
        per_update = int(first.steps[0]) // (update + 1)
        shift = _ZONE_SECONDS * round((float(first.wall[0]) - seconds) / _ZONE_SECONDS)
    elif total_steps and console.updates:
        per_update = total_steps // console.updates
    if not per_update:
        problem = f"{file.name} counts updates, but nothing says how many steps one has; it is left out"
        return Text(problems=[problem], half_written=half_written)
    merged = {tag: _merge(points, per_update, shift, logged.get(tag)) for tag, points in console.points.items()}
    return Text(merged, console.updates * per_update, console.started + shift, half_written=half_written)


def _whole_lines(file: Path) -> Tuple[List[str], List[Path]]:
    """The lines of a log, and the file if its last line has no end.

    Both programs end every line that they log. A number without the end may lack digits, which nobody would see.

    Raises:
        OSError: it cannot be read.

    """
    text = file.read_text(encoding="utf-8", errors="replace")
    whole, _, rest = text.rpartition("\n")
    return whole.splitlines(), [file] if rest else []


def _parse_console(lines: List[str]) -> _Console:
    points: Dict[str, List[Tuple[int, float, float]]] = {}
    update, updates, seconds, started = -1, 0, float("nan"), float("nan")
    for line in lines:
        stamp = _LINE.match(line)
        if stamp:
            moment = datetime.strptime(stamp.group(1), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
            seconds = moment.timestamp() + int(stamp.group(2)) / 1000
            started = seconds if started != started else started
            episode = _EPISODE.fullmatch(stamp.group(3).strip())
            if episode:
                update, updates = int(episode.group(1)), int(episode.group(2))
            continue
        number = _NUMBER.match(line)
        if number and update >= 0:
            try:
                points.setdefault(number.group(1), []).append((update, seconds, float(number.group(2))))
            except ValueError:
                continue  # a word
    return _Console(points, updates, started)


def _merge(points: List[Tuple[int, float, float]], per_update: int, shift: float, logged: Optional[Series]) -> Series:
    """The points of the log, and those of the event files that it lacks."""
    by_step = {} if logged is None else {int(step): row for step, *row in zip(*logged)}
    by_step.update(((update + 1) * per_update, [seconds + shift, value]) for update, seconds, value in points)
    steps = sorted(by_step)
    table = np.array([by_step[step] for step in steps], dtype=np.float64)
    return Series(np.array(steps, dtype=np.int64), table[:, 0], table[:, 1])


def progress(file: Path, tag: str, logged: Dict[str, Series]) -> Text:
    """HARL's `progress.txt` with lines `steps,mean return`, where the event files do not have it.

    It has no times; they are those of the records beside it.
    """
    if tag in logged or not file.is_file():
        return Text()
    try:
        lines, half_written = _whole_lines(file)
    except OSError as error:
        return Text(problems=[f"{file.name} cannot be read: {error.strerror or error}"])
    rows = [match.groups() for match in (re.fullmatch(r"(\d+),\s*([-+.\deE]+|nan)", line) for line in lines) if match]
    if not rows:
        return Text(half_written=half_written)
    values = {int(step): float(value) for step, value in rows}
    steps = np.array(sorted(values), dtype=np.int64)
    longest = max(logged.values(), key=lambda found: len(found.steps), default=None)
    wall = np.full(len(steps), np.nan) if longest is None else np.interp(steps, longest.steps, longest.wall)
    found = Series(steps, wall, np.array([values[int(step)] for step in steps]))
    return Text({tag: found}, half_written=half_written)
