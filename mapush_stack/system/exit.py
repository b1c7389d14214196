"""How every process of this project ends.

Isaac Gym crashes when the Python interpreter shuts down, after all work is done. `os._exit(0)` avoids the crash, but
it loses unflushed output, leaves child processes running, and reports success after a failure. This module closes,
flushes and reaps first, and ends with the true exit code: 0 done, 1 failed, 2 refused, 128 + N stopped by signal N.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import functools
import gc
import io
import logging
import os
import signal
import sys
from types import FrameType
from typing import Any, Callable, Iterator, List, NoReturn, Optional

from . import closing, streams
from .signals import heeded

_WATCHDOG_SECONDS = 1.0
"""Time after a closer's limit at which the process is ended."""
_CHILD_GRACE_SECONDS, _CHILD_SECONDS = 1.0, 10.0
"""How long child processes may take to end by themselves, and then after SIGTERM."""
_TEARDOWN_SECONDS = 30.0
"""Time limit for flushing, and for the shutdown of the interpreter."""
_OUTLIVES_US = "multiprocessing.resource_tracker"
"""A process of Python's own that must outlive this one, to clean up after it."""
_FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def run(main: Callable[[], Optional[int]]) -> NoReturn:
    """Run `main` and end this process with the exit code that it returns, as `sys.exit(main())` should."""
    streams.open_closed()
    _listen()
    closing.watchdog = functools.partial(_watchdog, 1)
    leave(outcome(main))


def leave(code: int) -> NoReturn:
    """Run all closers, end child processes, flush, and end this process.

    The interpreter shuts down as usual, unless a loaded module would make it crash or hang. The exit code is `code`,
    but 1 instead of 0 if something could not be saved or printed, which a warning then says. A signal during this does
    not change the code; it ends the wait for the closer that is running.
    """
    waited_for: List[closing.Closer] = []

    def hurry(_number: int, _frame: Optional[FrameType]) -> None:
        for closer in waited_for:
            closer.hurry()

    for number in heeded():
        signal.signal(number, hurry)

    @contextlib.contextmanager
    def watchdog(closer: closing.Closer) -> Iterator[None]:
        waited_for[:] = [closer]
        with _watchdog(code or int(closer.saves), closer):
            yield

    closing.watchdog = watchdog
    closing.close_all()
    reap()
    with _time_limit(_TEARDOWN_SECONDS, code or int(bool(closing.lost))):
        written = _flush()
        code = code or int(bool(closing.lost) or not written)
        if _must_not_tear_down() or not written:
            _flush_files()
            ctypes.CDLL(None).fflush(None)  # the output of C code
            os._exit(code)
    _start_timer(_TEARDOWN_SECONDS, code)
    for number in heeded():
        signal.signal(number, lambda *_: os._exit(code))
    sys.exit(code)


def outcome(main: Callable[[], Optional[int]]) -> int:
    """Run `main`; returns the exit code that Python would give, and 130 for Ctrl-C."""
    try:
        return _as_code(main())
    except SystemExit as stop:
        return _as_code(stop.code)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1


def _as_code(value: Any) -> int:
    """The exit code of `sys.exit(value)`."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 0xFF
    print(value, file=sys.stderr)
    return 1


def _listen() -> None:
    """Make SIGTERM and SIGHUP raise SystemExit(128 + N), so that blocks are left as they are after Ctrl-C."""

    def stop(number: int, _frame: Optional[FrameType]) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, stop)


def reap() -> None:
    """End all descendants and wait for them, so that none stays as a zombie."""
    import psutil

    children = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if _OUTLIVES_US not in " ".join(child.cmdline()):
                children.append(child)
    _, left = psutil.wait_procs(children, timeout=_CHILD_GRACE_SECONDS)
    if not left:
        return
    closing.warn(f"ending processes that were left: {', '.join(map(str, sorted(child.pid for child in left)))}")
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for child in left:
            with contextlib.suppress(psutil.Error):
                end(child)
        _, left = psutil.wait_procs(left, timeout=_CHILD_SECONDS)


def _flush() -> bool:
    """Flush the logs and the standard streams; returns whether that succeeded."""
    with contextlib.suppress(Exception):
        logging.shutdown()
    done = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BrokenPipeError:  # the reader has left, which is no error
            done = False
        except OSError as error:
            closing.warn(f"what was printed could not be written: {error.strerror or error}")
            done = False
    return done


def _must_not_tear_down() -> bool:
    """Whether the shutdown of the interpreter could crash or hang."""
    if closing.loaded_unsafe() or closing.abandoned:
        return True
    # In a group of processes that train together, it would wait for the others.
    distributed = sys.modules.get("torch.distributed")
    return distributed is not None and distributed.is_available() and distributed.is_initialized()


def _flush_files() -> None:
    """Flush all other files that are open for writing, such as the logs of libraries."""
    for thing in gc.get_objects():
        if type(thing) in _FILES:
            with contextlib.suppress(OSError, ValueError):
                thing.flush()


# Time limits that work even if C code blocks while it holds the interpreter lock, so that no Python code can run.


@contextlib.contextmanager
def _watchdog(code: int, closer: closing.Closer) -> Iterator[None]:
    """End the process with `code` if a closer blocks the interpreter; faulthandler prints where."""
    with _time_limit(closer.seconds + _WATCHDOG_SECONDS, code):
        yield


@contextlib.contextmanager
def _time_limit(seconds: float, code: int) -> Iterator[None]:
    """Within the block, a timer that ends the process with `code` after so many seconds."""
    stop = _start_timer(seconds, code)
    try:
        yield
    finally:
        stop()


class _SigEvent(ctypes.Structure):
    """`struct sigevent` of timer_create(2), padded to its 64 bytes."""

    _fields_ = [
        ("value", ctypes.c_ssize_t),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("padding", ctypes.c_char * 32),
    ]


class _TimerSpec(ctypes.Structure):
    """`struct itimerspec`."""

    _fields_ = [(name, ctypes.c_long) for name in ("interval", "interval_ns", "seconds", "nanoseconds")]


_SIGEV_THREAD = 2
_CLOCK_MONOTONIC = 1


def _start_timer(seconds: float, code: int) -> Callable[[], None]:
    """Let the C library call `_exit(code)` after so many seconds, in a thread of its own; returns what stops that."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "timer_create"):  # glibc before 2.34
        library = ctypes.CDLL("librt.so.1")
    end = ctypes.cast(ctypes.CDLL(None)._exit, ctypes.c_void_p)
    event = _SigEvent(value=code, notify=_SIGEV_THREAD, function=end)
    timer = ctypes.c_void_p()
    if library.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)):
        return lambda: None
    whole = int(seconds)
    library.timer_settime(timer, 0, ctypes.byref(_TimerSpec(0, 0, whole, int((seconds - whole) * 1e9))), None)
    with contextlib.suppress(Exception):  # stderr may be closed
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(max(seconds - _WATCHDOG_SECONDS / 2, 0.1), file=sys.__stderr__)

    def stop() -> None:
        library.timer_delete(timer)
        faulthandler.cancel_dump_traceback_later()

    return stop
