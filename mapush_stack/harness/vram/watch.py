"""Run a trial's process to its end, however it ends, and note how much memory it takes as it goes."""

from __future__ import annotations

import os
import pty
import select
import time
import tty
from pathlib import Path
from typing import BinaryIO, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from ...system import processes
from ...system.gpu import Card

_SAMPLE_SECONDS = 0.05
_AFTERWARDS_SECONDS = 0.2
"""How long the last output is waited for where a process that the trial left holds the line."""
_SETTLE_SECONDS = 10.0
"""How long a driver may take to have back what an ended process held."""
_SETTLED_MIB = 32.0
_TRACE_POINTS = 100
"""Kept of a memory trace."""

Trace = List[Tuple[float, float]]
"""Seconds since the start and MiB."""


class Watched(NamedTuple):
    """What became of a process."""

    exit_code: int
    """0 to 255, or a signal's negative number."""
    seconds: float
    peak_mib: float
    measured_by: str
    """`process`: NVML, for this process; `device`: NVML, the card's use less that before the start; `rss`: the host."""
    trace: Trace
    stopped: str
    """`timeout`, `limit` or `request` where it was killed from here, else empty."""


class HostMeter:
    """Memory of a process and its descendants on the host."""

    def __init__(self) -> None:
        self._peak, self._trace = 0.0, _Trace()

    def sample(self, family: processes.Family, seconds: float) -> float:
        """Take note of what is held now; returns it, MiB."""
        held = family.resident_mib()
        self._peak = max(self._peak, held)
        self._trace.add(seconds, held)
        return held

    def result(self) -> Tuple[float, str, Trace]:
        """Peak, how it was measured, and the trace."""
        return self._peak, "rss", self._trace.points


class CardMeter:
    """Memory of a process and its descendants on a GPU.

    What NVML shows for the process where it does, else the growth of what is in use on the card: in a container NVML
    knows processes by other numbers.
    """

    def __init__(self, card: Card, idle_mib: float) -> None:
        """`idle_mib` is in use without a trial; a card that still frees memory is waited for."""
        self._card = card
        due = time.monotonic() + _SETTLE_SECONDS
        while card.memory().used > idle_mib + _SETTLED_MIB and time.monotonic() < due:
            time.sleep(_SAMPLE_SECONDS)
        self._before = card.memory().used
        self._of_process, self._of_card = _Trace(), _Trace()

    def sample(self, family: processes.Family, seconds: float) -> float:
        """As `HostMeter.sample`."""
        grown = max(self._card.memory().used - self._before, 0.0)
        self._of_card.add(seconds, grown)
        held = self._card.held_by({process.pid for process in family.members()})
        if held is None:
            return grown
        self._of_process.add(seconds, held)
        return held

    def result(self) -> Tuple[float, str, Trace]:
        """As `HostMeter.result`."""
        trace, how = (self._of_process, "process") if self._of_process.points else (self._of_card, "device")
        return trace.peak, how, trace.points


class _Trace:
    """Samples, thinned out as they come in; their peak stays among them."""

    def __init__(self) -> None:
        self.points: Trace = []
        self.peak = 0.0
        self._interval = 0.0

    def add(self, seconds: float, mib: float) -> None:
        """Take in a sample."""
        if mib <= self.peak and self.points and seconds < self.points[-1][0] + self._interval:
            return
        self.peak = max(self.peak, mib)
        self.points.append((round(seconds, 2), round(mib, 1)))
        if len(self.points) > 2 * _TRACE_POINTS:
            last = self.points[-1]
            self._interval = 2 * seconds / len(self.points)
            highest = max(self.points, key=lambda point: point[1])
            self.points = sorted({*self.points[::2], highest, last})


def watch(
    command: List[str],
    environment: Dict[str, str],
    log: Path,
    meter: Union[HostMeter, CardMeter],
    timeout: float,
    limit_mib: Optional[float],
    stop: Callable[[], bool],
) -> Watched:
    """Run a command to its end; what it prints goes into `log`.

    It prints into a pseudo-terminal: written into a file, the last lines before a crash would be lost in the buffers of
    Isaac Gym's C library. It is killed when it takes longer than `timeout` seconds, holds more than `limit_mib`, or
    `stop` says so.
    """
    outside, inside = pty.openpty()
    tty.setraw(inside)  # no carriage returns that it did not print
    begun = time.monotonic()
    process = processes.start(command, env=environment, stdin=inside, stdout=inside, stderr=inside, close_fds=True)
    os.close(inside)
    family, stopped = processes.Family(process.pid), ""
    try:
        with log.open("wb") as kept:
            while process.poll() is None:
                seconds = time.monotonic() - begun
                held = meter.sample(family, seconds)
                if limit_mib is not None and held > limit_mib:
                    stopped = "limit"
                elif seconds > timeout:
                    stopped = "timeout"
                elif stop():
                    stopped = "request"
                if stopped:
                    processes.end(process)
                if not _pass_on(outside, kept, _SAMPLE_SECONDS):
                    time.sleep(_SAMPLE_SECONDS)
            _pass_on(outside, kept, _AFTERWARDS_SECONDS)
    finally:
        processes.end(process)
        os.close(outside)
    return Watched(process.wait(), time.monotonic() - begun, *meter.result(), stopped)


def _pass_on(outside: int, kept: BinaryIO, seconds: float) -> bool:
    """Write into the log what is printed within so many seconds; returns whether more may come."""
    due = time.monotonic() + seconds
    while True:
        left = due - time.monotonic()
        ready, _, _ = select.select([outside], [], [], max(left, 0.0))
        if not ready:
            return True
        try:
            data = os.read(outside, 65536)
        except OSError:  # Linux says EIO when the last writer has gone
            return False
        if not data:
            return False
        kept.write(data)
        kept.flush()
        if left <= 0:
            return True
