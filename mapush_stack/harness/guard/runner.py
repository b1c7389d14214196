"""Runs a Python program as Python would, and tells `mapush guard` how it ended before Python shuts down.

    PYTHON [OPTION]... runner.py PIPE SECONDS file|archive|-m|-c TARGET [ARGUMENT]...

It runs in the program's own Python, which may be 3.6 and lack everything else: it imports the standard library alone,
and little of it.
"""

import atexit
import builtins
import contextlib
import gc
import io
import os
import signal
import sys
from types import ModuleType, TracebackType
from typing import Any, Optional

MAIN_ENDED, WORK_DONE = b"m", b"d"
"""What is written to the pipe: this and the exit code when the main thread's work is over; then, when all threads'."""
_STOP = (signal.SIGTERM, signal.SIGHUP)
_STOPPED_SECONDS = 5.0
_FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_UNSAFE = "isaacgym"
"""With this module loaded, Python crashes when it shuts down."""


def limit(code: int, seconds: float) -> float:
    """Seconds that threads, exit handlers and Python's shutdown may take together; few after a signal."""
    return seconds if code < 128 else min(seconds, _STOPPED_SECONDS)


def main() -> None:
    """Run the program that the command line names, to its very end."""
    pipe, seconds, kind, target = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4]
    os.set_inheritable(pipe, False)
    _listen()
    process, codes = os.getpid(), [1]
    atexit.register(_finish, process, codes)  # the first to be registered is the last to run
    _present(kind, target)
    codes[0] = code = _outcome(kind, target)
    if os.getpid() == process:  # not in a forked child
        _deafen()
        _tell(pipe, MAIN_ENDED + bytes([code]))
        _say_where_it_hangs(limit(code, seconds))
        atexit.register(_work_done, pipe, process)  # the last to be registered is the first to run
    sys.exit(code)


def _present(kind: str, target: str) -> None:
    """Make `sys` look as without us."""
    given, arguments = len(sys.argv), sys.argv[5:]
    words = [kind, target] if kind in ("-c", "-m") else [target]
    original = getattr(sys, "orig_argv", None)
    if original is not None:
        original[len(original) - given :] = [*words, *arguments]
    sys.argv[:] = [words[0], *arguments]
    folder = {"file": os.path.dirname(os.path.realpath(target)), "-m": os.getcwd(), "-c": ""}.get(kind)
    alone = sys.flags.isolated or getattr(sys.flags, "safe_path", False)
    if not alone:
        del sys.path[0]  # the folder of this file
    if kind == "archive":
        sys.path.insert(0, _full(target))
    elif not alone and folder is not None:
        sys.path.insert(0, folder)


def _outcome(kind: str, target: str) -> int:
    """Run the program; returns its exit code, and prints its traceback as Python would."""
    main_module = ModuleType("__main__")
    main_module.__dict__.update(__builtins__=builtins)
    if sys.version_info < (3, 14):
        main_module.__dict__.update(__annotations__={})
    sys.modules["mapush_guard_runner"] = sys.modules["__main__"]  # which would otherwise be cleared
    sys.modules["__main__"] = main_module
    try:
        _execute(kind, target, main_module)
        return 0
    except SystemExit as stop:
        return _as_code(stop.code)
    except BaseException as error:
        return _show(error)


def _execute(kind: str, target: str, main_module: ModuleType) -> None:
    names = main_module.__dict__
    if kind == "-c":
        exec(compile(target, "<string>", "exec", dont_inherit=True), names)
    elif kind == "file":
        from importlib.machinery import SourceFileLoader

        path = _full(target)
        names.update(__file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path))
        with open(path, "rb") as file:
            source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), names)
    else:
        import runpy

        module, alter_argv = (target, True) if kind == "-m" else ("__main__", False)
        runpy._run_module_as_main(module, alter_argv)  # type: ignore[attr-defined]  # what Python calls


def _full(path: str) -> str:
    """A path as Python shows it: absolute since 3.9, but not resolved."""
    if sys.version_info < (3, 9) or os.path.isabs(path):
        return path
    return os.path.join(os.getcwd(), path[2:] if path.startswith("./") else path)


def _as_code(value: Any) -> int:
    """The exit code of `sys.exit(value)`."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 0xFF
    print(value, file=sys.stderr)
    return 1


def _show(error: BaseException) -> int:
    """Print an exception without the frames of this file; returns the exit code."""
    trace: Optional[TracebackType] = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    error.__traceback__ = trace
    try:
        sys.excepthook(type(error), error, trace)
    except SystemExit as stop:
        return _as_code(stop.code)
    except BaseException:
        sys.__excepthook__(*sys.exc_info())
        sys.__excepthook__(type(error), error, trace)
    return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


def _stop(number: int, frame: object) -> None:
    """End by an exception, so that `with` and `finally` blocks run; a second signal ends the program at once."""
    _deafen()
    raise SystemExit(128 + number)


def _listen() -> None:
    for number in _STOP:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stop)
    if sys.version_info >= (3, 7):
        os.register_at_fork(after_in_child=_deafen)


def _deafen() -> None:
    """Undo `_listen`, unless the program has handlers of its own."""
    for number in _STOP:
        if signal.getsignal(number) is _stop:
            signal.signal(number, signal.SIG_DFL)


def _tell(pipe: int, message: bytes) -> None:
    with contextlib.suppress(OSError):  # the program has closed it
        os.write(pipe, message)


def _say_where_it_hangs(seconds: float) -> None:
    """Have all threads' stacks printed shortly before the time is over."""
    with contextlib.suppress(ImportError, OSError, RuntimeError, ValueError):  # standard error may be closed
        import faulthandler

        faulthandler.dump_traceback_later(max(seconds - 0.5, 0.1), file=sys.__stderr__ or -1)


def _work_done(pipe: int, process: int) -> None:
    """Flush, and tell that all threads have ended; called before the program's exit handlers."""
    if os.getpid() == process:
        _flush()
        _tell(pipe, WORK_DONE)


def _finish(process: int, codes: "list[int]") -> None:
    """Flush what exit handlers have written; leave without the rest of Python's shutdown if it is known to crash."""
    if os.getpid() == process:
        _flush()
        if any(name.split(".")[0] == _UNSAFE for name in list(sys.modules)):
            os._exit(codes[0])


def _flush() -> None:
    """Flush every open file, and the output of C code."""
    for thing in gc.get_objects():
        if type(thing) in _FILES:
            with contextlib.suppress(OSError, ValueError):
                thing.flush()
    with contextlib.suppress(ImportError, OSError):
        import ctypes

        ctypes.CDLL(None).fflush(None)


if __name__ == "__main__":
    main()
