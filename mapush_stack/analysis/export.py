"""A comparison as plain JSON, as Markdown, and as plots, for pull requests and papers."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from ..errors import UserError
from . import plots
from .compare import Comparison
from .tables import CURVES, Words, tables

_MARKDOWN, _JSON = "comparison.md", "comparison.json"


def as_json(found: Comparison) -> Dict[str, Any]:
    """Everything but the whole series, whose curves of at most 256 points are there."""
    runs = [
        {
            "path": str(run.path),
            "name": run.name,
            "library": run.library,
            "task": run.task,
            "algorithm": run.algorithm,
            "seed": run.seed,
            "steps": run.steps,
            "total_steps": run.total_steps,
            "running": run.running,
            "missing": run.missing,
            "unknown": sorted(run.unknown),
            "derived": run.derived,
            "problems": run.problems,
            "evaluations": run.evaluations,
            "checkpoints": [{"steps": steps, "path": str(path)} for steps, path in run.checkpoints],
        }
        for run in found.runs
    ]
    rest = {name: getattr(found, name) for name in Comparison._fields if name not in ("runs", "timeline")}
    return as_plain({"runs": runs, **rest})


def as_plain(value: Any) -> Any:
    """Named tuples as objects, arrays as lists, numbers that are not finite as null."""
    if hasattr(value, "_asdict"):
        return {name: as_plain(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {str(name): as_plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [as_plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def writable(text: str) -> str:
    """Text that UTF-8 can hold, whatever bytes a file's name has."""
    return text.encode("utf-8", "replace").decode("utf-8")


def write(found: Comparison, folder: Path) -> List[Path]:
    """Write `comparison.md`, `comparison.json` and the plots into a folder; returns their paths.

    Raises:
        UserError: matplotlib is not installed, or the folder cannot be written.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = plots.draw(found, folder)
        (folder / _MARKDOWN).write_text(writable(markdown(found, pictures)), encoding="utf-8")
        (folder / _JSON).write_text(json.dumps(as_json(found), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}") from None
    return [folder / _MARKDOWN, folder / _JSON, *pictures]


def markdown(found: Comparison, pictures: List[Path]) -> str:
    """The tables, the conclusions and the plots."""
    names = ", ".join(group.name for group in found.groups)
    parts = [f"# {names}", *(_table(words) for words in tables(found) if words.title != CURVES)]
    if found.significance:
        parts.append("## significance\n\n" + _list([verdict.sentence for verdict in found.significance]))
    if found.notes:
        parts.append("## notes\n\n" + _list(found.notes))
    parts += [f"![{picture.stem.replace('-', ' ')}]({picture.name})" for picture in pictures]
    return "\n\n".join(parts) + "\n"


def _list(sentences: List[str]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _table(words: Words) -> str:
    rules = ["---" if index in words.prose else "---:" for index in range(len(words.columns))]
    rows = [words.columns, rules, *words.rows]
    return f"## {words.title}\n\n" + "\n".join(f"| {' | '.join(map(_escaped, row))} |" for row in rows)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([|*_`<\\])", r"\\\1", " ".join(text.split())) if not set(text) <= set("-:") else text
