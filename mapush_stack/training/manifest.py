"""Where and with what a run was made."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch

from .. import __version__
from ..machine import processor

_PACKAGES = (
    "torch",
    "mujoco",
    "mujoco-warp",
    "warp-lang",
    "numpy",
    "safetensors",
    "pydantic",
    "tensorboard",
    "rsl-rl-lib",
    "openrl",
)


def manifest(command: List[str]) -> Dict[str, Any]:
    """Versions, machine, commit, command line and start time, as plain JSON."""
    return {
        "mapush_stack": __version__,
        "commit": _commit(),
        "command": command,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "packages": {name: found for name, found in ((name, _version(name)) for name in _PACKAGES) if found},
        "platform": platform.platform(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "executable": Path(sys.executable).name,
    }


def _version(package: str) -> Optional[str]:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> Optional[str]:
    """The commit of the source tree that the package runs from, with "+" where files differ from it."""
    folder = str(Path(__file__).parent)

    def git(*arguments: str) -> str:
        command = ["git", "-C", folder, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", folder) else "")
    except (OSError, subprocess.SubprocessError):
        return None
