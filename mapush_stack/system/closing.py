"""Closers: functions that close what a process has opened, called before it ends (`system/exit.py`).

This module imports nothing else of the project, so that simulators, trainings and users' programs can register closers.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import Callable, ContextManager, Iterator, List, Set

PATIENCE = 10.0
"""Default time limit of a closer, seconds."""
_POLL_SECONDS = 0.05

_open: List[Closer] = []
"""In the order of registration."""
abandoned: List[str] = []
"""Names of closers that took too long."""
lost: List[str] = []
"""Names of failed closers that were to save something."""
_unsafe: Set[str] = {"isaacgym"}


class Closer:
    """Closes something once: when `close` is called, or else before the process ends."""

    def __init__(self, name: str, function: Callable[[], object], seconds: float, saves: bool) -> None:
        self.name, self.seconds, self.saves = name, seconds, saves
        self._function, self._error = function, ""
        self._hurried = False

    def close(self) -> None:
        """Close it, unless that was done before.

        The function runs in a thread of its own. If it raises, or takes longer than its time limit and is abandoned, a
        line on standard error says so; nothing is raised here.
        """
        if self not in _open:
            return
        _open.remove(self)
        thread = threading.Thread(target=self._run, name=f"closing {self.name}", daemon=True)
        due = time.monotonic() + self.seconds
        try:
            with watchdog(self):
                thread.start()
                while thread.is_alive() and time.monotonic() < due and not self._hurried:
                    thread.join(_POLL_SECONDS)
        finally:  # a signal handler may raise an exception in the loop
            if thread.is_alive():
                abandoned.append(self.name)
                why = "when a signal came" if time.monotonic() < due else f"after {self.seconds:g} s"
                self._error = f"was still closing {why} and is abandoned"
            if self._error:
                self._warn()

    def hurry(self) -> None:
        """Stop waiting for the function; it is then abandoned."""
        self._hurried = True

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:  # also SystemExit: the process is ending already
            self._error = f"could not be closed: {type(error).__name__}: {error}"

    def _warn(self) -> None:
        if self.saves:
            lost.append(self.name)
        warn(f"{self.name} {self._error}" + ("; what it was to save may be missing" if self.saves else ""))


watchdog: Callable[[Closer], ContextManager[object]] = contextlib.nullcontext
"""A context manager around every closing; `system/exit.py` sets it to end the process if all of Python is blocked."""


def register(name: str, close: Callable[[], object], seconds: float = PATIENCE, saves: bool = False) -> Closer:
    """Have `close` called before the process ends; returns a `Closer` that can do it earlier.

    Args:
        name: what is closed, as warnings begin: "the simulation".
        close: closes it.
        seconds: time limit.
        saves: whether it saves something that users need. If it fails, the process does not end with exit code 0.

    """
    closer = Closer(name, close, seconds, saves)
    _open.append(closer)
    return closer


@contextlib.contextmanager
def ensured(name: str, close: Callable[[], object], seconds: float = PATIENCE, saves: bool = False) -> Iterator[None]:
    """Call `close` at the end of the block, however that ends; arguments as of `register`."""
    closer = register(name, close, seconds, saves)
    try:
        yield
    finally:
        closer.close()


def close_all() -> None:
    """Close everything that is still open, the newest first."""
    while _open:
        _open[-1].close()


def unsafe_teardown(module: str) -> None:
    """Declare that Python crashes or hangs at exit when this module is loaded, as with Isaac Gym.

    `mapush` then exits without running atexit handlers or destructors; it still runs closers and flushes files.
    """
    _unsafe.add(module)


def loaded_unsafe() -> List[str]:
    """The loaded modules, or parts of them, that were declared by `unsafe_teardown`."""
    # When the import of a package fails, the package is removed from sys.modules, but its binary modules stay.
    loaded = {name.split(".")[0] for name in list(sys.modules)} | set(sys.modules)
    return sorted(_unsafe & loaded)


def warn(text: str) -> None:
    """Print a warning on one line of standard error, if that is open."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"mapush: warning: {' '.join(text.split())}\n")
        sys.stderr.flush()


# Forked children must not close what their parent has opened.
os.register_at_fork(after_in_child=_open.clear)
