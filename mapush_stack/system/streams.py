"""Standard streams that are closed, or that nobody reads any more."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Iterator

from . import closing


def open_closed() -> None:
    """Open the null device in place of standard streams that are closed, as under cron.

    Without it, the next file that is opened would take the stream's number, and get what is printed.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def keep_going() -> None:
    """Let no failure of standard output or standard error end this process: what cannot be printed is dropped."""
    sys.stdout, sys.stderr = _Lasting(sys.stdout), _Lasting(sys.stderr)


@contextlib.contextmanager
def nothing_on_stderr() -> Iterator[None]:
    """Within the block, what native code of libraries writes to standard error is lost."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _Lasting:
    """A stream that writes into the null device from its first error on, with one warning."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write as `TextIOBase.write`, without errors of the system."""
        try:
            self._stream.write(text)
        except BlockingIOError:  # a terminal that another program has set so
            pass
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Flush, without errors of the system."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, self._stream.fileno())
        os.close(descriptor)
        with contextlib.suppress(OSError):
            self._stream.flush()  # what is left in the buffer
        if not isinstance(error, BrokenPipeError):
            closing.warn(f"what is printed is lost from here on ({error.strerror}); the work goes on")
