"""Checks of Python, torch and CUDA's packages."""

from __future__ import annotations

import re
from collections import Counter
from typing import Dict, List, Optional

from .machine_info import MachineInfo
from .results import Check, Outcome, Status, last_line, triage_remedy

_PYTHONS = ((3, 8), (3, 11), (3, 12), (3, 13), (3, 14))
"""Versions with lock files under env/."""
_CUDA_PACKAGE = re.compile(
    r"nvidia-(?:cublas|cuda-[a-z]+|cudnn|cufft|cufile|curand|cusolver|cusparse|cusparselt|nccl|npp|nvjitlink|nvjpeg"
    r"|nvshmem|nvtx|nvvm)(?:-cu(\d\d)\d*)?"
)
"""NVIDIA's Python packages of CUDA; others, such as nvidia-ml-py and nvidia-dali, are not part of it."""
_UNSUFFIXED = 13
"""The major version of CUDA whose packages have no suffix any more."""


def python(machine: MachineInfo) -> Outcome:
    """Whether there are lock files for this Python."""
    found = "{}.{}.{}".format(*machine.python.version)
    minor = machine.python.version[:2]
    if minor < (3, 8):
        return Status.BROKEN, found, "mapush_stack needs Python 3.8 or 3.11 to 3.14"
    if minor in _PYTHONS:
        return Status.FINE, found + (", for Isaac Gym; MuJoCo needs 3.11 or later" if minor == (3, 8) else ""), ""
    reason = "MuJoCo 4 needs Python 3.11" if minor < (3, 11) else "nobody has tried it, and there are no locks for it"
    return Status.WARNING, found, f"{reason}: use Python 3.11 to 3.14"


def torch(machine: MachineInfo) -> Outcome:
    """Whether torch can be imported, and supports CUDA if there is a GPU."""
    if machine.torch.error:
        return Status.BROKEN, last_line(machine.torch.error), triage_remedy(machine.torch.error, "install torch again")
    found = f"{machine.torch.version}, " + (f"CUDA {machine.torch.cuda}" if machine.torch.cuda else "for the CPU")
    if machine.nvidia.gpus and not machine.torch.cuda:
        return Status.WARNING, f"{found}, beside a GPU", "MAPUSH_TORCH=cuda python env/install.py PYTHON --editable"
    return Status.FINE, found, ""


def cuda_packages(machine: MachineInfo) -> Outcome:
    """Whether all nvidia-* packages are for the CUDA that torch was built for."""
    majors = _cuda_majors(machine.packages)
    if not majors:
        return Status.FINE, "none; torch brings its own" if machine.torch.cuda else "none", ""
    counts = Counter(majors.values())
    listed = ", ".join(f"{counts[major]} of CUDA {major}" for major in sorted(counts))
    wanted = _torch_major(machine)
    wrong = sorted(name for name, major in majors.items() if major != wanted)
    if wanted is None and len(counts) == 1:
        return Status.FINE, f"{listed}, which torch does not use", ""
    if not wrong:
        return Status.FINE, listed, ""
    owner = f"torch is for CUDA {wanted}" if wanted else "torch is for none"
    status = Status.BROKEN if machine.torch.error else Status.WARNING
    again = "; then install torch again, whose files they may have replaced" if wanted else ""
    return status, f"{listed}; {owner}", f"{_uninstall(machine, wrong)}{again}"


CHECKS: Dict[str, Check] = {
    "Python": python,
    "torch": torch,
    "CUDA packages": cuda_packages,
}


def _cuda_majors(packages: Dict[str, str]) -> Dict[str, int]:
    """The major version of CUDA for each installed package of CUDA."""
    majors = {}
    for name, version in packages.items():
        match = _CUDA_PACKAGE.fullmatch(name)
        if match and not version.startswith("0.0."):  # placeholders without content
            majors[name] = int(match.group(1) or _UNSUFFIXED)
    return majors


def _torch_major(machine: MachineInfo) -> Optional[int]:
    """The major version of CUDA that torch was built for; None if it was built without CUDA."""
    if machine.torch.cuda or not machine.torch.error:
        return machine.torch.cuda_major
    match = re.search(r"\+cu(\d\d)", machine.packages.get("torch", ""))
    return int(match.group(1)) if match else None


def _uninstall(machine: MachineInfo, packages: List[str]) -> str:
    """The command that uninstalls packages from this Python, with pip if it has that."""
    if "pip" in machine.packages:
        return f"{machine.python.executable} -m pip uninstall -y {' '.join(packages)}"
    return f"uv pip uninstall --python {machine.python.executable} {' '.join(packages)}"
