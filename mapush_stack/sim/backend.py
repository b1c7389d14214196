"""Which physics runs, and where: decided once, from the configuration and the machine."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

import torch

from ..errors import UserError
from . import isaacgym_import
from .config import SimConfig


class Backend(NamedTuple):
    """The decision."""

    name: str
    """`mujoco`, `warp` or `isaacgym`."""
    device: torch.device
    """Where the simulation's tensors live, and with them the learner."""
    reason: str
    """Why, in a few words."""


def choose(sim: SimConfig) -> Backend:
    """The backend that `sim.backend` and `sim.device` amount to on this machine.

    Raises:
        UserError: what is asked for cannot be had here.

    """
    if sim.backend == "isaacgym":
        return _isaacgym(sim.device)
    if sim.backend == "mujoco":
        if sim.device not in ("auto", "cpu"):
            raise UserError(f"sim.device={sim.device} is not allowed with sim.backend=mujoco, which runs on the CPU")
        return Backend("mujoco", torch.device("cpu"), "asked for")
    if sim.device == "cpu":
        if sim.backend == "warp":
            return Backend("warp", torch.device("cpu"), "asked for on the CPU, where it is slow")
        return Backend("mujoco", torch.device("cpu"), "the CPU was asked for")
    missing = _why_no_gpu(sim.device) or _why_no_warp()
    if not missing:
        device = _gpu(sim.device)
        return Backend("warp", device, torch.cuda.get_device_name(device))
    if sim.backend == "warp" or sim.device != "auto":
        raise UserError(f"sim.backend={sim.backend} on a GPU is not possible here: {missing}; use sim.backend=mujoco")
    return Backend("mujoco", torch.device("cpu"), missing)


def _isaacgym(device: str) -> Backend:
    """Isaac Gym on a GPU, or on the CPU where that is asked for."""
    isaacgym_import.require()
    if device == "cpu":
        return Backend("isaacgym", torch.device("cpu"), "asked for on the CPU, where it is slow")
    missing = _why_no_gpu(device)
    if missing:
        raise UserError(f"sim.backend=isaacgym is not possible here: {missing}; use sim.backend=mujoco")
    chosen = _gpu(device)
    return Backend("isaacgym", chosen, torch.cuda.get_device_name(chosen))


def _gpu(device: str) -> torch.device:
    """The GPU that `sim.device` means."""
    index = int(device[5:]) if device.startswith("cuda:") else torch.cuda.current_device()
    return torch.device("cuda", index)


def _why_no_gpu(device: str) -> str:
    """What stands against a simulation on a GPU; empty where nothing does."""
    if not torch.cuda.is_available():
        return "torch sees no NVIDIA GPU"
    if device.startswith("cuda:") and int(device[5:]) >= torch.cuda.device_count():
        return f"there is no {device}, only {torch.cuda.device_count()} GPUs"
    return _why_unusable("cuda" if device == "auto" else device)


def _why_no_warp() -> str:
    """What stands against MuJoCo Warp; empty where nothing does."""
    if find_spec("mujoco_warp") is None:
        return "MuJoCo Warp is not installed (pip install 'mapush_stack[warp]')"
    return ""


def _why_unusable(device: str) -> str:
    """Why torch can do nothing on a GPU that it sees, such as one older or newer than its kernels; empty if it can."""
    try:
        torch.ones(1, device=device).add_(1)
    except RuntimeError as error:
        return f"torch cannot use {torch.cuda.get_device_name(device)}: {str(error).splitlines()[0]}"
    return ""
