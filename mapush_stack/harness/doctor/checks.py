"""Runs all checks of `mapush doctor` on the information about a machine."""

from __future__ import annotations

from typing import List, Optional

from . import gpu_checks, machine_checks, python_checks
from .machine_info import MachineInfo
from .results import CheckResult, Outcome, Status

BACKENDS = {"mujoco": "mujoco", "warp": "mujoco-warp", "isaacgym": "isaacgym"}
"""Simulators, by their names in sim.backend, and their packages."""
_CHECKS = {**python_checks.CHECKS, **gpu_checks.CHECKS, **machine_checks.CHECKS}
_GPU_CHECKS = ("driver", "GPU and torch", "GPU and Isaac Gym")


def examine(machine: MachineInfo, backend: Optional[str] = None) -> List[CheckResult]:
    """The results of all checks; with `backend`, one of `BACKENDS`, also of what that simulator needs."""
    outcomes = {name: check(machine) for name, check in _CHECKS.items()}
    if backend == "mujoco":  # it runs on the CPU
        for name in _GPU_CHECKS:
            status, found, remedy = outcomes[name]
            outcomes[name] = (Status.WARNING if status is Status.BROKEN else status, found, remedy)
    if backend is not None:
        outcomes[f"backend {backend}"] = _backend(machine, backend)
    return [
        CheckResult(check=name, status=status, found=found, remedy=remedy)
        for name, (status, found, remedy) in outcomes.items()
    ]


def exit_code(results: List[CheckResult]) -> int:
    """0 if all is well, 1 with warnings, 2 if something is broken."""
    statuses = {result.status for result in results}
    return 2 if Status.BROKEN in statuses else 1 if Status.WARNING in statuses else 0


def _backend(machine: MachineInfo, backend: str) -> Outcome:
    """Whether this machine has what a simulator needs."""
    package = BACKENDS[backend]
    if package not in machine.packages and not (backend == "isaacgym" and machine.isaacgym is not None):
        remedy = "see docs/isaacgym.md" if backend == "isaacgym" else f"pip install 'mapush_stack[{backend}]'"
        return Status.BROKEN, f"{package} is not installed", remedy
    if backend != "mujoco" and not machine.nvidia.gpus:
        remedy = "in a container, start it with --gpus all; on a machine without one use --backend mujoco"
        return Status.BROKEN, "no NVIDIA GPU", remedy
    return Status.FINE, "installed" if backend == "mujoco" else "installed, beside a GPU", ""
