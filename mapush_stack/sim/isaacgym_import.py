"""Isaac Gym has to be imported before torch: how a process comes to have done so.

Whether a command needs Isaac Gym is known when its configuration is, and by then torch is imported. `require` then
raises `TorchFirstError`, and the command line starts itself again as a process that imports Isaac Gym before all else.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
from importlib.util import find_spec
from typing import Iterator

from ..errors import UserError

VARIABLE = "MAPUSH_ISAACGYM_FIRST"
"""Set in the environment of a process, and of those that it starts, which import Isaac Gym before torch."""


class TorchFirstError(UserError):
    """This process has imported torch and can no longer import Isaac Gym; another one could."""


def import_first() -> None:
    """Import Isaac Gym if this process was started for that.

    Raises:
        UserError: it is not installed or cannot be loaded.

    """
    if os.environ.get(VARIABLE) == "1":
        require()


def require() -> None:
    """Import Isaac Gym unless that has been done.

    Raises:
        TorchFirstError: torch has been imported before it.
        UserError: it is not installed or cannot be loaded.

    """
    if "isaacgym" in sys.modules:
        return
    if find_spec("isaacgym") is None:
        raise UserError(
            "sim.backend=isaacgym needs NVIDIA's Isaac Gym Preview 4 (Python 3.8), which is not installed in this "
            "Python: docs/isaacgym.md says how; use sim.backend=mujoco or warp without it"
        )
    if "torch" in sys.modules:
        raise TorchFirstError("Isaac Gym must be imported before torch: put `import isaacgym` first in your program")
    try:
        with stdout_as_stderr():
            importlib.import_module("isaacgym")
    except ImportError as error:
        raise UserError(f"Isaac Gym cannot be loaded: {error}") from None


def start_again() -> None:
    """Replace this process by one of the same command line that imports Isaac Gym first; does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "mapush_stack", *sys.argv[1:]]
    os.execve(sys.executable, command, {**os.environ, VARIABLE: "1"})


@contextlib.contextmanager
def stdout_as_stderr() -> Iterator[None]:
    """Send what Isaac Gym and MAPush print, from Python and from C++, to stderr: stdout is for results."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        ctypes.CDLL(None).fflush(None)
        os.dup2(stdout, 1)
        os.close(stdout)
