"""Runs the process of one trial and measures the memory that it takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ...errors import UserError
from ...system.gpu import Card
from ...system.supervisor import ChildProcess, ProcessTree, Terminal
from .folder import Method
from .program_watch import ProgramWatch

_SAMPLE_SECONDS = 0.05
_SETTLE_SECONDS = 10.0
"""How long the driver may take to free the memory of an ended process."""
_SETTLED_MIB = 32.0
_METHODS: Sequence[Method] = ("process", "device", "rss")
"""The best first."""
_STOP_SECONDS = 10.0
"""How long a measured program may take to end after SIGTERM."""
_TRACE_POINTS = 100
"""Length of the memory trace of a trial."""

Trace = List[Tuple[float, float]]
"""Seconds since the start and MiB."""


class Measurement(NamedTuple):
    """How a process ended and the memory that it took."""

    exit_code: int
    """0 to 255, or a signal's negative number."""
    seconds: float
    peak_mib: float
    measured_by: Method
    trace: Trace
    stopped: str
    """`measured`, `timeout`, `limit` or `request` if it was ended for that, else empty."""


Meter = Callable[[ProcessTree], Tuple[Method, float]]
"""Measures the memory that a process and its descendants hold now: how, and MiB."""


def host_meter(tree: ProcessTree) -> Tuple[Method, float]:
    """Host memory."""
    return "rss", tree.resident_mib()


def card_meter(card: Card, idle_mib: float) -> Meter:
    """A meter of GPU memory; waits until no more than about `idle_mib` are in use, the amount without a trial.

    It gives what NVML reports for the processes. In a container, where NVML knows processes by other numbers, it gives
    the growth of the memory in use on the card.
    """
    due = time.monotonic() + _SETTLE_SECONDS
    while card.memory().used > idle_mib + _SETTLED_MIB and time.monotonic() < due:
        time.sleep(_SAMPLE_SECONDS)
    before = card.memory().used

    def sample(tree: ProcessTree) -> Tuple[Method, float]:
        held = card.held_by({process.pid for process in tree.members()})
        return ("device", max(card.memory().used - before, 0.0)) if held is None else ("process", held)

    return sample


def measure(
    command: Sequence[str],
    environment: Dict[str, str],
    log: Path,
    meter: Meter,
    timeout: float,
    limit_mib: Optional[float],
    stop: Callable[[], bool],
    watch: Optional[ProgramWatch] = None,
    cwd: Optional[str] = None,
) -> Measurement:
    """Run a command to its end and measure its memory.

    It is killed when it takes longer than `timeout` seconds, holds more than `limit_mib` MiB, or `stop` returns true.
    It is stopped when `watch` has measured enough. What it prints goes into `log`, and to `watch`.

    Raises:
        UserError: there is no such program.

    """
    traces: Dict[Method, Trace] = {}
    with log.open("wb", buffering=0) as kept:

        def write(data: bytes) -> None:
            kept.write(data)
            if watch is not None:
                watch.read(data)

        terminal = Terminal(write)
        with _start(command, terminal, environment, cwd) as process:
            while process.running(_SAMPLE_SECONDS):
                done = watch is not None and watch.measured(_best(traces)[1])
                # The last sample counts the children of the last second too.
                how, held = meter(ProcessTree(process.process.pid) if done else process.tree)
                traces.setdefault(how, []).append((process.seconds, held))
                if limit_mib is not None and held > limit_mib:
                    process.kill("limit")
                elif done:
                    _end(process)
                elif process.seconds > timeout:
                    process.kill("timeout")
                elif stop():
                    process.kill("request")
        seconds = process.seconds
    method, samples = _best(traces)
    peak = max((mib for _, mib in samples), default=0.0)
    return Measurement(process.exit_code, seconds, peak, method, _thinned(samples), process.stop_reason)


def _best(traces: Dict[Method, Trace]) -> Tuple[Method, Trace]:
    """The best method that gave samples, and those; NVML may list a process only after a while."""
    method = next((one for one in _METHODS if one in traces), _METHODS[-1])
    return method, traces.get(method, [])


def _start(command: Sequence[str], terminal: Terminal, environment: Dict[str, str], cwd: Optional[str]) -> ChildProcess:
    try:
        return ChildProcess(command, terminal, terminal, environment=environment, cwd=cwd)
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run: {error.strerror or error}") from None


def _end(process: ChildProcess) -> None:
    """End a program that is measured: it may close what it has open, then it is killed."""
    process.terminate()
    due = process.seconds + _STOP_SECONDS
    while process.seconds < due and process.running(_SAMPLE_SECONDS):
        pass
    process.kill("measured")


def _thinned(samples: Trace) -> Trace:
    """The highest sample of each of at most `_TRACE_POINTS` intervals."""
    size = -(-len(samples) // _TRACE_POINTS) or 1
    highest = [max(samples[i : i + size], key=lambda sample: sample[1]) for i in range(0, len(samples), size)]
    return [(round(seconds, 2), round(mib, 1)) for seconds, mib in highest]
