"""What a process still has to close before it may end, registered by whoever opened it; `system/exit.py` ends it.

It lies below all layers, so that a simulator, a training or a program of one's own can register.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import Callable, ContextManager, Iterator, List, Set

PATIENCE = 10.0
"""Seconds that closing something may take unless it says otherwise."""
_POLL_SECONDS = 0.05

_open: List[Closer] = []
"""In the order of their registration."""
_abandoned: List[str] = []
_lost: List[str] = []
_unsafe: Set[str] = {"isaacgym"}


class Closer:
    """Something that is closed once: when `close` is called, at the latest when the process ends."""

    def __init__(self, name: str, function: Callable[[], object], seconds: float, saves: bool) -> None:
        self.name, self.seconds, self.saves = name, seconds, saves
        self._function, self._error = function, ""
        self._hurried = False

    def close(self) -> None:
        """Close it unless that was done; what fails, or takes too long and is abandoned, is said in a line on stderr.

        It runs in a thread of its own, so that there is a way on where it blocks. Never raises what it raises.
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
        finally:  # a signal may raise an exception above
            if thread.is_alive():
                _abandoned.append(self.name)
                why = "when a signal came" if time.monotonic() < due else f"after {self.seconds:g} s"
                self._error = f"was still closing {why} and is abandoned"
            if self._error:
                self._tell()

    def hurry(self) -> None:
        """Wait no longer."""
        self._hurried = True

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:  # not even a SystemExit may end a process that is about to end
            self._error = f"could not be closed: {type(error).__name__}: {error}"

    def _tell(self) -> None:
        if self.saves:
            _lost.append(self.name)
        warn(f"{self.name} {self._error}" + ("; what it was to save may be missing" if self.saves else ""))


watchdog: Callable[[Closer], ContextManager] = contextlib.nullcontext
"""Watches over the closing of something where Python cannot: while C code blocks with the interpreter's lock held."""


def register(name: str, close: Callable[[], object], seconds: float = PATIENCE, saves: bool = False) -> Closer:
    """Have `close` called before the process ends, unless the `Closer` that this returns has been closed by then.

    Args:
        name: what it is, as a warning begins with it: "the TensorBoard log".
        close: closes it.
        seconds: how long that may take.
        saves: whether it writes what users count on. If that fails, a process that did all else does not end with 0.

    """
    closer = Closer(name, close, seconds, saves)
    _open.append(closer)
    return closer


@contextlib.contextmanager
def ensured(name: str, close: Callable[[], object], seconds: float = PATIENCE, saves: bool = False) -> Iterator[None]:
    """A block at whose end `close` is called, as `register` has it, however the block ends."""
    closer = register(name, close, seconds, saves)
    try:
        yield
    finally:
        closer.close()


def close_all() -> None:
    """Close all that is open, the newest first."""
    while _open:
        _open[-1].close()


def abandoned() -> List[str]:
    """What did not close in time."""
    return _abandoned


def lost() -> List[str]:
    """What users count on and may not have been saved."""
    return _lost


def unsafe_teardown(module: str) -> None:
    """Declare that Python's way of taking itself down crashes or hangs where this module is loaded, as with Isaac Gym.

    `mapush` then leaves without it: registered closers run and files are flushed, but no atexit handlers and no
    destructors, of Python or of C.
    """
    _unsafe.add(module)


def loaded_unsafe() -> List[str]:
    """The modules declared by `unsafe_teardown` that are loaded, be it in part."""
    # A package whose import failed half-way is gone; its binary modules are still there.
    loaded = {name.split(".")[0] for name in list(sys.modules)} | set(sys.modules)
    return sorted(_unsafe & loaded)


def warn(text: str) -> None:
    """Say something on one line of stderr, if anybody listens."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"mapush: warning: {' '.join(text.split())}\n")
        sys.stderr.flush()


# What a process has opened is not its forked children's to close.
os.register_at_fork(after_in_child=_open.clear)
