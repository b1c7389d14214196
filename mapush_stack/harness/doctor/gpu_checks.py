"""Checks of NVIDIA's driver and the GPUs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Tuple

from ...system.gpu import Gpu
from .machine_info import MachineInfo
from .results import NOT_INSTALLED, Check, Outcome, Status, last_line, triage_remedy

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
        error = machine.torch.cuda_error
        if error:
            return Status.BROKEN, f"{found}; torch: {last_line(error)}", triage_remedy(error, remedy)
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


def library_path(machine: MachineInfo) -> Outcome:
    """Whether LD_LIBRARY_PATH leads programs to a wrong libcuda or to a second CUDA."""
    works = machine.torch.sees_gpu and not machine.torch.error
    for folder, libraries in machine.library_path.items():
        kind = next((kind for kind in ("stubs", "compat") if kind in folder.split("/")), None)
        if kind and any(name.startswith(("libcuda.so", "libnvidia-ml.so")) for name in libraries):
            found = f"LD_LIBRARY_PATH has {folder}, whose {libraries[0]} is not this driver's"
            wrong = Status.WARNING if works or not machine.nvidia.gpus else Status.BROKEN
            return wrong, found, f"remove {folder} from LD_LIBRARY_PATH"
    if not machine.library_path:
        return Status.FINE, "LD_LIBRARY_PATH has no CUDA", ""
    found = f"LD_LIBRARY_PATH has CUDA in {', '.join(machine.library_path)}"
    if works or not (machine.torch.cuda or machine.torch.error):
        return Status.FINE, found, ""
    return Status.WARNING, found, "unset LD_LIBRARY_PATH and try again: torch has its own CUDA"


def vulkan(machine: MachineInfo) -> Outcome:
    """Whether Vulkan finds NVIDIA's driver, which Isaac Gym's cameras and viewer need."""
    seen, errors = machine.graphics, machine.graphics.errors
    if not machine.nvidia.gpus:
        return Status.ABSENT, "no NVIDIA GPU", ""
    lacking = Status.ABSENT if machine.isaacgym is None else Status.WARNING
    if errors.get("libvulkan.so.1", ""):
        return lacking, errors["libvulkan.so.1"], "for cameras and viewers: apt-get install libvulkan1"
    if errors.get("libGLX_nvidia.so.0", ""):
        return lacking, errors["libGLX_nvidia.so.0"], f"for cameras and viewers: {_graphics_remedy(machine)}"
    if not any("nvidia" in Path(path).name for path in seen.vulkan_drivers):
        found = f"drivers: {', '.join(seen.vulkan_drivers) or 'none'}; NVIDIA's is not among them"
        remedy = "for cameras and viewers: a file nvidia_icd.json in /usr/share/vulkan/icd.d, or VK_ICD_FILENAMES"
        return lacking, found, remedy
    return Status.FINE, ", ".join(seen.vulkan_drivers), ""


def egl(machine: MachineInfo) -> Outcome:
    """Whether EGL, with which MuJoCo renders without a display, finds NVIDIA's driver."""
    wanted = machine.graphics.mujoco_gl.lower() == "egl"
    if not machine.nvidia.gpus and not wanted:
        return Status.ABSENT, "no NVIDIA GPU", ""
    lacking = Status.WARNING if wanted else Status.ABSENT
    for name, remedy in (("libEGL.so.1", "apt-get install libegl1"), ("libEGL_nvidia.so.0", _graphics_remedy(machine))):
        error = machine.graphics.errors.get(name, "")
        if error:
            return lacking, error, f"to render: {remedy}; or MUJOCO_GL=osmesa, on the CPU"
    return Status.FINE, "libEGL and NVIDIA's driver", ""


def docker(machine: MachineInfo) -> Outcome:
    """Whether Docker can give containers the GPU."""
    if machine.docker is None:
        return Status.ABSENT, "no Docker", ""
    if not machine.nvidia.gpus:
        return Status.ABSENT, "no NVIDIA GPU", ""
    runtimes = ", ".join(machine.docker.runtimes) or "none but its own"
    if not machine.docker.toolkit:
        remedy = "for GPUs in containers: install nvidia-container-toolkit, run nvidia-ctk runtime configure"
        return Status.WARNING, "Docker without NVIDIA's container toolkit", remedy
    return Status.FINE, f"NVIDIA's container toolkit; runtimes: {runtimes}", ""


CHECKS: Dict[str, Check] = {
    "driver": driver,
    "GPU and torch": gpu_and_torch,
    "GPU and Isaac Gym": gpu_and_isaacgym,
    "GPU memory": gpu_memory,
    "library path": library_path,
    "Vulkan": vulkan,
    "EGL": egl,
    "Docker": docker,
}


def _graphics_remedy(machine: MachineInfo) -> str:
    """How NVIDIA's libraries for graphics get here."""
    if not machine.container:
        return "install the whole driver, not the one without graphics (nvidia-headless)"
    given = machine.graphics.capabilities
    return f"start the container with -e NVIDIA_DRIVER_CAPABILITIES=all (now {given or 'not set'})"


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
