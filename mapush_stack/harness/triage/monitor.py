"""Runs a command, passes on what it prints, and notes how it ended and how much memory it took."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO, Callable, Dict, List, NamedTuple, Optional, Sequence, TextIO, Tuple

import psutil

from ...errors import UserError
from ...system import closing, gpu
from ...system.signals import heeded
from ...system.supervisor import ChildProcess, Terminal
from .rules import Fact

_SAMPLE_SECONDS = 0.25
_SAMPLES = 1000
"""Samples kept of a run; beyond that two become one, and half as many are taken."""
_CGROUP = Path("/sys/fs/cgroup")


class Sample(NamedTuple):
    """Memory at one moment; None if it cannot be measured."""

    seconds: float
    """Since the command started."""
    gpu_memory: Optional[float]
    """Share (0 to 1) in use on the fullest card."""
    host_memory: Optional[float]
    """Share (0 to 1) in use of the machine's memory or of the container's."""
    resident_mib: float
    """Of the command and its descendants."""


class Measurements(NamedTuple):
    """What was measured while a command ran."""

    facts: Dict[Fact, float]
    """The GPU and the peaks of memory, as far as they could be measured."""
    trace: List[Sample]
    """The memory from start to end."""


def run_command(command: Sequence[str], log: BinaryIO, quiet_stdout: bool = False) -> Tuple[int, Measurements]:
    """Run a command to its end; returns its exit code, negative for a signal, and what was measured.

    Ctrl-C, SIGTERM and SIGHUP are passed on to the command, which decides what follows. What it leaves running is
    killed. It gets SIGTERM when this process dies.

    Args:
        command: the program and its arguments; no shell reads them.
        log: an open file for all that it prints.
        quiet_stdout: pass its standard output on to our standard error.

    Raises:
        UserError: there is no such program.

    """
    streams = [sys.stderr if quiet_stdout else sys.stdout, sys.stderr]
    stdout, stderr = (Terminal(_writer(log, stream)) for stream in streams)
    environment = crash_environment(colours=all(stream.isatty() for stream in streams))
    try:
        process = ChildProcess(
            command, stdout, stderr, stdin=None, environment=environment, death_signal=signal.SIGTERM
        )
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run: {error.strerror or error}") from None
    with process, process.forwarding(heeded()):
        measurements = monitor(process)
    return process.exit_code, measurements


def crash_environment(colours: bool = False) -> Dict[str, str]:
    """Our environment variables, and those that make Python say more when it crashes."""
    environment = {"PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1", **os.environ}
    return environment if colours else {**environment, "NO_COLOR": "1", "TERM": "dumb"}


def monitor(process: ChildProcess, control: Callable[[ChildProcess], None] = lambda process: None) -> Measurements:
    """Watch a command until it has ended; `control` is called with it several times a second."""
    killed_before = _oom_kills()
    trace = _trace(process, control)
    facts = {**_peaks(trace), **_capability()}
    if process.exit_code == -signal.SIGKILL and _oom_kills() > killed_before:
        facts[Fact.HOST_MEMORY] = 1.0  # memory filled up between two samples
    return Measurements(facts, trace)


def _writer(log: BinaryIO, stream: TextIO) -> Callable[[bytes], None]:
    """A function that writes to the log and to a stream of ours, to each until that fails."""
    kept = [log.fileno(), stream.fileno()]

    def write(data: bytes) -> None:
        for descriptor in list(kept):
            left = data
            try:
                while left:
                    left = left[os.write(descriptor, left) :]
            except OSError as error:
                kept.remove(descriptor)
                if not isinstance(error, BrokenPipeError):
                    closing.warn(f"what the command prints is lost in part: {error.strerror}")

    return write


def _trace(process: ChildProcess, control: Callable[[ChildProcess], None]) -> List[Sample]:
    """The memory over time until the command has ended."""
    trace: List[Sample] = []
    interval = _SAMPLE_SECONDS
    while True:
        trace.append(Sample(process.seconds, gpu.fullest(), _host_memory(), process.tree.resident_mib()))
        if len(trace) == _SAMPLES:
            trace, interval = _halved(trace), 2 * interval
        if not process.running(interval):
            return trace
        control(process)


def _halved(trace: List[Sample]) -> List[Sample]:
    """Half as many samples, each with the maxima of two."""
    return [
        Sample(
            late.seconds,
            _max([early.gpu_memory, late.gpu_memory]),
            _max([early.host_memory, late.host_memory]),
            max(early.resident_mib, late.resident_mib),
        )
        for early, late in zip(trace[::2], trace[1::2])
    ]


def _max(values: Sequence[Optional[float]]) -> Optional[float]:
    return max((value for value in values if value is not None), default=None)


def _peaks(trace: List[Sample]) -> Dict[Fact, float]:
    """The highest share in use of each memory."""
    peaks = {
        Fact.GPU_MEMORY: _max([one.gpu_memory for one in trace]),
        Fact.HOST_MEMORY: _max([one.host_memory for one in trace]),
    }
    return {fact: peak for fact, peak in peaks.items() if peak is not None}


def _oom_kills() -> int:
    """How many processes the kernel has killed for lack of memory since boot; 0 if it does not say."""
    try:
        counters = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
        return int(counters.get("oom_kill", 0))
    except (OSError, ValueError):
        return 0


def _host_memory() -> float:
    """Share of memory in use: of the machine or, if that is limited and fuller, of the container."""
    machine = float(psutil.virtual_memory().percent) / 100
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        counters = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        # Without cached files, which the kernel drops before it kills a process.
        return max(machine, int(counters["anon"]) / limit)
    except (OSError, ValueError, KeyError):  # no limit ("max"), or not cgroup v2
        return machine


def _capability() -> Dict[Fact, float]:
    """The compute capability, if all cards have the same."""
    found = list({card.compute_capability for card in gpu.look().gpus})
    return {Fact.COMPUTE_CAPABILITY: float("{}.{}".format(*found[0]))} if len(found) == 1 else {}
