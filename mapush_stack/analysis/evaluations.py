"""Evaluations of checkpoints, from the files of MAPush and of `mapush evaluate`."""

from __future__ import annotations

import contextlib
import errno
import math
import re
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from typing_extensions import Annotated

from ..errors import UserError, of_system
from ..rules import first_error
from ..system import closing
from ..system.atomic import write_json
from ..system.limits import parse_json, read_text
from ..system.stored_file import pop_schema

FILE = "evaluations.json"
"""File in a run's folder: {"schema": 2, "rows": rows of `mapush evaluate --json`}.

Rows of teams in which robots were absent or frozen are under "incomplete_teams".
"""
SCHEMA = 2
"""Schema of `FILE`. In schema 1 the file was a plain list of rows."""
_INCOMPLETE = "incomplete_teams"
_MOST_BYTES = 8 * 2**20
"""Of a file."""
_PUBLISHED = "success_rate.txt"
_PUBLISHED_EPISODES = 300
"""Episodes of MAPush's evaluation (docs/task.md section 11)."""
_LOADED = re.compile(r"Loaded checkpoint from:\s*(.*)")
_STEPS = re.compile(r"rl_model_(\d{1,15})_steps")
_FIGURE = re.compile(r"(success rate|finished time|collision degree|collaboration degree): *(\S+)")


class Evaluation(BaseModel):
    """Figures of a checkpoint under the published protocol; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    steps: int = Field(ge=0, le=10**15)
    """Environment steps of the checkpoint."""
    success_rate: float
    """Share of all first episodes."""
    episodes: Optional[int] = Field(None, ge=0, le=10**15)
    success_interval: Optional[Tuple[float, float]] = None
    """95 % interval of the success rate (Wilson's score interval)."""
    valid_success_rate: Optional[float] = None
    """Success rate over valid resets (docs/task.md section 4)."""
    finished_time: Optional[float] = None
    """Mean over all episodes, s; an unsuccessful one counts as the time limit."""
    collaboration_degree: Optional[float] = None
    causes: Dict[str, Annotated[int, Field(ge=0, le=10**15)]] = {}
    """Number of episodes by how they ended; empty if it is not known."""

    @field_validator("valid_success_rate", "finished_time", "collaboration_degree")
    @classmethod
    def _finite(cls, value: Optional[float]) -> Optional[float]:
        return value if value is not None and math.isfinite(value) else None


class _Row(Evaluation):
    """A row of `FILE`."""

    absent: Tuple[int, ...] = ()
    frozen: Tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all robots took part."""
        return not (self.absent or self.frozen)

    @property
    def key(self) -> Tuple[Any, ...]:
        """What a row is of."""
        return (self.steps, self.absent, self.frozen)


def read(run: Path, total_steps: Optional[int]) -> Tuple[List[Evaluation], List[str]]:
    """All evaluations of a run, sorted by steps, and sentences about what cannot be read.

    `total_steps` of the run is used if MAPush's file does not name the steps of the checkpoints.
    """
    problems: List[str] = []
    found: Dict[int, Evaluation] = {}
    for name, parse in ((_PUBLISHED, lambda text: _published(text, total_steps)), (FILE, _parse)):
        file = run / name
        if not file.exists():
            continue
        try:
            evaluations, notes = parse(read_text(file, _MOST_BYTES, errors="replace"))
        except (ValueError, UserError) as error:
            reason = first_error(error) if isinstance(error, ValidationError) else str(UserError(str(error)))
            problems.append(f"{name} cannot be read as evaluations: {reason}")
            continue
        rates = [evaluation for evaluation in evaluations if 0 <= evaluation.success_rate <= 1]
        found.update((evaluation.steps, evaluation) for evaluation in rates)
        if len(rates) < len(evaluations):
            notes = [*notes, f"has {len(evaluations) - len(rates)} success rates that are not between 0 and 1"]
        problems += [f"{name} {note}" for note in notes]
    return [found[steps] for steps in sorted(found)], problems


def record(rows: Iterable[Dict[str, Any]]) -> None:
    """Store rows of `mapush evaluate` in the folders of the evaluated runs.

    A row replaces an older one of the same checkpoint and team, unless the older one has more episodes. Read-only
    folders and files of a newer schema are left as they are. If the disk is full or fails, a warning says so, and this
    process ends with exit code 1.
    """
    by_run: Dict[Path, List[Dict[str, Any]]] = {}
    for row in rows:
        path = Path(row["path"])
        if _STEPS.fullmatch(path.name) and (path.parents[1] / "config.json").is_file():
            by_run.setdefault(path.parents[1], []).append(row)
    for run, new in by_run.items():
        try:
            _record(run / FILE, new)
        except (PermissionError, FileNotFoundError):
            pass
        except OSError as error:
            if error.errno != errno.EROFS:
                closing.lost.append(FILE)
                closing.warn(f"the evaluation is not kept: {of_system(error)}, then evaluate again")
        except UserError as error:
            closing.warn(f"{run / FILE} is left as it is, without the new rows: {error}")


def _record(file: Path, rows: List[Dict[str, Any]]) -> None:
    text = read_text(file, _MOST_BYTES, errors="replace") if file.exists() else "[]"
    new = [_Row.model_validate(row) for row in rows]
    content: Any = []
    with contextlib.suppress(ValueError):  # a damaged file is replaced
        content = _content(text)
    stored: Dict[str, Any] = {"schema": SCHEMA}
    for name, complete in (("rows", True), (_INCOMPLETE, False)):
        kept = _merged(content, name, [row for row, one in zip(rows, new) if one.complete == complete])
        if kept or complete:
            stored[name] = kept
    write_json(file, stored)


def _merged(content: Any, name: str, new: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """The rows `name` of a file and new ones, by steps and missing robots."""
    kept: Dict[Any, Tuple[int, Dict[str, Any]]] = {}
    with contextlib.suppress(ValueError):
        for row in _rows(content, name):
            old = _Row.model_validate(row)
            kept[old.key] = (old.episodes or 0, row)
    for row in new:
        key = _Row.model_validate(row).key
        if row["episodes"] >= kept.get(key, (0, row))[0]:
            kept[key] = (row["episodes"], {field: value for field, value in row.items() if field != "path"})
    return [kept[key][1] for key in sorted(kept)]


def _content(text: str) -> Any:
    """What a file of this schema or an older one holds.

    Raises:
        ValueError: the file is damaged.
        UserError: its schema number is damaged, or newer than ours.

    """
    content = parse_json(text)
    if isinstance(content, dict):
        pop_schema(content, SCHEMA)
    return content


def _rows(content: Any, name: str = "rows") -> List[Any]:
    """The rows in what a file holds; raise `ValueError` if it is damaged."""
    if isinstance(content, dict):
        content = content.get(name, [] if name == _INCOMPLETE else None)
    elif name == _INCOMPLETE:
        return []
    if not isinstance(content, list):
        raise ValueError("it holds no list of rows")
    return content


def _parse(text: str) -> Tuple[List[Evaluation], List[str]]:
    return [Evaluation.model_validate(row) for row in _rows(_content(text))], []


def _published(text: str, total_steps: Optional[int]) -> Tuple[List[Evaluation], List[str]]:
    """The evaluations in the output of MAPush's `test.py`, and notes about it."""
    parts = _LOADED.split(text)[1:]
    cut = _unfinished(parts[1::2])
    if cut:
        parts[-1] = parts[-1][: -len(cut)]
    figures = [dict(_FIGURE.findall(output)) for output in parts[1::2]]
    notes = [f"ends in {cut!r}, which may lack digits and is left out"] if cut else []
    known = sum("success rate" in row for row in figures)
    without = len(figures) - known - cut.startswith("success rate")
    if without:
        notes.append(f"has no success rate for {without} of {len(figures)} checkpoints")
    if not known:
        return [], notes or ["has no success rate"]
    rates = [float(row["success rate"]) for row in figures if "success rate" in row]
    episodes = _PUBLISHED_EPISODES if all(_share_of(rate, _PUBLISHED_EPISODES) for rate in rates) else None
    if episodes:
        notes.insert(0, f"does not say of how many episodes: {episodes}, as MAPush's test.py plays, are assumed")
    steps = [int(match.group(1)) for match in map(_STEPS.search, parts[::2]) if match]
    if len(steps) < len(figures):
        if total_steps is None:
            return [], [*notes, "does not name the checkpoints' steps, and nothing says how many steps the run has"]
        steps = [total_steps * (index + 1) // len(figures) for index in range(len(figures))]
        notes.append(
            f"does not name the checkpoints' steps: {len(figures)} evenly spaced ones up to {total_steps:,} are assumed"
        )
    return [
        Evaluation.model_validate(
            {"steps": at, "episodes": episodes, **{name.replace(" ", "_"): row[name] for name in row}}
        )
        for at, row in zip(steps, figures)
        if "success rate" in row
    ], notes


def _share_of(rate: float, count: int) -> bool:
    """True if a rate of four decimals is a whole number of `count` episodes, or no number."""
    return not math.isfinite(rate * count) or abs(rate * count - round(rate * count)) <= 0.0001 * count


def _unfinished(outputs: List[str]) -> str:
    """The figure at the very end of the text if it may be cut off; empty if not.

    `test.py` prints a line of dashes after the figures, so a figure that ends the text was cut off. But people also
    keep figures by hand, without dashes. Then other checkpoints end with the same figure, and nothing was cut off.
    """
    *others, last = [list(_FIGURE.finditer(output)) for output in outputs] or [[]]
    if not last or last[-1].end() < len(outputs[-1]):
        return ""
    ends = [found[-1] for found in others if found and not found[-1].string[found[-1].end() :].strip()]
    return "" if any(end.group(1) == last[-1].group(1) for end in ends) else last[-1].group()
