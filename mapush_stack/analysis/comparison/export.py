"""A comparison as JSON, as Markdown, and as plots, for pull requests and papers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, List

from ...errors import UserError
from ..json_values import json_value
from . import plots
from .model import Comparison
from .significance import sentences
from .tables import CURVES, TextTable, tables

_MARKDOWN, _JSON = "comparison.md", "comparison.json"
SCHEMA = 2
"""Schema of the JSON. Schema 1 had no field `schema`."""
_RUN_FIELDS = ("name", "library", "task", "algorithm", "seed", "steps", "axis", "total_steps", "running", "missing")


def to_json(found: Comparison) -> Dict[str, Any]:
    """A comparison as plain data; curves of at most 256 points stand for the series."""
    runs = [
        {
            "path": str(run.path),
            **{name: getattr(run, name) for name in _RUN_FIELDS},
            "unknown": sorted(run.unknown),
            "derived": run.derived,
            "problems": run.problems,
            "evaluations": run.evaluations,
            "checkpoints": [{"steps": steps, "path": str(path)} for steps, path in run.checkpoints],
        }
        for run in found.runs
    ]
    result: Dict[str, Any] = json_value({"schema": SCHEMA, **found._asdict(), "runs": runs})
    return result


def printable(text: str) -> str:
    """The text with all characters replaced that UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def write(found: Comparison, folder: Path) -> List[Path]:
    """Write `comparison.md`, `comparison.json` and the plots into a folder; returns their paths.

    Raises:
        UserError: matplotlib is not installed, or the folder cannot be written.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = plots.draw(found, folder)
        (folder / _MARKDOWN).write_text(printable(_markdown(found, pictures)), encoding="utf-8")
        (folder / _JSON).write_text(json.dumps(to_json(found), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}") from None
    return [folder / _MARKDOWN, folder / _JSON, *pictures]


def _markdown(found: Comparison, pictures: List[Path]) -> str:
    """The tables, the conclusions and the plots."""
    names = ", ".join(group.name for group in found.groups)
    parts = [f"# {names}", *(_table(table) for table in tables(found) if table.title != CURVES)]
    if found.significance:
        parts.append("## significance\n\n" + _list(sentences(found.significance)))
    if found.notes:
        parts.append("## notes\n\n" + _list(found.notes))
    parts += [f"![{picture.stem.replace('-', ' ')}]({picture.name})" for picture in pictures]
    return "\n\n".join(parts) + "\n"


def _list(sentences: List[str]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _table(table: TextTable) -> str:
    rules = ["---" if index in table.prose else "---:" for index in range(len(table.columns))]
    rows = [table.columns, rules, *table.rows]
    return f"## {table.title}\n\n" + "\n".join(f"| {' | '.join(map(_escaped, row))} |" for row in rows)


def _escaped(text: str) -> str:
    """The text with Markdown's special characters escaped."""
    return re.sub(r"([|*_`<\\])", r"\\\1", " ".join(text.split())) if not set(text) <= set("-:") else text
