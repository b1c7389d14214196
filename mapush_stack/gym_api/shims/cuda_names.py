"""`cuda` means the CPU on machines without CUDA: old programs have the name of the device in their code.

MAPush alone says it in 21 lines. Nothing is installed where torch has a GPU. What makes and moves tensors is replaced
by name: a `TorchFunctionMode` would see every call of torch, and take 8 % of the time of MAPush's environment.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, Mapping

import torch
from torch import Tensor
from torch.jit import _builtins

_CPU = torch.device("cpu")
_SILENT = ("set_device", "synchronize", "empty_cache", "reset_peak_memory_stats", "ipc_collect")
"""Functions of `torch.cuda` that have nothing to do."""
_MAKERS = (
    "arange", "as_tensor", "asarray", "bartlett_window", "blackman_window", "empty", "empty_like", "empty_strided",
    "eye", "full", "full_like", "hamming_window", "hann_window", "kaiser_window", "linspace", "logspace", "normal",
    "ones", "ones_like", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "range",
    "scalar_tensor", "sparse_compressed_tensor", "sparse_coo_tensor", "sparse_csr_tensor", "tensor", "tril_indices",
    "triu_indices", "zeros", "zeros_like",
)  # fmt: skip
"""Functions of torch that make a tensor on a device."""
_NEW = ("new_empty", "new_empty_strided", "new_full", "new_ones", "new_tensor", "new_zeros")
"""The same of tensors."""
_ZERO = ("current_device", "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved")


def _on_cpu(value: Any) -> Any:
    """The CPU for a name of a CUDA device; anything else as it is."""
    if isinstance(value, str):
        return "cpu" if value.startswith("cuda") else value
    return _CPU if isinstance(value, torch.device) and value.type == "cuda" else value


def _making(make: Callable[..., Any]) -> Callable[..., Any]:
    """`make`, a function with the option `device`, on the CPU."""

    @functools.wraps(make)
    def made(*args: Any, **options: Any) -> Any:
        if "device" in options:
            options["device"] = _on_cpu(options["device"])
        return make(*args, **options)

    return made


def _moving(to: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`Tensor.to` to the CPU."""

    @functools.wraps(to)
    def moved(self: Tensor, *args: Any, **options: Any) -> Tensor:
        if "device" in options:
            options["device"] = _on_cpu(options["device"])
        return to(self, *map(_on_cpu, args), **options)

    return moved


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
    """Make `cuda` mean the CPU in this process, if torch has no CUDA."""
    if torch.cuda.is_available():
        return
    for name in _MAKERS:
        make = getattr(torch, name)
        setattr(torch, name, _making(make))
        operator = _builtins._find_builtin(make)  # type: ignore[no-untyped-call]
        if operator:  # so that torch.jit.script still knows it
            _builtins._register_builtin(getattr(torch, name), operator)
    for name in _NEW:
        setattr(Tensor, name, _making(getattr(Tensor, name)))
    Tensor.to = _moving(Tensor.to)  # type: ignore[method-assign]
    Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    torch.load = _with_map(torch.load)
    torch.jit.load = _with_map(torch.jit.load)
    replaced: Dict[str, Any] = {**dict.fromkeys(_SILENT), **dict.fromkeys(_ZERO, 0)}
    for name, result in replaced.items():
        setattr(torch.cuda, name, lambda *args, _result=result, **options: _result)
