"""Importing Isaac Gym, which has to be imported before torch.

A command knows that it needs Isaac Gym when it has read its configuration, and by then torch is imported. `require`
then raises `TorchFirstError`, and the command line starts itself again as a process that imports Isaac Gym first.
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
from ..gym_api import activation

VARIABLE = "MAPUSH_ISAACGYM_FIRST"
"""Environment variable of processes that import Isaac Gym before torch; inherited by those that they start."""


class TorchFirstError(UserError):
    """This process has imported torch and can no longer import Isaac Gym."""


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
    over_mujoco = bool(os.environ.get(activation.VARIABLE))
    if over_mujoco and activation.NAMES not in sys.path:
        sys.path.insert(0, activation.NAMES)
    if find_spec("isaacgym") is None:
        raise UserError(
            "sim.backend=isaacgym needs NVIDIA's Isaac Gym Preview 4 (Python 3.8), which is not installed in this "
            "Python: docs/isaacgym.md says how; MAPUSH_GYM=mujoco or warp stands in for it (docs/gym_api.md), and "
            "sim.backend=mujoco or warp needs neither"
        )
    if "torch" in sys.modules and not over_mujoco:
        raise TorchFirstError("Isaac Gym must be imported before torch: put `import isaacgym` first in your program")
    try:
        with stdout_as_stderr():
            importlib.import_module("isaacgym")
    except ImportError as error:
        raise UserError(f"Isaac Gym cannot be loaded: {error}") from None


def start_again() -> None:
    """Run the same command line again in place of this process, with Isaac Gym imported first."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "mapush_stack", *sys.argv[1:]]
    os.execve(sys.executable, command, {**os.environ, VARIABLE: "1"})


@contextlib.contextmanager
def stdout_as_stderr() -> Iterator[None]:
    """Send to stderr what Isaac Gym and MAPush print on stdout, from Python and from C++."""
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
