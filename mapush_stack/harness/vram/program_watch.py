"""Follows what a training program prints and the memory it takes, until enough is measured."""

from __future__ import annotations

import re
import statistics
import time
from typing import List, Optional, Sequence, Tuple

from ..programs import Program
from .trial import TrialResult

_SETTLED_SHARE, _SETTLED_MIB = 0.01, 1.0
"""Memory that changes by no more than the larger of the two has settled."""
_WARM_UP = 1
"""Rates to leave out before those that count."""


class ProgramWatch:
    """Tells when a program trains, how fast, and when to stop it."""

    def __init__(self, program: Program, num_envs: int, updates: int) -> None:
        """`updates` is the number of rates to wait for, if the program prints any."""
        self._program, self._num_envs, self._updates = program, num_envs, updates
        self._begun = time.monotonic()
        self._ready_after: Optional[float] = None if program.ready else 0.0
        self._line = ""
        self._rates: List[float] = []
        self._count: Optional[Tuple[float, float]] = None
        """When the last count of steps or updates was printed, and that count."""

    def read(self, data: bytes) -> None:
        """Take what the program has just printed."""
        *lines, self._line = re.split(r"[\r\n]+", self._line + data.decode(errors="replace"))
        now = time.monotonic() - self._begun
        for line in lines:
            if self._ready_after is None and re.search(self._program.ready, line):
                self._ready_after = now
            found = re.search(self._program.rate, line) if self._program.rate else None
            if found:
                self._note(found, now)

    def measured(self, trace: Sequence[Tuple[float, float]]) -> bool:
        """Whether enough is known: the rates that were asked for, or else that memory has settled."""
        if self._ready_after is None or not trace:
            return False
        if self._program.rate:
            return len(self._rates) >= _WARM_UP + self._updates
        since = trace[-1][0] - self._program.settle
        held = [mib for seconds, mib in trace if seconds >= since]
        allowed = max(_SETTLED_SHARE * held[-1], _SETTLED_MIB)
        return since >= self._ready_after and held[-1] > 0 and max(held) - min(held) <= allowed

    def result(self) -> TrialResult:
        """What was measured so far."""
        rates = self._rates[_WARM_UP:] or self._rates
        return TrialResult(fps=statistics.median(rates) if rates else None, updates=len(rates))

    def missing(self) -> str:
        """What the program has not done yet of what was waited for; empty if it trains."""
        if self._ready_after is None:
            return f"no line matched --ready {self._program.ready}"
        if self._program.rate and not self._rates:
            return f"no rate came from lines that match --rate {self._program.rate}"
        return ""

    def _note(self, found: re.Match[str], now: float) -> None:
        """Note a rate, or what follows from a count and the one before."""
        names = found.groupdict()
        try:
            value = float(next(filter(None, found.groups())).replace(",", ""))
        except (ValueError, StopIteration):
            return
        if "steps" not in names and "updates" not in names:
            self._rates.append(value)
            return
        if self._count is not None and value > self._count[1] and now > self._count[0]:
            unit = self._program.update_steps * self._num_envs if "updates" in names else 1
            self._rates.append((value - self._count[1]) * unit / (now - self._count[0]))
        self._count = now, value
