"""Ctrl-C, SIGTERM and SIGHUP (a lost terminal) as a request to stop at the next safe point."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Dict, List, Optional

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a process to stop."""


def heeded() -> List[int]:
    """Those of `STOPS` that this process may receive: not SIGHUP under `nohup`, which has it ignored."""
    return [number for number in STOPS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def is_stop(exit_code: int) -> bool:
    """Whether a process with this exit code was stopped by one of `STOPS`."""
    return exit_code - 128 in STOPS


class StopRequest:
    """Within the block, the first signal is only noted; a second SIGINT or SIGTERM ends the process at once.

    A terminal that is lost sends SIGHUP more than once, and others with it, so that SIGHUP does not count as the first.
    With `once` false, all signals are only noted: one of several processes gets Ctrl-C from the terminal and another
    signal from its launcher.
    """

    def __init__(self, once: bool = True) -> None:
        self._once = once
        self.signal_number: Optional[int] = None
        """The first signal that was received, if any."""
        self._previous: Dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in heeded():
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        self.signal_number = self.signal_number or number
        if self._once and number != signal.SIGHUP:
            for caught in (signal.SIGINT, signal.SIGTERM):
                signal.signal(caught, signal.SIG_DFL)

    @property
    def exit_code(self) -> int:
        """128 plus the number of the signal, as in shells; 0 without a signal."""
        return 128 + self.signal_number if self.signal_number else 0
