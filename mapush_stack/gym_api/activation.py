"""What `import isaacgym` does with `names/` on the path: only if asked for, and never beside a real Isaac Gym."""

from __future__ import annotations

import importlib
import os
import sys
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Optional

from .. import __version__

VARIABLE = "MAPUSH_GYM"
"""Environment variable that asks for it: where the physics runs, or empty."""
ENGINES = {"mujoco": "the CPU", "warp": "the GPU"}
NAMES = str(Path(__file__).parent / "names")
"""The folder that is put on Python's path, with the package `isaacgym` in it."""
MODULES = ("gymapi", "gymtorch", "gymutil", "terrain_utils", "torch_utils")
"""Of this package, under the same names in `isaacgym`."""


def engine() -> str:
    """The engine that MAPUSH_GYM asks for; empty if none.

    Raises:
        ImportError: it is none of ours.

    """
    name = os.environ.get(VARIABLE, "")
    if name and name not in ENGINES:
        raise ImportError(f"{VARIABLE}={name} is neither mujoco nor warp, nor empty")
    return name


def real_isaacgym() -> Optional[str]:
    """The file of NVIDIA's Isaac Gym, if Python could import it; None if it cannot."""
    elsewhere = [folder for folder in sys.path if folder != NAMES]
    specs = [PathFinder.find_spec("isaacgym", elsewhere)]
    for finder in sys.meta_path:  # those of editable installations
        if finder is not PathFinder and hasattr(finder, "find_spec"):
            specs.append(finder.find_spec("isaacgym", None))
    return next((spec.origin for spec in specs if isinstance(spec, ModuleSpec) and spec.origin), None)


def activate() -> None:
    """Say what this is, and make a current Python fit for programs of Isaac Gym's time.

    Raises:
        ImportError: MAPUSH_GYM does not ask for it, or a real Isaac Gym could be imported.

    """
    wanted = engine()
    if not wanted:
        raise ImportError(
            f"this isaacgym is mapush_stack's, over MuJoCo, and is not asked for: start the program with `mapush gym "
            f"run -- python ...`, or set {VARIABLE} to mujoco or warp"
        )
    real = real_isaacgym()
    if real is not None:
        raise ImportError(
            f"NVIDIA's Isaac Gym is in {real}, and mapush_stack does not stand in for it: unset {VARIABLE} to use it, "
            "or take a Python without it"
        )
    print(
        f"isaacgym: Isaac Gym's names over MuJoCo {metadata.version('mujoco')} on {ENGINES[wanted]}, by mapush_stack "
        f"{__version__}; not NVIDIA's (docs/gym_api.md)",
        file=sys.stderr,
        flush=True,
    )
    from .shims import checkpoints, cuda_names, numpy_names, openrl_import

    for shim in (numpy_names, cuda_names, checkpoints, openrl_import):
        shim.install()
    for name in MODULES:
        module = importlib.import_module(f"mapush_stack.gym_api.{name}")
        sys.modules[f"isaacgym.{name}"] = module
        setattr(sys.modules["isaacgym"], name, module)
