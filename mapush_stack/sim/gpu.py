"""The GPU that `sim.device` means, and why it may not be usable; Warp."""

from __future__ import annotations

import contextlib
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec, module_from_spec
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

import torch

from ..errors import UserError
from ..system import streams
from ..system.machine import usable_cpus
from .simulator import Backend


def place(name: str, device: str, why_not: Callable[[str], str]) -> Backend:
    """Where the simulator `name` runs for this `sim.device`: on a GPU, unless the CPU is asked for.

    Args:
        name: in `sim.backend`.
        device: `sim.device`.
        why_not: gives the reason why it cannot run there, empty if it can.

    Raises:
        UserError: it cannot run there.

    """
    missing = why_not(device)
    if missing:
        raise UserError(f"sim.backend={name} is not possible here: {missing}; use sim.backend=mujoco")
    if device == "cpu":
        return Backend(name, torch.device("cpu"), "the CPU was asked for")
    chosen = torch.device("cuda", int(device[5:]) if device.startswith("cuda:") else torch.cuda.current_device())
    return Backend(name, chosen, torch.cuda.get_device_name(chosen))


def why_not(device: str) -> str:
    """Why no simulation can run there; empty if one can."""
    if device == "cpu":
        return ""
    if not torch.cuda.is_available():
        return "torch sees no NVIDIA GPU"
    if device.startswith("cuda:") and int(device[5:]) >= torch.cuda.device_count():
        return f"there is no {device}, only {torch.cuda.device_count()} GPUs"
    device = "cuda" if device == "auto" else device
    try:  # torch may see a GPU for which it has no kernels
        torch.ones(1, device=device).add_(1)
    except RuntimeError as error:
        return f"torch cannot use {torch.cuda.get_device_name(device)}: {str(error).splitlines()[0]}"
    return ""


def import_warp() -> Tuple[Any, Any]:
    """The packages `warp` and `mujoco_warp`.

    Raises:
        UserError: one is absent.

    """
    known, warp = "mujoco_warp" in sys.modules, import_warp_alone()
    import mujoco_warp

    if not known:
        gc.freeze()  # every capture of a CUDA graph collects garbage: 0.26 s if it looks at all modules
    return warp, mujoco_warp


def import_warp_alone() -> Any:
    """The package `warp`; `mujoco_warp` is there too, but its 2.3 s of imports are not paid.

    Raises:
        UserError: one is absent.

    """
    known = "warp" in sys.modules
    try:
        import warp

        # Before anything of it runs: its banner would spoil the output of `--json`.
        warp.config.log_level = warp.LOG_WARNING
        if find_spec("mujoco_warp") is None:
            raise ImportError(name="mujoco_warp")
    except ImportError as error:
        raise UserError(
            f"the warp backend needs the package {error.name}, on Python 3.11+: pip install 'mapush_stack[warp]'"
        ) from None
    package: Any = warp
    # Without a GPU it would warn that there is none.
    with contextlib.nullcontext() if torch.cuda.is_available() else streams.nothing_on_stderr():
        package.init()
    if not known:
        gc.freeze()
    return package


def compile_together(warp: Any, work: Callable[[], object]) -> None:
    """Compile and load the kernels that `work` launches, one a thread; nothing is launched.

    By itself Warp compiles each when it is launched, one after the other: a minute and more for robots on legs.
    """
    load = warp.Module.load
    wanted: Dict[Tuple[Any, int], Any] = {}

    def note(module: Any, device: Any, block_dim: Optional[int] = None) -> Any:
        if block_dim is None:  # asked for what its kernels need, not for a launch
            return load(module, device)
        wanted[module, block_dim] = device  # Warp launches nothing of what did not load
        return None

    warp.Module.load = note
    try:
        work()
    finally:
        warp.Module.load = load
    with ThreadPoolExecutor(usable_cpus()) as pool:
        list(pool.map(lambda one: load(one[0], wanted[one], one[1]), wanted))


@contextlib.contextmanager
def parts_of_mujoco_warp() -> Iterator[None]:
    """Within the block, modules of `mujoco_warp` are imported without all the others that the package imports."""
    name = "mujoco_warp"
    spec = None if name in sys.modules else find_spec(name)
    if spec is None:
        yield
        return
    sys.modules[name] = module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[name]
