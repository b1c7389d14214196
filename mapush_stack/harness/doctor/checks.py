"""What the facts mean: each check looks at some of them and gives one finding, with a remedy where one is needed."""

from __future__ import annotations

import re
from enum import Enum
from typing import Callable, Dict, List, Optional, Tuple

from pydantic import BaseModel, ConfigDict

from ...system.gpu import Gpu
from ..patches.state import State
from ..triage import rules
from ..triage.diagnosis import diagnose
from ..triage.log import Log
from .facts import Facts


class Status(str, Enum):
    """How well it is."""

    FINE = "fine"
    ABSENT = "absent"
    """Not there, which is no fault."""
    WARNING = "warning"
    """It hinders."""
    BROKEN = "broken"
    """What is installed or built in cannot work."""


class Finding(BaseModel):
    """What a check says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str
    status: Status
    found: str
    remedy: str = ""


Told = Tuple[Status, str, str]
"""Status, what was found, remedy."""
_CHECKS: Dict[str, Callable[[Facts], Told]] = {}

_PYTHONS = ((3, 8), (3, 11), (3, 12), (3, 13))
"""Those that have locks under env/."""
_OLDEST_DRIVER = {11: (450, 80), 12: (525, 60), 13: (580, 0)}
"""By CUDA's major version: docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html."""
_ISAACGYM_BELOW = (9, 0)
"""Isaac Gym's PhysX dies on Hopper and later: github.com/isaac-sim/IsaacGymEnvs/issues/220."""
_WARP_13 = (1, 18)
"""Warp's first version on CUDA 13; it wants a driver from 580 and compute capability 7.5: NVIDIA/warp issue 1955."""
_WARP_13_CAPABILITY = (7, 5)
_CUDA_PACKAGE = re.compile(
    r"nvidia-(?:cublas|cuda-[a-z]+|cudnn|cufft|cufile|curand|cusolver|cusparse|cusparselt|nccl|npp|nvjitlink|nvjpeg"
    r"|nvshmem|nvtx|nvvm)(?:-cu(\d\d)\d*)?"
)
"""What NVIDIA publishes of CUDA for Python; other packages of theirs (nvidia-ml-py, nvidia-dali) are none of it."""
_UNSUFFIXED = 13
"""CUDA's major version whose packages dropped the suffix."""
_LITTLE_VRAM_MIB = 2048
_LITTLE_MEMORY_MIB = 2048
_LITTLE_DISK_MIB = 1024
_FULL_DISK_MIB = 64
_LITTLE_SHARED_MEMORY_MIB = 1024
"""What docker-compose.yml gives; Docker itself gives 64."""
BACKENDS = {"mujoco": "mujoco", "warp": "mujoco-warp", "isaacgym": "isaacgym"}
"""Simulators, as sim.backend has them, and the packages that they are."""
_OF_THE_GPU = ("driver", "GPU and torch", "GPU and Isaac Gym")
_NOT_INSTALLED = (Status.ABSENT, "Isaac Gym is not installed", "")


def examine(facts: Facts, backend: Optional[str] = None) -> List[Finding]:
    """Every check, in order, and whether there is what a simulator needs, if one is named (of `BACKENDS`)."""
    told = {name: check(facts) for name, check in _CHECKS.items()}
    if backend == "mujoco":  # which runs on the CPU
        for name in _OF_THE_GPU:
            status, *rest = told[name]
            told[name] = (Status.WARNING if status is Status.BROKEN else status, *rest)
    if backend is not None:
        told[f"backend {backend}"] = _backend(facts, backend)
    return [
        Finding(check=name, status=status, found=found, remedy=remedy) for name, (status, found, remedy) in told.items()
    ]


def exit_code(findings: List[Finding]) -> int:
    """0 if all is well, 1 with warnings, 2 if something is broken."""
    statuses = {finding.status for finding in findings}
    return 2 if Status.BROKEN in statuses else 1 if Status.WARNING in statuses else 0


def _check(name: str) -> Callable[[Callable[[Facts], Told]], Callable[[Facts], Told]]:
    def register(function: Callable[[Facts], Told]) -> Callable[[Facts], Told]:
        _CHECKS[name] = function
        return function

    return register


@_check("Python")
def python(facts: Facts) -> Told:
    """A Python that there are locks for."""
    found = "{}.{}.{}".format(*facts.python.version)
    minor = facts.python.version[:2]
    if minor < (3, 8):
        return Status.BROKEN, found, "mapush_stack needs Python 3.8 or 3.11 to 3.13"
    if minor in _PYTHONS:
        return Status.FINE, found + (", for Isaac Gym; MuJoCo needs 3.11 or later" if minor == (3, 8) else ""), ""
    reason = "MuJoCo 4 needs Python 3.11" if minor < (3, 11) else "nobody has tried it, and there are no locks for it"
    return Status.WARNING, found, f"{reason}: use Python 3.11, 3.12 or 3.13"


@_check("torch")
def torch(facts: Facts) -> Told:
    """Imported, and with CUDA where there is a GPU."""
    if facts.torch.error:
        return Status.BROKEN, _last_line(facts.torch.error), _explain(facts.torch.error, "install torch again")
    found = f"{facts.torch.version}, " + (f"CUDA {facts.torch.cuda}" if facts.torch.cuda else "for the CPU")
    if facts.nvidia.gpus and not facts.torch.cuda:
        return Status.WARNING, f"{found}, beside a GPU", "MAPUSH_TORCH=cuda python env/install.py PYTHON --editable"
    return Status.FINE, found, ""


@_check("CUDA packages")
def cuda_packages(facts: Facts) -> Told:
    """All nvidia-* packages are of the CUDA that torch was built for."""
    majors = _cuda_majors(facts.packages)
    if not majors:
        return Status.FINE, "none; torch brings its own" if facts.torch.cuda else "none", ""
    said = ", ".join(f"{list(majors.values()).count(major)} of CUDA {major}" for major in sorted(set(majors.values())))
    wanted = _torch_major(facts)
    wrong = sorted(name for name, major in majors.items() if major != wanted)
    if wanted is None and len(set(majors.values())) == 1:
        return Status.FINE, f"{said}, which torch does not use", ""
    if not wrong:
        return Status.FINE, said, ""
    owner = f"torch is for CUDA {wanted}" if wanted else "torch is for none"
    status = Status.BROKEN if facts.torch.error else Status.WARNING
    again = "; then install torch again, whose files they may have replaced" if wanted else ""
    return status, f"{said}; {owner}", f"{_uninstall(facts, wrong)}{again}"


@_check("driver")
def driver(facts: Facts) -> Told:
    """The driver answers, and is new enough for torch's CUDA and for Warp."""
    nvidia = facts.nvidia
    if nvidia.problem:
        return Status.BROKEN, nvidia.problem, "restart the machine after an update of the driver, or install it again"
    if nvidia.driver is None:
        return Status.ABSENT, "no NVIDIA driver: the mujoco backend runs on the CPU", ""
    found = f"{nvidia.driver}, up to CUDA {'.'.join(map(str, nvidia.cuda or ('?',)))}"
    version = _numbers(nvidia.driver)
    needs = {f"torch's CUDA {facts.torch.cuda}": _OLDEST_DRIVER.get(facts.torch.cuda_major or 0, (0, 0))}
    if _has_warp_13(facts):
        needs[f"Warp {facts.packages['warp-lang']}"] = _OLDEST_DRIVER[13]
    for what, oldest in needs.items():
        if version < oldest:
            needed = ".".join(map(str, oldest))
            return Status.BROKEN, found, f"{what} needs a driver from {needed}: update it on the host"
    if facts.visible_devices is not None and facts.visible_devices.strip() in ("", "-1"):
        return (
            Status.WARNING,
            f"{found}; CUDA_VISIBLE_DEVICES hides the GPU",
            "unset CUDA_VISIBLE_DEVICES to use the GPU",
        )
    if nvidia.gpus and facts.torch.cuda and not facts.torch.sees_gpu:
        remedy = "python -c 'import torch; torch.zeros(1).cuda()' says why; in a container, start it with --gpus all"
        return Status.BROKEN, f"{found}; torch sees no GPU", remedy
    return Status.FINE, found, ""


@_check("GPU and torch")
def gpu_and_torch(facts: Facts) -> Told:
    """torch, and Warp, hold code for every GPU's architecture."""
    if not facts.nvidia.gpus:
        return Status.ABSENT, "no NVIDIA GPU", ""
    found = _cards(facts.nvidia.gpus)
    for gpu in facts.nvidia.gpus:
        if facts.torch.architectures and not _runs_on(facts.torch.architectures, gpu.compute_capability):
            built = " ".join(facts.torch.architectures)
            return Status.BROKEN, f"{found}; torch is built for {built}", "install a torch that is built for this GPU"
        if _has_warp_13(facts) and gpu.compute_capability < _WARP_13_CAPABILITY:
            return Status.BROKEN, found, "Warp 1.18 and later need compute capability 7.5: install warp-lang==1.17.*"
    return Status.FINE, found, ""


@_check("GPU and Isaac Gym")
def gpu_and_isaacgym(facts: Facts) -> Told:
    """Isaac Gym's PhysX runs on every GPU."""
    if facts.isaacgym is None:
        return _NOT_INSTALLED
    if not facts.nvidia.gpus:
        return Status.WARNING, "Isaac Gym without an NVIDIA GPU", "MAPush needs one: use --backend mujoco here"
    new = [gpu for gpu in facts.nvidia.gpus if gpu.compute_capability >= _ISAACGYM_BELOW]
    if not new:
        return Status.FINE, _cards(facts.nvidia.gpus), ""
    remedy = "Isaac Gym dies with a segmentation fault on compute capability 9.0 and later: use --backend warp"
    if len(new) < len(facts.nvidia.gpus):
        return Status.WARNING, _cards(new), f"{remedy}, or CUDA_VISIBLE_DEVICES with an older card"
    return Status.BROKEN, _cards(new), remedy


@_check("GPU memory")
def gpu_memory(facts: Facts) -> Told:
    """A GPU has room."""
    if not facts.nvidia.gpus:
        return Status.ABSENT, "no NVIDIA GPU", ""
    found = ", ".join(f"{gpu.free_mib:,} of {gpu.memory_mib:,} MiB free" for gpu in facts.nvidia.gpus)
    if max(gpu.free_mib for gpu in facts.nvidia.gpus) < _LITTLE_VRAM_MIB:
        return Status.WARNING, found, "nvidia-smi lists the programs that hold it; end those that are yours"
    return Status.FINE, found, ""


@_check("Isaac Gym")
def isaacgym(facts: Facts) -> Told:
    """It can be imported."""
    if facts.isaacgym is None:
        return _NOT_INSTALLED
    if facts.isaacgym:
        remedy = _explain(facts.isaacgym, "python -c 'import isaacgym, torch' shows all of it")
        return Status.BROKEN, _last_line(facts.isaacgym), remedy
    return Status.FINE, f"{facts.packages.get('isaacgym', 'unknown version')}, can be imported", ""


@_check("import order")
def import_order(facts: Facts) -> Told:
    """Nothing imports torch before a program can import isaacgym."""
    if facts.isaacgym is None:
        return _NOT_INSTALLED
    if facts.torch_loaded_by == "python":
        remedy = "find the .pth file or sitecustomize.py that does: python -X importtime -c pass 2>&1 | grep torch"
        return Status.BROKEN, "torch is imported when Python starts, before isaacgym can be", remedy
    if facts.torch_loaded_by:
        remedy = "report it, with what mapush doctor --json prints"
        return Status.BROKEN, f"{facts.torch_loaded_by} imports torch before isaacgym", remedy
    return Status.FINE, "nothing imports torch before isaacgym", ""


@_check("gymtorch")
def gymtorch(facts: Facts) -> Told:
    """Isaac Gym's extension is compiled, or can be."""
    if facts.gymtorch.unfinished:
        found = f"half compiled: {', '.join(facts.gymtorch.unfinished)}"
        remedy = "importing it may wait without end: delete that folder (mapush doctor --fix does)"
        return Status.WARNING, found, remedy
    if facts.isaacgym is None:
        return _NOT_INSTALLED
    if facts.gymtorch.built:
        return Status.FINE, f"compiled: {', '.join(facts.gymtorch.built)}", ""
    missing = [program for program, there in facts.compiler.items() if not there]
    if missing:
        remedy = "apt-get install g++ python3.8-dev; pip install ninja, with the environment's bin folder on the PATH"
        return Status.WARNING, f"not compiled yet, and {' and '.join(missing)} not on the PATH", remedy
    return Status.FINE, "not compiled yet; the first import does it, in a minute", ""


@_check("patches")
def patches(facts: Facts) -> Told:
    """What is there is patched."""
    present = [patch for patch in facts.patches if patch.state is not State.ABSENT]
    if not present:
        return Status.ABSENT, "neither OpenRL nor MAPush is there", ""
    found = ", ".join(f"{patch.name} {patch.state.value}" for patch in present)
    for patch in present:
        if patch.state in (State.UNKNOWN, State.HALF_APPLIED):
            return Status.BROKEN, found, patch.problem
    if any(patch.state is State.NOT_APPLIED for patch in present):
        return Status.WARNING, found, "mapush patches apply (mapush doctor --fix does)"
    return Status.FINE, found, ""


@_check("simulators")
def simulators(facts: Facts) -> Told:
    """There is one."""
    names = {"MuJoCo": "mujoco", "MuJoCo Warp": "mujoco-warp", "Warp": "warp-lang", "Isaac Gym": "isaacgym"}
    found = _versions(facts, names)
    if not found:
        return Status.BROKEN, "none", "pip install 'mapush_stack[mujoco]', on Python 3.11 or later"
    return Status.FINE, found, ""


@_check("other learners")
def learners(facts: Facts) -> Told:
    """HARL and OpenRL, of which nobody needs any."""
    found = _versions(facts, {"OpenRL": "openrl", "HARL": "harl"})
    if facts.harl_source and "harl" not in facts.packages:
        found = ", ".join(filter(None, [found, "HARL in HARL_SRC"]))
    return (Status.FINE, found, "") if found else (Status.ABSENT, "neither OpenRL nor HARL", "")


@_check("processors")
def processors(facts: Facts) -> Told:
    """How many may be used."""
    return Status.FINE, f"{facts.cpus} usable", ""


@_check("memory")
def memory(facts: Facts) -> Told:
    """Some is available."""
    if facts.memory_mib is None:
        return Status.ABSENT, "the system does not say", ""
    low = facts.memory_mib < _LITTLE_MEMORY_MIB
    remedy = "training needs about 2 GiB: end other programs, or give the container more" if low else ""
    return (Status.WARNING if low else Status.FINE), f"{facts.memory_mib:,} MiB available", remedy


@_check("disk")
def disk(facts: Facts) -> Told:
    """Runs, caches and temporary files have room."""
    least = min(facts.disks, key=lambda one: one.free_mib)
    found = f"{least.free_mib:,} MiB free for {least.purpose} ({least.path})"
    if least.free_mib < _LITTLE_DISK_MIB:
        status = Status.BROKEN if least.free_mib < _FULL_DISK_MIB else Status.WARNING
        return status, found, f"make room in {least.path}; training stops where it cannot write a checkpoint"
    return Status.FINE, found, ""


@_check("shared memory")
def shared_memory(facts: Facts) -> Told:
    """A container has enough of it."""
    if facts.shared_memory_mib is None:
        return Status.ABSENT, "no /dev/shm", ""
    found = f"/dev/shm has {facts.shared_memory_mib:,} MiB"
    if facts.container and facts.shared_memory_mib < _LITTLE_SHARED_MEMORY_MIB:
        return Status.WARNING, f"{found}, in a container", "docker run --shm-size 1g, as docker-compose.yml does"
    return Status.FINE, found, ""


@_check("locks")
def locks(facts: Facts) -> Told:
    """What is installed is what the locks say."""
    if facts.drift is None:
        return Status.ABSENT, "no source tree with locks for this Python", ""
    if not facts.drift:
        return Status.FINE, "installed as locked", ""
    first = ", ".join(f"{one.package} {one.installed} (locked {one.locked})" for one in facts.drift[:4])
    more = f" and {len(facts.drift) - 4} more" if len(facts.drift) > 4 else ""
    remedy = f"python env/install.py {facts.python.executable} --editable"
    return Status.WARNING, f"{first}{more}", remedy


def _backend(facts: Facts, backend: str) -> Told:
    """What may be absent elsewhere, but not where this simulator is to run."""
    package = BACKENDS[backend]
    if package not in facts.packages and not (backend == "isaacgym" and facts.isaacgym is not None):
        remedy = "see docs/isaacgym.md" if backend == "isaacgym" else f"pip install 'mapush_stack[{backend}]'"
        return Status.BROKEN, f"{package} is not installed", remedy
    if backend != "mujoco" and not facts.nvidia.gpus:
        remedy = "in a container, start it with --gpus all; on a machine without one use --backend mujoco"
        return Status.BROKEN, "no NVIDIA GPU", remedy
    return Status.FINE, "installed" if backend == "mujoco" else "installed, beside a GPU", ""


def _cuda_majors(packages: Dict[str, str]) -> Dict[str, int]:
    """CUDA's major version of each package that is a piece of it."""
    majors = {}
    for name, version in packages.items():
        match = _CUDA_PACKAGE.fullmatch(name)
        if match and not version.startswith("0.0."):  # those are placeholders, without content
            majors[name] = int(match.group(1) or _UNSUFFIXED)
    return majors


def _torch_major(facts: Facts) -> Optional[int]:
    """The CUDA that torch was built for; where nothing else says it, as its version does."""
    if facts.torch.cuda or not facts.torch.error:
        return facts.torch.cuda_major
    match = re.search(r"\+cu(\d\d)", facts.packages.get("torch", ""))
    return int(match.group(1)) if match else None


def _uninstall(facts: Facts, packages: List[str]) -> str:
    """The line that uninstalls packages from this Python, with pip where it has one."""
    if "pip" in facts.packages:
        return f"{facts.python.executable} -m pip uninstall -y {' '.join(packages)}"
    return f"uv pip uninstall --python {facts.python.executable} {' '.join(packages)}"


def _has_warp_13(facts: Facts) -> bool:
    return _numbers(facts.packages.get("warp-lang", "0")) >= _WARP_13


def _runs_on(architectures: List[str], capability: Tuple[int, int]) -> bool:
    """Whether there is machine code of the same major version, or PTX that the driver can compile."""
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


def _versions(facts: Facts, names: Dict[str, str]) -> str:
    there = [f"{title} {facts.packages[name]}" for title, name in names.items() if name in facts.packages]
    return ", ".join(there)


def _explain(error: str, otherwise: str) -> str:
    """The remedy that triage knows for an error."""
    findings = diagnose(Log(error.encode()), rules.registered(), exit_code=1).findings
    return findings[0].remedy if findings else otherwise


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def _numbers(version: str) -> Tuple[int, ...]:
    """Leading numbers of a version: (535, 104, 5) of 535.104.05."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
