"""What `import isaacgym` does with `names/` on the path: only if asked for, and never beside a real Isaac Gym."""

from __future__ import annotations

import importlib
import os
import re
import sys
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Optional

from .. import __version__
from ..errors import UserError

VARIABLE = "MAPUSH_GYM"
"""Environment variable that asks for it: where the physics runs, or empty."""
CONTACTS = "MAPUSH_GYM_CONTACTS"
"""Environment variable: contacts of an environment that have room on a GPU."""
ENGINES = {"mujoco": "the CPU", "warp": "the GPU"}
NAMES = str(Path(__file__).parent / "names")
"""The folder that is put on Python's path, with the package `isaacgym` in it."""
MODULES = ("gymapi", "gymtorch", "gymutil", "rlgpu", "terrain_utils", "torch_utils")
"""Of this package, under the same names in `isaacgym`."""


def engine() -> str:
    """The engine that MAPUSH_GYM asks for; empty if none.

    Raises:
        UserError: it is none of ours.

    """
    name = os.environ.get(VARIABLE, "")
    if name and name not in ENGINES:
        raise UserError(f"{VARIABLE}={name} is no engine: set it to mujoco or warp, or unset it")
    return name


def contacts() -> int:
    """The contacts of an environment that MAPUSH_GYM_CONTACTS asks for; 0 if it asks for none.

    Raises:
        UserError: it is no such number.

    """
    asked = os.environ.get(CONTACTS, "")
    if asked and not re.fullmatch(r"[1-9][0-9]{0,5}", asked):
        raise UserError(f"{CONTACTS}={asked} is no number of contacts: set it to one from 1 to 999999, or unset it")
    return int(asked or 0)


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
        SystemExit: an environment variable has a wrong value, or MuJoCo is absent, which is said in a sentence.

    """
    try:
        wanted, _ = engine(), contacts()
        if wanted:
            from ..sim.scene import import_mujoco

            import_mujoco()
    except UserError as error:
        print(f"isaacgym: {error}", file=sys.stderr)
        raise SystemExit(2) from None
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
    where = ENGINES[wanted]
    if wanted == "warp":
        import torch

        if not torch.cuda.is_available():
            where = "the CPU by MuJoCo Warp, because torch sees no NVIDIA GPU (--engine mujoco is faster here)"
    print(
        f"isaacgym: Isaac Gym's names over MuJoCo {metadata.version('mujoco')} on {where}, by mapush_stack "
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
