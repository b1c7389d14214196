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
from ..comparison.significance import sentences
from ..comparison.tables import CURVES, SCORES, tables
from ..diagnosis.diagnosis import Diagnosis
from ..diagnosis.run_facts import RunFacts
from ..run import LoggedRun
from . import charts
from .playing import PlayedRun

_HERE = Path(__file__).resolve().parent
_PLOTLY = _HERE / "plotly-basic.min.js.gz"
"""plotly.js 4.1.1, the bundle for lines and bars, as the npm package plotly.js-basic-dist-min has it (gzip -n -9).

It is a quarter of the whole library, which does not fit into a report of 2 MB.
"""
_FEW = 50
"""Longest list of steps that is written where it is used."""
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
    tags: Sequence[str] = (),
) -> None:
    """Write the report; the file is complete or absent. `tags` are patterns of tags to show among the charts.

    Raises:
        UserError: jinja2 is not installed, or the file cannot be written.

    """
    text = _render(found, diagnoses, facts, played, tags)
    try:
        write_text(path, printable(text))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None


def check(path: Path) -> None:
    """Raise an error early if the report cannot be written.

    Raises:
        UserError: jinja2 is not installed, or there is no such folder.

    """
    _jinja2()
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"--html {path} cannot be written: give a file in a folder that exists")


def _render(
    found: Comparison,
    diagnoses: Sequence[Diagnosis],
    facts: Sequence[RunFacts],
    played: Sequence[PlayedRun],
    tags: Sequence[str],
) -> str:
    """The page as text.

    Raises:
        UserError: jinja2 is not installed.

    """
    jinja2 = _jinja2()
    others, not_drawn = charts.other_charts(found, facts, tags)
    drawn = {
        "groups": [group.name for group in found.groups],
        "axis": found.axis,
        "profiles": charts.profiles(found),
        "charts": charts.charts(found, facts, tags),
        "others": others,
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
            tables=[table for table in tables(found) if table.title not in (CURVES, SCORES)],
            scores=next((table for table in tables(found) if table.title == SCORES), None),
            drawn=drawn,
            verdicts=sentences(found.significance),
            not_played=_by_sentence(
                found.labels, ["" if one.successes or one.failures else one.note for one in played]
            ),
            not_judged=_by_sentence(found.labels, [one.reasons for one in diagnoses]),
            not_drawn=not_drawn,
            data=_script_safe(_with_shared_axes(drawn)),
            style=(_HERE / "page.css").read_text(encoding="utf-8"),
            script=(_HERE / "page.js").read_text(encoding="utf-8"),
            plotly=base64.b64encode(_PLOTLY.read_bytes()).decode("ascii"),
        )
    )


def _by_sentence(labels: Sequence[str], sentences: Sequence[str]) -> Dict[str, List[str]]:
    """The labels of the runs that have the same sentence; empty sentences are left out."""
    found: Dict[str, List[str]] = {}
    for label, sentence in zip(labels, sentences):
        if sentence:
            found.setdefault(sentence, []).append(label)
    return found


def _jinja2() -> Any:
    try:
        import jinja2
    except ImportError:
        raise UserError("the report needs jinja2: pip install 'mapush_stack[report]'") from None
    return jinja2


def _with_shared_axes(drawn: Dict[str, Any]) -> Dict[str, Any]:
    """The data with each list under "x" or "h" replaced by its index in a list of all.

    Most lines share these lists.
    """
    shared: Dict[str, int] = {}

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [replaced(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            key: shared.setdefault(json.dumps(one), len(shared))
            if key in ("x", "h") and isinstance(one, list) and len(one) > _FEW
            else replaced(one)
            for key, one in value.items()
        }

    small = replaced(drawn)
    return {**small, "axes": [json.loads(text) for text in shared]}


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
