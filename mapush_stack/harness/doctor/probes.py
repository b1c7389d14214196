"""How each fact is gathered. Whatever might crash or take the interpreter down is imported by a process of its own."""

from __future__ import annotations

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

from ...system import gpu
from ...system.machine import available_memory, usable_cpus
from ..patches import manifest
from ..patches.state import survey
from ..triage.diagnosis import describe_exit
from .facts import Disk, Drift, Facts, Gymtorch, PatchState, Python, Torch

_SOURCE_TREE = Path(__file__).resolve().parents[3]
_HOME = Path(os.path.expanduser("~"))  # noqa: PTH111 (pathlib's raises for a user whom the system does not know)
_SECONDS = 120
"""How long an import may take on a cold and busy machine."""
_ERROR_LINES = 12
_COMPILE_SECONDS = 600
"""Compiling gymtorch takes about a minute; what has not changed for longer is not being compiled."""
# torch.cuda.get_arch_list() is empty where there is no GPU.
_TORCH = """
import json, torch
cuda = torch.version.cuda
print("facts:" + json.dumps({
    "version": str(torch.__version__),
    "cuda": cuda,
    "architectures": torch._C._cuda_getArchFlags().split() if cuda else [],
    "sees_gpu": torch.cuda.is_available(),
}))
"""
_WHO_LOADS_TORCH = """
import sys
found = "python" if "torch" in sys.modules else ""
import mapush_stack.__main__
print("facts:" + (found or ("mapush" if "torch" in sys.modules else "")))
"""


def gather() -> Facts:
    """Everything about this machine; takes some seconds, most of them for importing torch."""
    packages = installed()
    isaacgym = import_isaacgym()
    return Facts(
        python=Python(version=sys.version_info[:3], executable=sys.executable),
        packages=packages,
        torch=import_torch(),
        nvidia=gpu.look(),
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
        isaacgym=isaacgym,
        torch_loaded_by="" if isaacgym is None else who_loads_torch(),
        gymtorch=gymtorch(extensions_folder()),
        compiler={program: shutil.which(program) is not None for program in ("ninja", "c++")},
        patches=patches(os.environ.get("MAPUSH_SRC")),
        harl_source=Path(os.environ.get("HARL_SRC", "?")).is_dir(),
        cpus=usable_cpus(),
        memory_mib=_mib(available_memory()),
        disks=[disk("runs", Path.cwd()), disk("caches", _HOME), disk("temporary files", Path("/tmp"))],
        container=any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")),
        shared_memory_mib=shared_memory(Path("/dev/shm")),
        drift=drift(_SOURCE_TREE / "env", packages, isaacgym is not None),
    )


def installed() -> Dict[str, str]:
    """Distributions of this Python."""
    found = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # not the remains of a failed installation
            found.setdefault(_normalized(name), distribution.version)
    return dict(sorted(found.items()))


def import_torch() -> Torch:
    """torch, imported by a process of its own."""
    done = _python(_TORCH)
    if done.returncode:
        return Torch(error=_error(done), cuda=_built_for())
    return Torch.model_validate(json.loads(_answer(done)))


def _built_for() -> Optional[str]:
    """The CUDA that a torch which cannot be imported was built for, from its file version.py."""
    spec = find_spec("torch")
    version = Path(spec.origin or "?").parent / "version.py" if spec else Path("?")
    text = version.read_text(encoding="utf-8") if version.is_file() else ""
    match = re.search(r"^cuda\b.*= *'([\d.]+)'", text, re.MULTILINE)
    return match.group(1) if match else None


def import_isaacgym() -> Optional[str]:
    """What importing Isaac Gym, then torch, ends with in a process of its own; gymtorch is not compiled."""
    if find_spec("isaacgym") is None:
        return None
    done = _python("import isaacgym\nfrom isaacgym import gymapi\nimport torch")
    return _error(done) if done.returncode else ""


def who_loads_torch() -> str:
    """As `Facts.torch_loaded_by`."""
    done = _python(_WHO_LOADS_TORCH)
    return "" if done.returncode else _answer(done)


def extensions_folder() -> Path:
    """Where torch keeps the extensions that it compiles."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or _HOME / ".cache") / "torch_extensions"
    return Path(os.environ.get("TORCH_EXTENSIONS_DIR") or default)


def gymtorch(root: Path) -> Gymtorch:
    """The folders called gymtorch in torch's cache, itself or one below for each Python and CUDA."""
    built, unfinished = [], []
    for folder in sorted([*root.glob("gymtorch"), *root.glob("*/gymtorch")]):
        if (folder / "gymtorch.so").exists() and not (folder / "lock").exists():
            built.append(str(folder))
        elif time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir())) > _COMPILE_SECONDS:
            unfinished.append(str(folder))
    return Gymtorch(built=built, unfinished=unfinished)


def patches(mapush_source: Optional[str]) -> List[PatchState]:
    """Every patch, in what is installed and in MAPush's source tree, which nobody needs to install."""
    source = Path(mapush_source) if mapush_source and Path(mapush_source).is_dir() else None
    found = []
    for patch in manifest.load():
        for finding in survey([patch], source if patch.distribution == "mapush" else None):
            where = None if finding.directory is None else str(finding.directory)
            found.append(PatchState(name=patch.name, state=finding.state, problem=finding.problem, directory=where))
    return found


def disk(purpose: str, path: Path) -> Disk:
    """Free space where a path is or would be made."""
    there = next(one for one in (path, *path.parents, Path()) if one.exists())
    return Disk(purpose=purpose, path=str(path), free_mib=shutil.disk_usage(str(there)).free >> 20)


def shared_memory(path: Path) -> Optional[int]:
    """The size of the shared memory's file system in MiB."""
    return shutil.disk_usage(str(path)).total >> 20 if path.is_dir() else None


def drift(folder: Path, packages: Dict[str, str], isaacgym: bool) -> Optional[List[Drift]]:
    """What is installed in other versions than the locks say; what is not installed is nobody's matter.

    Args:
        folder: the source tree's env/.
        packages: what is installed.
        isaacgym: whether this is Isaac Gym's environment, which has locks of its own.

    """
    tag = "py{}{}".format(*sys.version_info[:2])
    if isaacgym and (folder / "isaacgym").is_dir():
        names = ["isaacgym/requirements.lock", "isaacgym/torch.lock"]
    else:
        kinds = ("requirements", "torch-cuda", "extras", "openrl", "harl")
        names = [f"{kind}-{tag}.lock" for kind in kinds]
    if not (folder / names[0]).is_file():
        return None
    found = []
    for name in names:
        for package, locked in read_lock(folder / name).items():
            version = packages.get(package)
            if version and _public(version) != _public(locked):
                found.append(Drift(package=package, installed=version, locked=locked, lock=name))
    return found


def read_lock(path: Path) -> Dict[str, str]:
    """The versions that a lock file pins, by normalized names; nothing where there is no file."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return {_normalized(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)}


def _python(program: str) -> subprocess.CompletedProcess:
    """Run a program in this Python, as a process of its own."""
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", program]
    try:
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, f"no answer within {_SECONDS} s")


def _answer(done: subprocess.CompletedProcess) -> str:
    """What a program printed after "facts:", among whatever else is printed by what it imports."""
    return next(line[6:] for line in done.stdout.splitlines() if line.startswith("facts:"))


def _error(done: subprocess.CompletedProcess) -> str:
    lines = done.stdout.strip().splitlines()[-_ERROR_LINES:]
    return "\n".join(lines if done.returncode > 0 and lines else [*lines, describe_exit(done.returncode)])


def _normalized(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _public(version: str) -> str:
    """A version without the build's name: 2.13.0 of 2.13.0+cpu."""
    return version.partition("+")[0]


def _mib(size: Optional[int]) -> Optional[int]:
    return None if size is None else size >> 20
