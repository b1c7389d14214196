"""Collects the information about this machine; what could crash is imported in a separate process."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, List, Optional

from ...errors import UserError
from ...system import gpu
from ...system.limits import read_json
from ...system.machine import available_memory, usable_cpus
from ..patches import manifest
from ..patches.state import survey
from ..triage.diagnosis import describe_exit
from .machine_info import Disk, Docker, Drift, Graphics, Gymtorch, MachineInfo, PatchState, Python, Torch

_SOURCE_TREE = Path(__file__).resolve().parents[3]
_HOME = Path(os.path.expanduser("~"))  # noqa: PTH111 (pathlib's raises for a user whom the system does not know)
_SECONDS = 120
"""Time limit of an import, enough for a busy machine with cold caches."""
_ERROR_LINES = 12
_COMPILE_SECONDS = 600
"""Compiling gymtorch takes about a minute; a folder unchanged for this long is not being compiled."""
# torch.cuda.get_arch_list() is empty without a GPU.
_TORCH = """
import json, torch
cuda = torch.version.cuda
sees, error = torch.cuda.is_available(), ""
if cuda and not sees:
    try:
        torch.cuda.init()
    except Exception as caught:
        error = f"{type(caught).__name__}: {caught}"
print("facts:" + json.dumps({
    "version": str(torch.__version__),
    "cuda": cuda,
    "architectures": torch._C._cuda_getArchFlags().split() if cuda else [],
    "sees_gpu": sees,
    "cuda_error": error,
}))
"""
_GRAPHICS_LIBRARIES = ("libvulkan.so.1", "libGLX_nvidia.so.0", "libEGL.so.1", "libEGL_nvidia.so.0")
_LOAD = """
import ctypes, json, sys
errors = {}
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
        errors[name] = ""
    except OSError as error:
        errors[name] = str(error)
print("facts:" + json.dumps(errors))
"""
_CUDA_LIBRARY = re.compile(r"lib(?:cuda|cudart|cublas|cublasLt|cudnn|cusparse|nvrtc|nvidia-ml|nccl)\.so(?:\.\d+)*")
_MOST_ENTRIES = 10_000
"""Most entries of a folder that are looked at."""
_WHO_LOADS_TORCH = """
import sys
found = "python" if "torch" in sys.modules else ""
import mapush_stack.__main__
print("facts:" + (found or ("mapush" if "torch" in sys.modules else "")))
"""


def collect() -> MachineInfo:
    """The information about this machine; takes some seconds, mostly to import torch."""
    packages = installed()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or _HOME / ".cache")
    isaacgym = import_isaacgym()
    loaded = None if isaacgym is None else _python(_WHO_LOADS_TORCH)
    return MachineInfo(
        python=Python(version=sys.version_info[:3], executable=sys.executable),
        packages=packages,
        torch=import_torch(),
        nvidia=gpu.look(),
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
        isaacgym=isaacgym,
        torch_loaded_by="" if loaded is None or loaded.returncode else _answer(loaded),
        gymtorch=gymtorch(Path(os.environ.get("TORCH_EXTENSIONS_DIR") or cache / "torch_extensions")),
        compiler={program: shutil.which(program) is not None for program in ("ninja", "c++")},
        patches=patches(os.environ.get("MAPUSH_SRC")),
        over_mujoco=bool(os.environ.get("MAPUSH_GYM")),
        harl_source=Path(os.environ.get("HARL_SRC", "?")).is_dir(),
        cpus=usable_cpus(),
        memory_mib=available_memory() >> 20,
        disks=[disk("runs", Path.cwd()), disk("caches", _HOME), disk("temporary files", Path("/tmp"))],
        container=any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")),
        shared_memory_mib=shared_memory(Path("/dev/shm")),
        drift=drift(_SOURCE_TREE / "env", packages, isaacgym is not None),
        library_path=library_path(os.environ.get("LD_LIBRARY_PATH", "")),
        graphics=graphics(),
        docker=docker(Path("/etc/docker/daemon.json")),
    )


def installed() -> Dict[str, str]:
    """Versions of the distributions installed in this Python, by normalized name."""
    found: Dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # None for the remains of a failed installation
            found.setdefault(_normalized(name), distribution.version)
    return dict(sorted(found.items()))


def import_torch() -> Torch:
    """torch, imported in a separate process."""
    done = _python(_TORCH)
    if done.returncode:
        return Torch(error=_error(done), cuda=_built_for())
    return Torch.model_validate(json.loads(_answer(done)))


def _built_for() -> Optional[str]:
    """The CUDA that torch was built for, from its file version.py, when it cannot be imported."""
    spec = find_spec("torch")
    version = Path(spec.origin or "?").parent / "version.py" if spec else Path("?")
    text = version.read_text(encoding="utf-8") if version.is_file() else ""
    match = re.search(r"^cuda\b.*= *'([\d.]+)'", text, re.MULTILINE)
    return match.group(1) if match else None


def import_isaacgym() -> Optional[str]:
    """The error of importing Isaac Gym and then torch, in a separate process; does not compile gymtorch."""
    if find_spec("isaacgym") is None:
        return None
    done = _python("import isaacgym\nfrom isaacgym import gymapi\nimport torch")
    return _error(done) if done.returncode else ""


def gymtorch(root: Path) -> Gymtorch:
    """The folders called gymtorch in torch's cache, directly in it or one level below."""
    built, unfinished = [], []
    for folder in sorted([*root.glob("gymtorch"), *root.glob("*/gymtorch")]):
        if (folder / "gymtorch.so").exists() and not (folder / "lock").exists():
            built.append(str(folder))
        elif time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir())) > _COMPILE_SECONDS:
            unfinished.append(str(folder))
    return Gymtorch(built=built, unfinished=unfinished)


def patches(mapush_source: Optional[str]) -> List[PatchState]:
    """The state of every patch, in installed distributions or, for MAPush, in its source tree."""
    source = Path(mapush_source) if mapush_source and Path(mapush_source).is_dir() else None
    found = []
    for patch in manifest.load():
        for status in survey([patch], source if patch.distribution == "mapush" else None):
            where = None if status.directory is None else str(status.directory)
            found.append(PatchState(name=patch.name, state=status.state, problem=status.problem, directory=where))
    return found


def disk(purpose: str, path: Path) -> Disk:
    """Free space at a path; if that does not exist yet, where it would be made."""
    there = next(one for one in (path, *path.parents, Path()) if one.exists())
    return Disk(purpose=purpose, path=str(path), free_mib=shutil.disk_usage(str(there)).free >> 20)


def shared_memory(path: Path) -> Optional[int]:
    """Size of the shared memory in MiB; None without it."""
    return shutil.disk_usage(str(path)).total >> 20 if path.is_dir() else None


def library_path(folders: str) -> Dict[str, List[str]]:
    """Libraries of CUDA and of NVIDIA's driver in each of the folders, which colons separate."""
    found = {}
    for folder in filter(None, folders.split(":")):
        try:
            with os.scandir(folder) as entries:
                names = [one.name for one in itertools.islice(entries, _MOST_ENTRIES)]
        except (OSError, ValueError):
            continue
        libraries = sorted(name for name in names if _CUDA_LIBRARY.fullmatch(name))
        if libraries:
            found[folder] = libraries
    return found


def graphics() -> Graphics:
    """What rendering needs, with libraries loaded in a separate process."""
    done = _python(_LOAD, *_GRAPHICS_LIBRARIES)
    named = os.environ.get("VK_DRIVER_FILES") or os.environ.get("VK_ICD_FILENAMES")
    drivers = [Path(one) for one in named.split(":")] if named else []
    if not named:
        for folder in ("/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"):
            drivers += sorted(Path(folder).glob("*.json"))
    return Graphics(
        errors={} if done.returncode else json.loads(_answer(done)),
        vulkan_drivers=[str(path) for path in drivers if path.is_file()],
        capabilities=os.environ.get("NVIDIA_DRIVER_CAPABILITIES"),
        mujoco_gl=os.environ.get("MUJOCO_GL", ""),
    )


def docker(configuration: Path) -> Optional[Docker]:
    """The Docker on this machine, from what is installed; its engine is not asked."""
    if shutil.which("docker") is None:
        return None
    try:
        runtimes = read_json(configuration).get("runtimes", {})
    except (UserError, AttributeError):
        runtimes = {}
    toolkit = any(shutil.which(name) for name in ("nvidia-ctk", "nvidia-container-runtime", "nvidia-container-cli"))
    return Docker(toolkit=toolkit, runtimes=sorted(runtimes) if isinstance(runtimes, dict) else [])


def drift(folder: Path, packages: Dict[str, str], isaacgym: bool) -> Optional[List[Drift]]:
    """Installed packages whose version differs from every lock that names them.

    Args:
        folder: the source tree's env/.
        packages: what is installed.
        isaacgym: whether this is the environment of Isaac Gym, which has its own lock files.

    """
    tag = "py{}{}".format(*sys.version_info[:2])
    if isaacgym and (folder / "isaacgym").is_dir():
        names = ["isaacgym/requirements.lock", "isaacgym/torch.lock"]
    else:
        kinds = ("requirements", "torch-cuda", "extras", "openrl", "harl", "upstream", "adapters")
        names = [f"{kind}-{tag}.lock" for kind in kinds]
    if not (folder / names[0]).is_file():
        return None
    found: Dict[str, Optional[Drift]] = {}  # None: as in one of the locks, which differ for OpenRL
    for name in names:
        for package, locked in read_lock(folder / name).items():
            version = packages.get(package)
            # 2.13.0+cpu is 2.13.0 too.
            if version and version.partition("+")[0] == locked.partition("+")[0]:
                found[package] = None
            elif version:
                found.setdefault(package, Drift(package=package, installed=version, locked=locked, lock=name))
    return [one for one in found.values() if one]


def read_lock(path: Path) -> Dict[str, str]:
    """The versions in a lock file by normalized name; empty if there is no file."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return {_normalized(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)}


def _python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a separate process of this Python."""
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", program, *arguments]
    try:
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, f"no answer within {_SECONDS} s")


def _answer(done: subprocess.CompletedProcess[str]) -> str:
    """What a program printed after "facts:"; what it imports may print other lines."""
    lines: List[str] = done.stdout.splitlines()
    return next(line[6:] for line in lines if line.startswith("facts:"))


def _error(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stdout.strip().splitlines()[-_ERROR_LINES:]
    return "\n".join(lines if done.returncode > 0 and lines else [*lines, describe_exit(done.returncode)])


def _normalized(name: str) -> str:
    """A distribution's name as in PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
