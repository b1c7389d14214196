"""Run a command, pass on what it prints, and note how it ended and how much memory it took."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Optional

import psutil

from ...errors import UserError
from ...system.gpu import MemoryMeter, Nvidia, look
from .rules import Fact

_SAMPLE_SECONDS = 0.25
_SAMPLES = 1000
"""Kept of a run; when they are full, every second one goes, and half as many are taken."""
_AFTERWARDS_SECONDS = 0.2
"""How long to wait for the last output, once the command has ended, while a process that it left holds the line."""
_CGROUP = Path("/sys/fs/cgroup")
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Sample(NamedTuple):
    """Memory at one moment; None where it cannot be measured."""

    seconds: float
    """Since the command started."""
    gpu_memory: Optional[float]
    """The share (0 to 1) in use on the fullest card."""
    host_memory: Optional[float]
    """The share in use of the machine's memory or the container's."""
    resident_mib: float
    """Of the command and its children."""


class Watched(NamedTuple):
    """What became of a command."""

    exit_code: int
    """0 to 255, or a signal's negative number."""
    facts: Dict[Fact, float]
    """Of the GPU and the memory at their peaks, as far as they could be measured."""
    trace: List[Sample]
    """The memory from start to end."""


def watch(command: List[str], log: Path, quiet_stdout: bool = False) -> Watched:
    """Run a command to its end.

    It prints into pseudo-terminals: written into a pipe, the last lines before a crash would be lost in the buffers of
    Isaac Gym's C library. Ctrl-C, SIGTERM and SIGHUP are passed on to it, and what it then does decides.

    Args:
        command: the program and its arguments; no shell reads them.
        log: where all that it prints is kept.
        quiet_stdout: its standard output goes to our standard error.

    Raises:
        UserError: there is no such program, or the log cannot be written.

    """
    streams = [sys.stderr if quiet_stdout else sys.stdout, sys.stderr]
    plain = not all(stream.isatty() for stream in streams)
    environment = dict(os.environ)
    environment.setdefault("PYTHONFAULTHANDLER", "1")
    environment.setdefault("PYTHONUNBUFFERED", "1")
    if plain:  # no colours into a file, though the command sees a terminal
        environment.update(NO_COLOR="1", TERM="dumb")
    try:
        with log.open("wb") as kept, MemoryMeter() as meter, contextlib.ExitStack() as lines:
            ends = [lines.enter_context(_terminal()) for _ in streams]
            try:
                out, err = (end.inside for end in ends)
                child = subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True)
            finally:
                for end in ends:
                    os.close(end.inside)
            outputs = {end.outside: _Output(stream.fileno()) for end, stream in zip(ends, streams)}
            with _forwarding(child):
                killed_before = _oom_kills()
                trace = _attend(child, outputs, kept, meter)
                facts = {**_peaks(trace), **_capability(look())}
                if child.wait() == -signal.SIGKILL and _oom_kills() > killed_before:
                    facts[Fact.HOST_MEMORY] = 1.0  # faster than it was sampled
                return Watched(child.returncode, facts, trace)
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run, or {log} written: {error.strerror}") from None


class _Output:
    """A file descriptor to write to, until its reader has left."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._open = True

    def write(self, data: bytes) -> None:
        try:
            while data and self._open:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError:
            self._open = False


class _Terminal(NamedTuple):
    """File descriptors of a pseudo-terminal: ours, and the one that the command writes to."""

    outside: int
    inside: int


@contextlib.contextmanager
def _terminal() -> Iterator[_Terminal]:
    outside, inside = pty.openpty()
    tty.setraw(inside)  # no carriage returns that the command did not print
    columns, rows = os.get_terminal_size(sys.stderr.fileno()) if sys.stderr.isatty() else (140, 50)
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    try:
        yield _Terminal(outside, inside)
    finally:
        os.close(outside)


@contextlib.contextmanager
def _forwarding(child: subprocess.Popen) -> Iterator[None]:
    """The command leads a process group of its own, so that a signal reaches it once, from here."""

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            # Ctrl-C at a terminal goes to the whole group; a scheduler's SIGTERM to the process alone.
            os.killpg(child.pid, number) if number != signal.SIGTERM else child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _attend(child: subprocess.Popen, outputs: Dict[int, _Output], log: BinaryIO, meter: MemoryMeter) -> List[Sample]:
    """Pass on what is printed until the command has ended; returns its memory over time."""
    trace: List[Sample] = []
    open_lines = set(outputs)
    started = time.monotonic()
    due, every, ended = started, _SAMPLE_SECONDS, None
    while open_lines and (ended is None or time.monotonic() < ended + _AFTERWARDS_SECONDS):
        if ended is None and time.monotonic() >= due:
            trace.append(Sample(time.monotonic() - started, meter.fullest(), _host_memory(), _resident_mib(child.pid)))
            if len(trace) == _SAMPLES:
                trace, every = _halved(trace), 2 * every
            due = time.monotonic() + every
        ready, _, _ = select.select(list(open_lines), [], [], 0.05 if ended else _SAMPLE_SECONDS)
        for line in ready:
            try:
                data = os.read(line, 65536)
            except OSError:  # Linux says EIO when the last writer has gone
                data = b""
            if not data:
                open_lines.remove(line)
            log.write(data)
            log.flush()
            outputs[line].write(data)
        if ended is None and child.poll() is not None:
            ended = time.monotonic()
    return trace


def _halved(trace: List[Sample]) -> List[Sample]:
    """Half as many samples, each the fullest of two."""
    return [
        Sample(late.seconds, *(None if one is None else max(one, other) for one, other in zip(early[1:], late[1:])))
        for early, late in zip(trace[::2], trace[1::2])
    ]


def _peaks(trace: List[Sample]) -> Dict[Fact, float]:
    """The fullest that each memory was."""
    series = {Fact.GPU_MEMORY: [one.gpu_memory for one in trace], Fact.HOST_MEMORY: [one.host_memory for one in trace]}
    known = {fact: [value for value in values if value is not None] for fact, values in series.items()}
    return {fact: max(values) for fact, values in known.items() if values}


def _resident_mib(pid: int) -> float:
    """The memory of a process and of all that it started."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
    return total / 2**20


def _oom_kills() -> int:
    """How often the kernel has killed for want of memory since it started; 0 where it does not say."""
    try:
        counters = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
        return int(counters.get("oom_kill", 0))
    except (OSError, ValueError):
        return 0


def _host_memory() -> float:
    """The share of memory in use: of the machine's or, where it is bounded and fuller, of the container's."""
    machine = psutil.virtual_memory().percent / 100
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        counters = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        # Without the pages of files, which the kernel gives back before it kills anybody.
        return max(machine, int(counters["anon"]) / limit)
    except (OSError, ValueError, KeyError):  # no bound is the word "max", or this is not cgroup v2
        return machine


def _capability(nvidia: Nvidia) -> Dict[Fact, float]:
    """The compute capability, where all cards have the same."""
    found: List = sorted({gpu.compute_capability for gpu in nvidia.gpus})
    return {Fact.COMPUTE_CAPABILITY: float("{}.{}".format(*found[0]))} if len(found) == 1 else {}
