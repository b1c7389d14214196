"""The simulators. Importing this registers the project's own."""

from __future__ import annotations

from .isaacgym import IsaacGymKind
from .mujoco import MujocoKind
from .simulator import SIMULATORS
from .warp import WarpKind

__all__ = ["SIMULATORS"]

SIMULATORS.register("mujoco", MujocoKind())
SIMULATORS.register("warp", WarpKind())
SIMULATORS.register("isaacgym", IsaacGymKind())
