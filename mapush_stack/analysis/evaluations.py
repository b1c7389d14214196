"""Evaluated checkpoints: what MAPush and `mapush evaluate` leave beside a run."""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..system.atomic import write_json
from ..system.json_text import parse_json

FILE = "evaluations.json"
"""Rows of `mapush evaluate --json` about this run's checkpoints, in its folder."""
_PUBLISHED = "success_rate.txt"
_PUBLISHED_EPISODES = 300
"""Episodes of MAPush's evaluation (task_spec section 11)."""
_LOADED = re.compile(r"Loaded checkpoint from:\s*(.*)")
_STEPS = re.compile(r"rl_model_(\d+)_steps")
_FIGURE = re.compile(r"(success rate|finished time|collision degree|collaboration degree): *(\S+)")


class Evaluation(NamedTuple):
    """A checkpoint under the published protocol."""

    steps: int
    """Environment steps of the checkpoint."""
    success_rate: float
    """Share of all first episodes."""
    episodes: Optional[int]
    success_interval: Optional[Tuple[float, float]]
    """95 % interval of the success rate (Wilson's score interval)."""
    valid_success_rate: Optional[float]
    """Share of the episodes whose reset broke no rule by itself."""
    finished_time: Optional[float]
    """Mean over all episodes, s; an unsuccessful one counts as the time limit."""
    collaboration_degree: Optional[float]
    causes: Dict[str, int]
    """How many episodes ended in which way; empty where it is not known."""


def read(run: Path, total_steps: Optional[int]) -> Tuple[List[Evaluation], List[str]]:
    """All evaluations of a run, in the order of their steps, and what could not be read of them."""
    problems: List[str] = []
    found: Dict[int, Evaluation] = {}
    for name, parse in ((_PUBLISHED, lambda text: _published(text, total_steps)), (FILE, _own)):
        file = run / name
        if not file.is_file():
            continue
        try:
            evaluations, notes = parse(file.read_text(encoding="utf-8", errors="replace"))
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            problems.append(f"{name} cannot be read as evaluations: {' '.join(str(error).split())}")
            continue
        finite = [evaluation for evaluation in evaluations if math.isfinite(evaluation.success_rate)]
        found.update((evaluation.steps, evaluation) for evaluation in finite)
        if len(finite) < len(evaluations):
            notes = [*notes, f"has {len(evaluations) - len(finite)} success rates that are no finite number"]
        problems += [f"{name} {note}" for note in notes]
    return [found[steps] for steps in sorted(found)], problems


def record(rows: List[Dict[str, Any]]) -> None:
    """Keep rows of `mapush evaluate` in the runs whose checkpoints they are about.

    A row takes the place of one about the same checkpoint, unless that is over more episodes. A run that cannot be
    written, such as one of another user, is left as it is.
    """
    by_run: Dict[Path, List[Dict[str, Any]]] = {}
    for row in rows:
        path = Path(row["path"])
        if _STEPS.fullmatch(path.name) and (path.parents[1] / "config.json").is_file():
            by_run.setdefault(path.parents[1], []).append(row)
    for run, found in by_run.items():
        with contextlib.suppress(OSError):
            _record(run / FILE, found)


def _record(file: Path, rows: List[Dict[str, Any]]) -> None:
    kept: Dict[int, Dict[str, Any]] = {}
    # There is none, or a damaged one is replaced.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = {row["steps"]: row for row in parse_json(file.read_text(encoding="utf-8"))}
    for row in rows:
        if row["episodes"] >= kept.get(row["steps"], row)["episodes"]:
            kept[row["steps"]] = {name: value for name, value in row.items() if name != "path"}
    write_json(file, [kept[steps] for steps in sorted(kept)])


def _own(text: str) -> Tuple[List[Evaluation], List[str]]:
    return [_own_row(row) for row in parse_json(text)], []


def _own_row(row: Dict[str, Any]) -> Evaluation:
    low, high = row["success_interval"]
    return Evaluation(
        steps=int(row["steps"]),
        success_rate=float(row["success_rate"]),
        episodes=int(row["episodes"]),
        success_interval=(float(low), float(high)),
        valid_success_rate=_number(row, "valid_success_rate"),
        finished_time=_number(row, "finished_time"),
        collaboration_degree=_number(row, "collaboration_degree"),
        causes={str(cause): int(count) for cause, count in dict(row["causes"]).items()},
    )


def _published(text: str, total_steps: Optional[int]) -> Tuple[List[Evaluation], List[str]]:
    """What MAPush's `test.py` printed for one checkpoint after the other."""
    parts = _LOADED.split(text)[1:]
    cut = _cut(parts[1::2])
    if cut:
        parts[-1] = parts[-1][: -len(cut)]
    figures = [dict(_FIGURE.findall(output)) for output in parts[1::2]]
    notes = [f"ends in {cut!r}, which may lack digits and is left out"] if cut else []
    told = sum("success rate" in row for row in figures)
    silent = len(figures) - told - cut.startswith("success rate")
    if silent:
        notes.append(f"has no success rate for {silent} of {len(figures)} checkpoints")
    if not told:
        return [], notes or ["has no success rate"]
    steps = [int(match.group(1)) for match in map(_STEPS.search, parts[::2]) if match]
    if len(steps) < len(figures):
        if total_steps is None:
            return [], [*notes, "does not name the checkpoints' steps, and nothing says how many steps the run has"]
        steps = [total_steps * (index + 1) // len(figures) for index in range(len(figures))]
        notes.append(
            f"does not name the checkpoints' steps: {len(figures)} evenly spaced ones up to {total_steps:,} are assumed"
        )
    return [
        Evaluation(
            steps=at,
            success_rate=float(row["success rate"]),
            episodes=_PUBLISHED_EPISODES,
            success_interval=None,
            valid_success_rate=None,
            finished_time=_number(row, "finished time"),
            collaboration_degree=_number(row, "collaboration degree"),
            causes={},
        )
        for at, row in zip(steps, figures)
        if "success rate" in row
    ], notes


def _cut(outputs: List[str]) -> str:
    """The figure that the text ends with in the middle of a line, unless other checkpoints' output ends with it too.

    `test.py` prints a line of dashes after all figures, so that a figure without an end of its line was cut off there;
    but people keep figures by hand, without the dashes and the last line's end.
    """
    *others, last = [list(_FIGURE.finditer(output)) for output in outputs] or [[]]
    if not last or last[-1].end() < len(outputs[-1]):
        return ""
    ends = [found[-1] for found in others if found and not found[-1].string[found[-1].end() :].strip()]
    return "" if any(end.group(1) == last[-1].group(1) for end in ends) else last[-1].group()


def _number(row: Dict[str, Any], name: str) -> Optional[float]:
    """A figure of a row, None where it has none or one that is not finite."""
    value = row.get(name)
    return float(value) if value is not None and math.isfinite(float(value)) else None
