"""What a check of `mapush doctor` returns."""

from __future__ import annotations

from enum import Enum
from typing import Callable, Tuple

from ...settings import Settings
from ..triage import rules
from ..triage.diagnosis import diagnose
from ..triage.log import Log
from .machine_info import MachineInfo


class Status(str, Enum):
    """How serious the result of a check is."""

    FINE = "fine"
    ABSENT = "absent"
    """Not there, which is no fault."""
    WARNING = "warning"
    """It works, but with trouble."""
    BROKEN = "broken"
    """Something installed or built in cannot work."""


class CheckResult(Settings):
    """The result of a check."""

    check: str
    status: Status
    found: str
    remedy: str = ""


Outcome = Tuple[Status, str, str]
"""Status, what was found, and the remedy."""
Check = Callable[[MachineInfo], Outcome]
NOT_INSTALLED: Outcome = (Status.ABSENT, "Isaac Gym is not installed", "")


def triage_remedy(error: str, otherwise: str) -> str:
    """The remedy of the triage rule that fires on an error message; `otherwise` if none does."""
    matches = diagnose(Log(error.encode()), rules.registered(), exit_code=1).findings
    return matches[0].remedy if matches else otherwise


def last_line(text: str) -> str:
    """The last line of an error message."""
    return text.strip().splitlines()[-1]
