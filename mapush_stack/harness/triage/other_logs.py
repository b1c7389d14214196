"""Logs that another log names, such as those of Ray's workers, Isaac Sim, Java and npm: small, regular files only."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

from ...errors import UserError
from ...system.limits import read_tail
from .diagnosis import Diagnosis, MatchedLine, Verdict, diagnose
from .log import Log, is_text
from .rules import Confidence, Fact, Rules

_MOST = 8
"""Most files and folders that are looked at, and most files that are read."""
_BYTES = 1 << 16
"""Bytes read of each, at its end."""
_ENTRIES = 1000
"""Most entries of a folder that are looked at."""
_ENDINGS = (".log", ".txt", ".out", ".err", ".json")


class _Other(NamedTuple):
    path: Path
    log: Log


def look_further(
    diagnosis: Diagnosis,
    log: Log,
    rules: Rules,
    folder: Path,
    exit_code: Optional[int] = None,
    facts: Optional[Dict[Fact, float]] = None,
) -> Diagnosis:
    """The diagnosis of an unknown crash, with what the logs that its log names say; relative ones are in `folder`."""
    if diagnosis.verdict is not Verdict.UNKNOWN:
        return diagnosis
    for other in _others(log, rules, folder):
        # A file that is named may be of another run, so that it makes nothing more than likely.
        further = diagnose(other.log, rules, None, facts)
        lines = further.telling or [line for match in further.findings[:1] for line in match.evidence]
        told = [MatchedLine(line=None, text=f'{other.path}: "{line.text}"') for line in lines]
        if further.verdict is Verdict.KNOWN:
            first = further.findings[0]
            sure = max(first.confidence, Confidence.MEDIUM, key=lambda one: one.rank)
            finding = first.model_copy(update={"confidence": sure, "evidence": told})
            update = {"verdict": Verdict.KNOWN, "findings": [finding], "telling": [], "fingerprint": None}
            return diagnosis.model_copy(update=update)
        if further.verdict is Verdict.UNKNOWN:
            diagnosis = diagnosis.model_copy(update={"telling": [*diagnosis.telling, *told[-1:]]})
    return diagnosis


def _others(log: Log, rules: Rules, folder: Path) -> Iterator[_Other]:
    """The logs that a log names, the last named first."""
    paths: List[Path] = []
    for name in reversed(log.named(rules.files)[-_MOST:]):
        path = folder / os.path.expanduser(name)  # noqa: PTH111 (pathlib's raises for an unknown user)
        paths += [one for one in _files(path) if one not in paths]
    for path in paths[:_MOST]:
        text = _end(path)
        if text and is_text(text):
            yield _Other(path, Log(text))


def _files(path: Path) -> List[Path]:
    """A log, or the newest ones of a folder of logs."""
    if path.suffix.lower() in _ENDINGS:
        return [path]
    try:
        inside = path / "logs" if (path / "logs").is_dir() else path
        with os.scandir(str(inside)) as entries:
            logs = [one for one in itertools.islice(entries, _ENTRIES) if one.name.endswith(_ENDINGS)]
        logs.sort(key=lambda one: one.stat(follow_symlinks=False).st_mtime, reverse=True)
    except OSError:
        return []
    return [Path(one.path) for one in logs[:_MOST]]


def _end(path: Path) -> bytes:
    """The last bytes of a regular file; none of anything else, nor of what a link leads to."""
    try:
        return b"" if path.is_symlink() else read_tail(path, _BYTES)
    except (UserError, OSError):
        return b""
