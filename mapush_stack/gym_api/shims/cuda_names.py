"""`cuda` means the CPU on machines without CUDA: old programs have the name of the device in their code.

MAPush alone says it in 21 lines. Nothing is installed where torch has a GPU.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, Mapping, Tuple

import torch
from torch.overrides import TorchFunctionMode

_CPU = torch.device("cpu")
_SILENT = ("set_device", "synchronize", "empty_cache", "reset_peak_memory_stats", "ipc_collect")
"""Functions of `torch.cuda` that have nothing to do."""
_ZERO = ("current_device", "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved")


def _on_cpu(value: Any) -> Any:
    """The CPU for a name of a CUDA device; anything else as it is."""
    if isinstance(value, str):
        return "cpu" if value.startswith("cuda") else value
    return _CPU if isinstance(value, torch.device) and value.type == "cuda" else value


class _CpuForCuda(TorchFunctionMode):
    """Replaces CUDA devices in the arguments of torch's functions."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The function's result on the CPU."""
        if func is torch.Tensor.cuda:
            return args[0]
        if kwargs and "device" in kwargs:
            kwargs = {**kwargs, "device": _on_cpu(kwargs["device"])}
        if func is torch.Tensor.to or func is torch.Tensor.type:
            args = tuple(map(_on_cpu, args))
        return func(*args, **(kwargs or {}))


def _with_map(load: Callable[..., Any]) -> Callable[..., Any]:
    """`load` with everything on the CPU."""

    @functools.wraps(load)
    def loaded(f: Any, map_location: Any = None, *args: Any, **options: Any) -> Any:
        if isinstance(map_location, Mapping):
            map_location = {key: _on_cpu(value) for key, value in map_location.items()}
        elif map_location is None or not callable(map_location):
            map_location = _CPU
        return load(f, map_location, *args, **options)

    return loaded


def install() -> None:
    """Make `cuda` mean the CPU in this process, if torch has no CUDA; in threads only for what is listed by name."""
    if torch.cuda.is_available():
        return
    _CpuForCuda().__enter__()  # type: ignore[no-untyped-call]
    torch.load = _with_map(torch.load)
    torch.jit.load = _with_map(torch.jit.load)
    replaced: Dict[str, Any] = {**dict.fromkeys(_SILENT), **dict.fromkeys(_ZERO, 0)}
    for name, result in replaced.items():
        setattr(torch.cuda, name, lambda *args, _result=result, **options: _result)
