"""Ctrl-C and SIGTERM as a request to stop at the next safe point."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Dict, Optional


class StopRequest:
    """Within the block, the first SIGINT or SIGTERM is only noted; the second ends the process at once.

    With `once` false, later signals are ignored too: one of several processes gets Ctrl-C from the terminal and another
    signal from its launcher.
    """

    def __init__(self, once: bool = True) -> None:
        self._once = once
        self.signal_number: Optional[int] = None
        """The first signal that was received, if any."""
        self._previous: Dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        self.signal_number = self.signal_number or number
        for caught in self._previous if self._once else ():
            signal.signal(caught, signal.SIG_DFL)

    @property
    def exit_code(self) -> int:
        """128 plus the number of the signal, as in shells; 0 without a signal."""
        return 128 + self.signal_number if self.signal_number else 0
