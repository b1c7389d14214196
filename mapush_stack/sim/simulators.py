"""The simulators, and which of them runs where. Importing this registers the project's own."""

from __future__ import annotations

from typing import Container

import torch

from ..errors import UserError
from .config import SimConfig
from .isaacgym import IsaacGymKind
from .mujoco import STATE, MujocoKind
from .simulator import SIMULATORS, Backend
from .warp import WarpKind, why_not

__all__ = ["SIMULATORS", "WARP", "choose", "name_of"]

WARP = WarpKind()

SIMULATORS.register("mujoco", MujocoKind())
SIMULATORS.register("warp", WARP)
SIMULATORS.register("isaacgym", IsaacGymKind())


def choose(sim: SimConfig) -> Backend:
    """What `sim.backend` and `sim.device` amount to on this machine.

    `auto` is MuJoCo Warp on an NVIDIA GPU and MuJoCo elsewhere.

    Raises:
        UserError: what is asked for cannot be had here.

    """
    if sim.backend != "auto":
        return SIMULATORS[sim.backend].place(sim.device)
    if sim.device == "cpu":
        return Backend("mujoco", torch.device("cpu"), "the CPU was asked for")
    missing = why_not(sim.device)
    if not missing:
        return SIMULATORS["warp"].place(sim.device)
    if sim.device != "auto":
        raise UserError(f"sim.backend=auto on a GPU is not possible here: {missing}; use sim.backend=mujoco")
    return Backend("mujoco", torch.device("cpu"), missing)


def name_of(state: Container[str]) -> str:
    """Which of the simulators that `auto` can mean has a `state_dict` with these names."""
    return "mujoco" if STATE in state else "warp"
