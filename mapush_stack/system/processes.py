"""Processes that do not outlive the one that started them, and what the kernel says of their memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from typing import Any, Callable, List

import psutil

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
"""Linux's prctl(2): the signal that a process gets when its parent dies."""
_LOOK_SECONDS = 1.0


def start(command: List[str], **options: Any) -> subprocess.Popen:
    """Start a command that the kernel kills when this process ends, by SIGKILL too; `options` of `Popen`.

    It leads a process group of its own, so that a terminal's Ctrl-C is for this process alone.
    """
    return subprocess.Popen(command, start_new_session=True, preexec_fn=_follow(os.getpid()), **options)


def _follow(parent: int) -> Callable[[], None]:
    def follow() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if os.getppid() != parent:  # it died before the kernel was asked
            os.kill(os.getpid(), signal.SIGKILL)

    return follow


def end(process: subprocess.Popen) -> None:
    """Kill what is left of a process's group, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Family:
    """A process and its descendants, who are looked for once a second: all of the machine's processes are asked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._members: List[psutil.Process] = []
        self._due = 0.0

    def members(self) -> List[psutil.Process]:
        """Those that there are; empty if the process is gone."""
        if time.monotonic() >= self._due:
            try:
                first = psutil.Process(self.pid)
                self._members = [first, *first.children(recursive=True)]
            except psutil.Error:
                self._members = []
            self._due = time.monotonic() + _LOOK_SECONDS
        return self._members

    def resident_mib(self) -> float:
        """Memory that they hold together; pages that they share count once, where the kernel says which they are."""
        members = self.members()
        if len(members) > 1:
            with contextlib.suppress(psutil.Error, AttributeError):
                return sum(process.memory_full_info().pss for process in members) / 2**20
        total = 0
        for process in members:
            with contextlib.suppress(psutil.Error):  # gone, or a zombie
                total += process.memory_info().rss
        return total / 2**20
