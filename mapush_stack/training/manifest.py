"""Where and with what a run was made."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch

from .. import __version__, plugins
from ..system import gpu
from ..system.machine import processor

_PACKAGE = Path(__file__).resolve().parents[1]
_NOT_SOURCE = ("pretrained", "__pycache__")


def manifest(command: List[str]) -> Dict[str, Any]:
    """Versions, machine, commit, command line and start time, as plain JSON."""
    packages = _packages()
    return {
        "mapush_stack": __version__,
        "commit": _commit(_PACKAGE) or _image_commit(_PACKAGE.parent),
        "source": _source_hash(),
        "harl_commit": _commit(Path(os.environ["HARL_SRC"])) if os.environ.get("HARL_SRC") else None,
        "command": command,
        "plugins": [plugin._asdict() for plugin in plugins.loaded()],
        "python": platform.python_version(),
        "environment": _hash("".join(f"{name}=={version}\n" for name, version in packages.items()).encode()),
        "packages": packages,
        "platform": platform.platform(),
        "executable": Path(sys.executable).name,
        **_computer(),
    }


def hardware(device: torch.device, processes: int) -> Dict[str, Any]:
    """What a process that trains computes on, as plain JSON.

    Args:
        device: of its tensors.
        processes: how many train together.

    """
    found = {"device": device.type, "processes": processes, "instructions": vector_instructions(), **_computer()}
    if plugins.loaded():
        found["plugins"] = [plugin._asdict() for plugin in plugins.loaded()]
    if device.type == "cuda":
        found.update(gpu=torch.cuda.get_device_name(device), driver=gpu.look().driver, cuda=torch.version.cuda)
    return found


def _computer() -> Dict[str, Any]:
    """The time, the CPUs, and torch's threads."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
    }


def _packages() -> Dict[str, str]:
    """Every installed distribution by its normalized name (PEP 503), and its version."""
    found: Dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # not the remains of a failed installation
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
    return dict(sorted(found.items()))


def _commit(folder: Path) -> Optional[str]:
    """The commit of a source tree, with "+" where files differ from it; None outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(folder)) else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _image_commit(folder: Path) -> Optional[str]:
    """The commit from which an image was built: the Dockerfile writes it into `folder`; None elsewhere."""
    path = folder / ".commit"
    return (path.read_text().strip() or None) if path.is_file() else None


def _source_hash() -> str:
    """SHA-256 over this package's files, names and contents: the code that ran, committed or not."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        inside = path.relative_to(_PACKAGE)
        if path.is_file() and not any(part in _NOT_SOURCE for part in inside.parts):
            digest.update(f"{inside}\0{_hash(path.read_bytes())}\n".encode())
    return digest.hexdigest()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def vector_instructions() -> Optional[str]:
    """The vector instructions for which torch has chosen its kernels, such as AVX512; sums depend on them."""
    found = re.search(r"CPU capability usage: (\S+)", torch.__config__.show())
    return found[1] if found else None
