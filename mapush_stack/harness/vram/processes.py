"""Processes that do not outlive the one that started them, and what the kernel says of their memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from typing import Any, Callable, List

import psutil

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
"""Linux's prctl(2): the signal that a process gets when its parent dies."""


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


def family(pid: int) -> List[psutil.Process]:
    """A process and its descendants; empty if it is gone."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


def resident_mib(processes: List[psutil.Process]) -> float:
    """Memory that processes hold together; pages that they share count once, where the kernel says which they are."""
    if len(processes) > 1:
        with contextlib.suppress(psutil.Error, AttributeError):
            return sum(process.memory_full_info().pss for process in processes) / 2**20
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):  # gone, or a zombie
            total += process.memory_info().rss
    return total / 2**20
