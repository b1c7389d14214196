"""A stand-in for Isaac Gym's Python API, as far as MAPush's code calls it, written from those calls.

Not a physics engine: a robot's base moves with the velocity that its joint angles stand for (`PUPPET`), and an object
moves along with a robot that walks into it. What is imitated of the real one is what programs get wrong: it refuses to
come after torch, tensors change on `refresh` and are read at the next `simulate`, and of several writes before that the
last one counts.

The walking policy that belongs to it (`walking.py`) poses the joints for the velocity that is commanded. MAPush's own
code does everything in between: observations, history, joint targets, the actuator network's torques.
"""

import os
import sys
from pathlib import Path

FOLDER = str(Path(__file__).resolve().parent)


def import_before_torch():
    """Where MAPUSH_SRC says that the tests with MAPush will run: import the stand-in, also instead of the real one."""
    if "MAPUSH_SRC" in os.environ and "isaacgym" not in sys.modules:
        sys.path.insert(0, FOLDER)
        import isaacgym  # noqa: F401
