"""Child processes: start a command, pass on its output, watch it, end it with everything that it started."""

from __future__ import annotations

import contextlib
import ctypes
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
from types import FrameType
from typing import IO, Callable, Iterator, List, Mapping, Optional, Sequence, Union

import psutil

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 1, 36, 37
"""Options of Linux's prctl(2): the signal at the parent's death, and adopting descendants whose parent has died."""
_SEARCH_SECONDS = 1.0
"""Seconds between two searches for a command's descendants; each reads the table of all processes."""
_POLL_SECONDS = 0.05
_LAST_OUTPUT_SECONDS = 0.2
"""How long to wait for a dead command's last output while a process that it started keeps the terminal open."""
_LEFT_SECONDS = 0.5
"""How long a command's descendants may outlive it before they count as left behind."""
_KILL_SECONDS = 5.0
_WINDOW = (140, 50)
"""Columns and rows of a pseudo-terminal where this process has no terminal itself."""


class Terminal:
    """A pseudo-terminal that a command prints to.

    C libraries, such as Isaac Gym's, buffer what they print to a file or pipe and lose the last lines in a crash. To a
    terminal they print line by line.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """`write` is called with whatever the command prints."""
        self._write = write
        self.outside, self.inside = pty.openpty()
        tty.setraw(self.inside)  # no carriage returns that the command did not print
        columns, rows = os.get_terminal_size(sys.stderr.fileno()) if sys.stderr.isatty() else _WINDOW
        fcntl.ioctl(self.inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def pass_on(self) -> bool:
        """Hand what was printed to `write`; returns False once every process has closed the terminal."""
        try:
            data = os.read(self.outside, 65536)
        except OSError:  # Linux reports the end of a terminal as EIO
            return False
        self._write(data)
        return bool(data)


Output = Union[None, int, IO[bytes], Terminal]
"""Our own stream, a file, a constant of `subprocess`, or a pseudo-terminal."""


class ChildProcess:
    """A command that runs while a `with` block lasts, in a session of its own.

    The session keeps a terminal's Ctrl-C away from the command. At the end of the block the command is killed with
    everything that it started. This process adopts descendants whose parent has died, so that none escapes.
    """

    def __init__(
        self,
        command: Sequence[str],
        stdout: Output,
        stderr: Output,
        *,
        stdin: Optional[int] = subprocess.DEVNULL,
        environment: Optional[Mapping[str, str]] = None,
        cwd: Optional[str] = None,
        death_signal: Optional[int] = signal.SIGKILL,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start the command.

        Args:
            command: the program and its arguments; no shell reads them.
            stdout: where its standard output goes.
            stderr: where its standard error goes; it may be the same terminal.
            stdin: as of `subprocess.Popen`.
            environment: its environment variables; None for this process's own.
            cwd: the folder that it starts in; None for this process's own.
            death_signal: what the kernel sends to it when this process dies; None for nothing.
            pass_fds: file descriptors that it inherits.

        Raises:
            OSError: there is no such program.

        """
        self._adopts_already = ctypes.c_int()
        _LIBC.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(self._adopts_already))
        self._others = set(psutil.Process().children())
        self._terminals = list(dict.fromkeys(one for one in (stdout, stderr) if isinstance(one, Terminal)))
        self._open = list(self._terminals)
        self._started = time.monotonic()
        self.stop_reason = ""
        """The argument of `kill`; empty if that was not called."""
        try:
            _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=stdout.inside if isinstance(stdout, Terminal) else stdout,
                stderr=stderr.inside if isinstance(stderr, Terminal) else stderr,
                env=environment,
                cwd=cwd,
                start_new_session=True,
                pass_fds=pass_fds,
                preexec_fn=_prepare_child(os.getpid(), death_signal),
            )
        except BaseException:
            self._clean_up()
            raise
        finally:
            for terminal in self._terminals:
                os.close(terminal.inside)
        self.tree = ProcessTree(self.process.pid)
        """The command and its descendants."""

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        with self.process:  # closes its pipes and waits for its end
            self._kill_group()
        self._kill_orphans()
        self._clean_up()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def exit_code(self) -> int:
        """0 to 255, or the negative number of the signal that ended it; waits for the end."""
        return self.process.wait()

    def running(self, seconds: float) -> bool:
        """Pass on output for so many seconds, or until the command ends; returns whether it still runs."""
        due = time.monotonic() + seconds
        while self.process.poll() is None:
            left = due - time.monotonic()
            if left <= 0:
                return True
            if self._open:
                self._pass_on(min(left, _POLL_SECONDS))
            else:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(left)
        due = time.monotonic() + _LAST_OUTPUT_SECONDS
        while self._open and time.monotonic() < due:
            self._pass_on(_POLL_SECONDS)
        return False

    def terminate(self) -> None:
        """Send SIGTERM to the command alone, as schedulers do."""
        self.process.terminate()

    def kill(self, reason: str) -> None:
        """Kill the command; `stop_reason` then has the reason."""
        self.stop_reason = reason
        self._kill_group()

    @contextlib.contextmanager
    def forwarding(self, signals: Sequence[int]) -> Iterator[None]:
        """Within the block, pass these signals of this process on to the command."""

        def forward(number: int, _frame: Optional[FrameType]) -> None:
            with contextlib.suppress(ProcessLookupError):
                if number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
                    self.process.send_signal(number)
                else:  # a terminal's Ctrl-C goes to the whole process group
                    os.killpg(self.process.pid, number)

        before = {number: signal.signal(number, forward) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def left_behind(self) -> List[str]:
        """After the command's end: number and name of each process that it started and that still runs."""
        _, alive = psutil.wait_procs(self._orphans(), timeout=_LEFT_SECONDS)
        names = []
        for one in alive:
            with contextlib.suppress(psutil.Error):
                names.append(f"{one.pid} ({one.name()})")
        return names

    def _pass_on(self, seconds: float) -> None:
        ready, _, _ = select.select([terminal.outside for terminal in self._open], [], [], seconds)
        self._open = [one for one in self._open if one.outside not in ready or one.pass_on()]

    def _clean_up(self) -> None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, self._adopts_already.value)
        for terminal in self._terminals:
            os.close(terminal.outside)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _orphans(self) -> List[psutil.Process]:
        """Processes that this one has adopted since the start, and their descendants."""
        adopted = set(psutil.Process().children()) - self._others
        found = [one for one in adopted if one.pid != self.process.pid]
        for one in list(found):
            with contextlib.suppress(psutil.Error):
                found += one.children(recursive=True)
        return found

    def _kill_orphans(self) -> None:
        due = time.monotonic() + _KILL_SECONDS
        while time.monotonic() < due:  # one that is killed may have started another just before
            orphans = self._orphans()
            if not orphans:
                return
            for orphan in orphans:
                with contextlib.suppress(psutil.Error):
                    orphan.kill()
            psutil.wait_procs(orphans, timeout=_KILL_SECONDS)


def _prepare_child(parent: int, death_signal: Optional[int]) -> Callable[[], None]:
    """What a new child does before it becomes the command."""

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])  # Ray's workers block SIGINT
        if death_signal is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:  # the parent died before the kernel knew
                os.kill(os.getpid(), signal.SIGKILL)

    return prepare


class ProcessTree:
    """A process and its descendants, which are searched for once a second."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._members: List[psutil.Process] = []
        self._due = 0.0

    def members(self) -> List[psutil.Process]:
        """The living ones; empty once the process is gone."""
        if time.monotonic() >= self._due:
            try:
                first = psutil.Process(self.pid)
                self._members = [first, *first.children(recursive=True)]
            except psutil.Error:
                self._members = []
            self._due = time.monotonic() + _SEARCH_SECONDS
        return self._members

    def resident_mib(self) -> float:
        """Host memory of all members, MiB; pages that they share count once where the kernel tells them apart."""
        members = self.members()
        if len(members) > 1:
            with contextlib.suppress(psutil.Error, AttributeError):
                return float(sum(process.memory_full_info().pss for process in members)) / 2**20
        total = 0.0
        for process in members:
            with contextlib.suppress(psutil.Error):  # it has ended
                total += process.memory_info().rss
        return total / 2**20
