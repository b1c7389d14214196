"""Checks of Isaac Gym, patches, simulators, learners and the machine's memory and disks."""

from __future__ import annotations

from typing import Dict

from ..patches.state import State
from .machine_info import MachineInfo
from .results import NOT_INSTALLED, Check, Outcome, Status, last_line, triage_remedy

_LITTLE_MEMORY_MIB = 2048
_LITTLE_DISK_MIB = 1024
_FULL_DISK_MIB = 64
_LITTLE_SHARED_MEMORY_MIB = 1024
"""The size in docker-compose.yml; Docker's default is 64."""


def isaacgym(machine: MachineInfo) -> Outcome:
    """Whether Isaac Gym can be imported."""
    if machine.isaacgym is None:
        return NOT_INSTALLED
    if machine.isaacgym:
        remedy = triage_remedy(machine.isaacgym, "python -c 'import isaacgym, torch' shows all of it")
        return Status.BROKEN, last_line(machine.isaacgym), remedy
    return Status.FINE, f"{machine.packages.get('isaacgym', 'unknown version')}, can be imported", ""


def import_order(machine: MachineInfo) -> Outcome:
    """Whether something imports torch before a program can import isaacgym."""
    if machine.isaacgym is None:
        return NOT_INSTALLED
    if machine.torch_loaded_by == "python":
        remedy = "find the .pth file or sitecustomize.py that does: python -X importtime -c pass 2>&1 | grep torch"
        return Status.BROKEN, "torch is imported when Python starts, before isaacgym can be", remedy
    if machine.torch_loaded_by:
        remedy = "report it, with what mapush doctor --json prints"
        return Status.BROKEN, f"{machine.torch_loaded_by} imports torch before isaacgym", remedy
    return Status.FINE, "nothing imports torch before isaacgym", ""


def gymtorch(machine: MachineInfo) -> Outcome:
    """Whether Isaac Gym's extension gymtorch is compiled, or can be."""
    if machine.gymtorch.unfinished:
        found = f"half compiled: {', '.join(machine.gymtorch.unfinished)}"
        remedy = "importing it may wait without end: delete that folder (mapush doctor --fix does)"
        return Status.WARNING, found, remedy
    if machine.isaacgym is None:
        return NOT_INSTALLED
    if machine.gymtorch.built:
        return Status.FINE, f"compiled: {', '.join(machine.gymtorch.built)}", ""
    missing = [program for program, there in machine.compiler.items() if not there]
    if missing:
        remedy = "apt-get install g++ python3.8-dev; pip install ninja, with the environment's bin folder on the PATH"
        return Status.WARNING, f"not compiled yet, and {' and '.join(missing)} not on the PATH", remedy
    return Status.FINE, "not compiled yet; the first import does it, in a minute", ""


def patches(machine: MachineInfo) -> Outcome:
    """Whether OpenRL and MAPush are patched, if they are there."""
    present = [patch for patch in machine.patches if patch.state is not State.ABSENT]
    if not present:
        return Status.ABSENT, "neither OpenRL nor MAPush is there", ""
    found = ", ".join(f"{patch.name} {patch.state.value}" for patch in present)
    for patch in present:
        if patch.state in (State.UNKNOWN, State.HALF_APPLIED):
            return Status.BROKEN, found, patch.problem
    if machine.over_mujoco:
        return Status.FINE, f"{found}; none is needed with MAPUSH_GYM", ""
    if any(patch.state is State.NOT_APPLIED for patch in present):
        return Status.WARNING, found, "mapush patches apply (mapush doctor --fix does)"
    return Status.FINE, found, ""


def simulators(machine: MachineInfo) -> Outcome:
    """Whether a simulator is installed."""
    names = {"MuJoCo": "mujoco", "MuJoCo Warp": "mujoco-warp", "Warp": "warp-lang", "Isaac Gym": "isaacgym"}
    found = _versions(machine, names)
    if not found:
        return Status.BROKEN, "none", "pip install 'mapush_stack[mujoco]', on Python 3.11 or later"
    return Status.FINE, found, ""


def learners(machine: MachineInfo) -> Outcome:
    """Whether HARL and OpenRL are installed, which are optional."""
    found = _versions(machine, {"OpenRL": "openrl", "HARL": "harl"})
    if machine.harl_source and "harl" not in machine.packages:
        found = ", ".join(filter(None, [found, "HARL in HARL_SRC"]))
    return (Status.FINE, found, "") if found else (Status.ABSENT, "neither OpenRL nor HARL", "")


def memory(machine: MachineInfo) -> Outcome:
    """Whether enough memory is available."""
    if machine.memory_mib is None:
        return Status.ABSENT, "the system does not say", ""
    low = machine.memory_mib < _LITTLE_MEMORY_MIB
    remedy = "training needs about 2 GiB: end other programs, or give the container more" if low else ""
    return (Status.WARNING if low else Status.FINE), f"{machine.memory_mib:,} MiB available", remedy


def disk(machine: MachineInfo) -> Outcome:
    """Whether there is disk space for runs, caches and temporary files."""
    least = min(machine.disks, key=lambda one: one.free_mib)
    found = f"{least.free_mib:,} MiB free for {least.purpose} ({least.path})"
    if least.free_mib < _LITTLE_DISK_MIB:
        status = Status.BROKEN if least.free_mib < _FULL_DISK_MIB else Status.WARNING
        return status, found, f"make room in {least.path}; training stops where it cannot write a checkpoint"
    return Status.FINE, found, ""


def shared_memory(machine: MachineInfo) -> Outcome:
    """Whether a container has enough shared memory."""
    if machine.shared_memory_mib is None:
        return Status.ABSENT, "no /dev/shm", ""
    found = f"/dev/shm has {machine.shared_memory_mib:,} MiB"
    if machine.container and machine.shared_memory_mib < _LITTLE_SHARED_MEMORY_MIB:
        return Status.WARNING, f"{found}, in a container", "docker run --shm-size 1g, as docker-compose.yml does"
    return Status.FINE, found, ""


def locks(machine: MachineInfo) -> Outcome:
    """Whether packages are installed in the locked versions."""
    if machine.drift is None:
        return Status.ABSENT, "no source tree with locks for this Python", ""
    if not machine.drift:
        return Status.FINE, "installed as locked", ""
    first = ", ".join(f"{one.package} {one.installed} (locked {one.locked})" for one in machine.drift[:4])
    more = f" and {len(machine.drift) - 4} more" if len(machine.drift) > 4 else ""
    remedy = f"python env/install.py {machine.python.executable} --editable"
    return Status.WARNING, f"{first}{more}", remedy


CHECKS: Dict[str, Check] = {
    "Isaac Gym": isaacgym,
    "import order": import_order,
    "gymtorch": gymtorch,
    "patches": patches,
    "simulators": simulators,
    "other learners": learners,
    "processors": lambda machine: (Status.FINE, f"{machine.cpus} usable", ""),
    "memory": memory,
    "disk": disk,
    "shared memory": shared_memory,
    "locks": locks,
}


def _versions(machine: MachineInfo, names: Dict[str, str]) -> str:
    return ", ".join(f"{title} {machine.packages[name]}" for title, name in names.items() if name in machine.packages)
