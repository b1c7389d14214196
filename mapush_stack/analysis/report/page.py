"""The report's page: one HTML file without links to other files."""

from __future__ import annotations

import base64
import json
import shlex
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from ... import __version__
from ...errors import UserError
from ...system.atomic import write_text
from ...system.limits import read_bytes
from ..comparison.export import printable
from ..comparison.model import Comparison
from ..comparison.tables import CURVES, tables
from ..diagnosis.diagnosis import Diagnosis
from ..diagnosis.run_facts import RunFacts
from ..run import LoggedRun
from . import charts
from .playing import PlayedRun

_HERE = Path(__file__).resolve().parent
_FILMS = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif", ".png": "image/png"}
_PATTERNS = ("*.mp4", "*.webm", "*.gif", "*-[123].png")
"""What `mapush play --record` and `--stills` write."""
_MOST_BYTES = 12_000_000
"""Most bytes of films and pictures together, so that the report can be sent by mail."""


class Film(NamedTuple):
    """A recording in a run's folder."""

    name: str
    kind: str
    """MIME type."""
    address: str
    """A data: address with the whole file."""


class RunSection(NamedTuple):
    """The page's content about one run."""

    number: int
    """Its index in the comparison."""
    label: str
    group: int
    run: LoggedRun
    diagnosis: Diagnosis
    played: PlayedRun
    films: List[Film]
    left_out: List[str]
    """Recordings that were too large."""
    reproduce: str
    """Command line that trains it again; empty if it is not known."""


def write(
    path: Path,
    found: Comparison,
    diagnoses: Sequence[Diagnosis],
    facts: Sequence[RunFacts],
    played: Sequence[PlayedRun],
) -> None:
    """Write the report; the file is complete or absent.

    Raises:
        UserError: jinja2 or plotly is not installed, or the file cannot be written.

    """
    text = _render(found, diagnoses, facts, played)
    try:
        write_text(path, printable(text))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None


def check(path: Path) -> None:
    """Raise an error early if the report cannot be written.

    Raises:
        UserError: jinja2 or plotly is not installed, or there is no such folder.

    """
    _libraries()
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"--html {path} cannot be written: give a file in a folder that exists")


def _render(
    found: Comparison, diagnoses: Sequence[Diagnosis], facts: Sequence[RunFacts], played: Sequence[PlayedRun]
) -> str:
    """The page as text.

    Raises:
        UserError: jinja2 or plotly is not installed.

    """
    jinja2, get_plotlyjs = _libraries()
    drawn = {
        "groups": [group.name for group in found.groups],
        "charts": charts.charts(found, facts),
        "checkpoints": charts.checkpoints(found, [one.evaluations for one in played]),
        "endings": [charts.endings(run) for run in found.runs],
        "terms": [charts.reward_terms(run) for run in found.runs],
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(_HERE)), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return str(
        environment.get_template("page.html").render(
            title=", ".join(group.name for group in found.groups),
            version=__version__,
            found=found,
            sections=[_section(index, found, diagnoses[index], played[index]) for index in range(len(found.runs))],
            tables=[table for table in tables(found) if table.title != CURVES],
            drawn=drawn,
            data=_script_safe(drawn),
            style=(_HERE / "page.css").read_text(encoding="utf-8"),
            script=(_HERE / "page.js").read_text(encoding="utf-8"),
            plotly=get_plotlyjs(),
        )
    )


def _libraries() -> Tuple[Any, Any]:
    try:
        import jinja2
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UserError(f"the report needs {error.name}: pip install 'mapush_stack[report]'") from None
    return jinja2, get_plotlyjs


def _script_safe(value: Any) -> str:
    """JSON in which no text can end the script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _section(index: int, found: Comparison, diagnosis: Diagnosis, played: PlayedRun) -> RunSection:
    run = found.runs[index]
    films, left_out = _films(run.path)
    return RunSection(
        number=index,
        label=found.labels[index],
        group=found.group_of(index),
        run=run,
        diagnosis=diagnosis,
        played=played,
        films=films,
        left_out=left_out,
        reproduce=_command(run.manifest),
    )


def _films(folder: Path) -> Tuple[List[Film], List[str]]:
    """Recordings and stills in a run's folder, and the names of files that are too large."""
    films: List[Film] = []
    left_out: List[str] = []
    room = _MOST_BYTES
    files = sorted(file for pattern in _PATTERNS for file in folder.glob(pattern)) if folder.is_dir() else []
    for file in files:
        try:
            content = read_bytes(file, room)
        except UserError:
            left_out.append(file.name)
            continue
        room -= len(content)
        kind = _FILMS[file.suffix]
        films.append(Film(file.name, kind, f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"))
    return films, left_out


def _command(manifest: Dict[str, Any]) -> str:
    """The command line in a run's manifest."""
    words = manifest.get("command")
    return " ".join(shlex.quote(str(word)) for word in words) if isinstance(words, list) else ""
