"""Which physics runs, and where: decided once, from the configuration and the machine."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

import torch

from ..errors import UserError
from .config import SimConfig


class Backend(NamedTuple):
    """The decision."""

    name: str
    """`mujoco` or `warp`."""
    device: torch.device
    """Where the simulation's tensors live, and with them the learner."""
    reason: str
    """Why, in a few words."""


def choose(sim: SimConfig) -> Backend:
    """The backend that `sim.backend` and `sim.device` amount to on this machine.

    Raises:
        UserError: what is asked for cannot be had here.

    """
    if sim.backend == "mujoco":
        if sim.device not in ("auto", "cpu"):
            raise UserError(f"sim.device={sim.device} is not allowed with sim.backend=mujoco, which runs on the CPU")
        return Backend("mujoco", torch.device("cpu"), "asked for")
    if sim.device == "cpu":
        if sim.backend == "warp":
            return Backend("warp", torch.device("cpu"), "asked for on the CPU, where it is slow")
        return Backend("mujoco", torch.device("cpu"), "the CPU was asked for")
    missing = _why_no_gpu(sim.device)
    if not missing:
        index = int(sim.device[5:]) if sim.device.startswith("cuda:") else torch.cuda.current_device()
        device = torch.device("cuda", index)
        return Backend("warp", device, torch.cuda.get_device_name(device))
    if sim.backend == "warp" or sim.device != "auto":
        raise UserError(f"sim.backend={sim.backend} on a GPU is not possible here: {missing}; use sim.backend=mujoco")
    return Backend("mujoco", torch.device("cpu"), missing)


def _why_no_gpu(device: str) -> str:
    """What stands against the warp backend on a GPU; empty where nothing does."""
    if not torch.cuda.is_available():
        return "torch sees no NVIDIA GPU"
    if device.startswith("cuda:") and int(device[5:]) >= torch.cuda.device_count():
        return f"there is no {device}, only {torch.cuda.device_count()} GPUs"
    if find_spec("mujoco_warp") is None:
        return "MuJoCo Warp is not installed (pip install 'mapush_stack[warp]')"
    return ""
