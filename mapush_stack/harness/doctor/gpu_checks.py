"""Checks of NVIDIA's driver and the GPUs."""

from __future__ import annotations

import re
from typing import Dict, List, Tuple

from ...system.gpu import Gpu
from .machine_info import MachineInfo
from .results import NOT_INSTALLED, Check, Outcome, Status

_OLDEST_DRIVER = {11: (450, 80), 12: (525, 60), 13: (580, 0)}
"""Oldest driver by CUDA's major version: docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html."""
_ISAACGYM_BELOW = (9, 0)
"""Isaac Gym's PhysX crashes from this compute capability on: github.com/isaac-sim/IsaacGymEnvs/issues/220."""
_WARP_13 = (1, 18)
"""The first Warp for CUDA 13, which needs driver 580 and compute capability 7.5: NVIDIA/warp issue 1955."""
_WARP_13_CAPABILITY = (7, 5)
_LITTLE_VRAM_MIB = 2048


def driver(machine: MachineInfo) -> Outcome:
    """Whether the driver answers and is new enough for torch's CUDA and for Warp."""
    nvidia = machine.nvidia
    if nvidia.problem:
        return Status.BROKEN, nvidia.problem, "restart the machine after an update of the driver, or install it again"
    if nvidia.driver is None:
        return Status.ABSENT, "no NVIDIA driver: the mujoco backend runs on the CPU", ""
    found = f"{nvidia.driver}, up to CUDA {'.'.join(map(str, nvidia.cuda or ('?',)))}"
    version = _numbers(nvidia.driver)
    needs = {f"torch's CUDA {machine.torch.cuda}": _OLDEST_DRIVER.get(machine.torch.cuda_major or 0, (0, 0))}
    if _has_warp_13(machine):
        needs[f"Warp {machine.packages['warp-lang']}"] = _OLDEST_DRIVER[13]
    for what, oldest in needs.items():
        if version < oldest:
            needed = ".".join(map(str, oldest))
            return Status.BROKEN, found, f"{what} needs a driver from {needed}: update it on the host"
    if machine.visible_devices is not None and machine.visible_devices.strip() in ("", "-1"):
        found += "; CUDA_VISIBLE_DEVICES hides the GPU"
        return Status.WARNING, found, "unset CUDA_VISIBLE_DEVICES to use the GPU"
    if nvidia.gpus and machine.torch.cuda and not machine.torch.sees_gpu:
        remedy = "python -c 'import torch; torch.zeros(1).cuda()' says why; in a container, start it with --gpus all"
        return Status.BROKEN, f"{found}; torch sees no GPU", remedy
    return Status.FINE, found, ""


def gpu_and_torch(machine: MachineInfo) -> Outcome:
    """Whether torch and Warp have code for the architecture of every GPU."""
    if not machine.nvidia.gpus:
        return Status.ABSENT, "no NVIDIA GPU", ""
    found = _cards(machine.nvidia.gpus)
    for gpu in machine.nvidia.gpus:
        if machine.torch.architectures and not _runs_on(machine.torch.architectures, gpu.compute_capability):
            built = " ".join(machine.torch.architectures)
            return Status.BROKEN, f"{found}; torch is built for {built}", "install a torch that is built for this GPU"
        if _has_warp_13(machine) and gpu.compute_capability < _WARP_13_CAPABILITY:
            return Status.BROKEN, found, "Warp 1.18 and later need compute capability 7.5: install warp-lang==1.17.*"
    return Status.FINE, found, ""


def gpu_and_isaacgym(machine: MachineInfo) -> Outcome:
    """Whether Isaac Gym's PhysX runs on every GPU."""
    if machine.isaacgym is None:
        return NOT_INSTALLED
    if not machine.nvidia.gpus:
        return Status.WARNING, "Isaac Gym without an NVIDIA GPU", "MAPush needs one: use --backend mujoco here"
    new = [gpu for gpu in machine.nvidia.gpus if gpu.compute_capability >= _ISAACGYM_BELOW]
    if not new:
        return Status.FINE, _cards(machine.nvidia.gpus), ""
    remedy = "Isaac Gym dies with a segmentation fault on compute capability 9.0 and later: use --backend warp"
    if len(new) < len(machine.nvidia.gpus):
        return Status.WARNING, _cards(new), f"{remedy}, or CUDA_VISIBLE_DEVICES with an older card"
    return Status.BROKEN, _cards(new), remedy


def gpu_memory(machine: MachineInfo) -> Outcome:
    """Whether a GPU has enough free memory."""
    if not machine.nvidia.gpus:
        return Status.ABSENT, "no NVIDIA GPU", ""
    found = ", ".join(f"{gpu.free_mib:,} of {gpu.memory_mib:,} MiB free" for gpu in machine.nvidia.gpus)
    if max(gpu.free_mib for gpu in machine.nvidia.gpus) < _LITTLE_VRAM_MIB:
        return Status.WARNING, found, "nvidia-smi lists the programs that hold it; end those that are yours"
    return Status.FINE, found, ""


CHECKS: Dict[str, Check] = {
    "driver": driver,
    "GPU and torch": gpu_and_torch,
    "GPU and Isaac Gym": gpu_and_isaacgym,
    "GPU memory": gpu_memory,
}


def _has_warp_13(machine: MachineInfo) -> bool:
    return _numbers(machine.packages.get("warp-lang", "0")) >= _WARP_13


def _runs_on(architectures: List[str], capability: Tuple[int, int]) -> bool:
    """Whether code for these architectures runs on a GPU: same major version, or PTX that the driver compiles."""
    for architecture in architectures:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", architecture)
        if match:
            built = int(match.group(2)), int(match.group(3))
            same = match.group(1) == "compute" or built[0] == capability[0]
            if same and built <= capability:
                return True
    return False


def _cards(gpus: List[Gpu]) -> str:
    return ", ".join("{} (compute capability {}.{})".format(gpu.name, *gpu.compute_capability) for gpu in gpus)


def _numbers(version: str) -> Tuple[int, ...]:
    """The first three numbers of a version: (535, 104, 5) for 535.104.05."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
