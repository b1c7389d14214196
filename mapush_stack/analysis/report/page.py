"""The report: one HTML file without anything outside of it."""

from __future__ import annotations

import base64
import json
import shlex
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ... import __version__
from ...errors import UserError
from ...system.atomic import write_text
from ..compare import Comparison
from ..diagnosis.diagnosis import Diagnosis
from ..diagnosis.facts import Facts
from ..export import writable
from ..run import LoggedRun
from ..tables import CURVES, tables
from . import charts
from .playing import Record

_HERE = Path(__file__).resolve().parent
_FILMS = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif", ".png": "image/png"}
_PATTERNS = ("*.mp4", "*.webm", "*.gif", "*-[123].png")
"""What `mapush play --record` and `--stills` write."""
_MOST_BYTES = 12_000_000
"""Of films and pictures together; a report that cannot be sent by mail is none."""


class Film(NamedTuple):
    """A recording that lies in a run's folder."""

    name: str
    kind: str
    """MIME type."""
    address: str
    """A data: address with all of it."""


class Subject(NamedTuple):
    """What the page says of one run."""

    number: int
    """Its place among the comparison's runs."""
    label: str
    group: int
    run: LoggedRun
    diagnosis: Diagnosis
    record: Record
    films: List[Film]
    left_out: List[str]
    """Recordings that were too large."""
    reproduce: str
    """Command line that trains it again; empty where the run does not say."""


def write(
    path: Path, found: Comparison, diagnoses: Sequence[Diagnosis], facts: Sequence[Facts], records: Sequence[Record]
) -> None:
    """Write the report; nothing is left half-written.

    Raises:
        UserError: jinja2 or plotly is not installed, or the file cannot be written.

    """
    text = render(found, diagnoses, facts, records)
    try:
        write_text(path, writable(text))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None


def check(path: Path) -> None:
    """Refuse, before anything is computed, what could not be written.

    Raises:
        UserError: jinja2 or plotly is not installed, or there is no such folder.

    """
    _libraries()
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"--html {path} cannot be written: give a file in a folder that exists")


def render(found: Comparison, diagnoses: Sequence[Diagnosis], facts: Sequence[Facts], records: Sequence[Record]) -> str:
    """The page.

    Raises:
        UserError: jinja2 or plotly is not installed.

    """
    jinja2, get_plotlyjs = _libraries()
    groups = {index: number for number, group in enumerate(found.groups) for index in group.runs}
    subjects = [
        _subject(index, found.labels[index], groups[index], run, diagnoses[index], records[index])
        for index, run in enumerate(found.runs)
    ]
    data = _data(found, facts, records)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(_HERE)), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html").render(
        title=", ".join(group.name for group in found.groups),
        version=__version__,
        found=found,
        subjects=subjects,
        tables=[words for words in tables(found) if words.title != CURVES],
        drawn=data,
        data=_script_safe(data),
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        script=(_HERE / "page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
    )


def _libraries() -> Tuple[Any, Any]:
    try:
        import jinja2
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UserError(f"the report needs {error.name}: pip install 'mapush_stack[report]'") from None
    return jinja2, get_plotlyjs


def _data(found: Comparison, facts: Sequence[Facts], records: Sequence[Record]) -> Dict[str, Any]:
    """Everything that the script draws."""
    return {
        "groups": [group.name for group in found.groups],
        "charts": charts.charts(found, facts),
        "checkpoints": charts.checkpoints(found, [record.evaluations for record in records]),
        "endings": [charts.endings(run) for run in found.runs],
        "terms": [charts.reward_terms(run) for run in found.runs],
    }


def _script_safe(value: Any) -> str:
    """JSON that no text within can end the script element of."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _subject(number: int, label: str, group: int, run: LoggedRun, diagnosis: Diagnosis, record: Record) -> Subject:
    films, left_out = _films(run.path)
    return Subject(
        number=number,
        label=label,
        group=group,
        run=run,
        diagnosis=diagnosis,
        record=record,
        films=films,
        left_out=left_out,
        reproduce=_command(run),
    )


def _films(folder: Path) -> Tuple[List[Film], List[str]]:
    """Recordings and stills in a run's folder, and the names of those that are too large."""
    films: List[Film] = []
    left_out: List[str] = []
    room = _MOST_BYTES
    files = sorted(file for pattern in _PATTERNS for file in folder.glob(pattern)) if folder.is_dir() else []
    for file in files:
        try:
            content = file.read_bytes() if file.stat().st_size <= room else None
        except OSError:
            continue
        if content is None:
            left_out.append(file.name)
            continue
        room -= len(content)
        kind = _FILMS[file.suffix]
        films.append(Film(file.name, kind, f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"))
    return films, left_out


def _command(run: LoggedRun) -> str:
    """The command that the run's manifest holds."""
    words: Optional[Any] = run.manifest.get("command")
    if not isinstance(words, list) or not words:
        return ""
    return " ".join(shlex.quote(str(word)) for word in words)
