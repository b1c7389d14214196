"""Reads whole networks that old programs pickled, and writes Isaac Gym's types under the names that it has for them.

OpenRL saves its module object, with the program's arguments and so Isaac Gym's `SimType` in it. Since torch 2.6
`torch.load` refuses that, and with `weights_only=False` it would run what is in the file. Here such a file may name
torch's own safe classes and those of networks, optimizers, spaces and settings, and nothing else. A program that says
`weights_only=False` itself gets every name.
"""

from __future__ import annotations

import enum
import functools
import pickle
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, ClassVar, Dict, Type

import torch
from torch import _weights_only_unpickler

from .. import types as gym_types

_BINDINGS = "isaacgym._bindings.linux-x86_64"
"""Where Isaac Gym's types are, in a module for each Python that it knows; files of this process name the last."""
_PYTHONS = ("gym_36", "gym_37", "gym_38")
_PACKAGES = (
    "torch.nn.", "torch.optim.", "torch.distributions.", "openrl.modules.", "rsl_rl.modules.", "gym.spaces.",
    "gymnasium.spaces.", "numpy.dtypes.", "numpy.random._pcg64.",
)  # fmt: skip
"""Whose classes a file may name: making one of them does no more than that."""
_NAMES = {
    "__builtin__.dict", "__builtin__.set", "builtins.dict", "builtins.set", "collections.defaultdict",
    "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.random._pickle.__generator_ctor",
    "numpy.random._pickle.__bit_generator_ctor", "numpy.random.bit_generator.SeedSequence",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence", "argparse.Namespace", "jsonargparse.namespace.Namespace",
    "jsonargparse._namespace.Namespace",
}  # fmt: skip
"""What else it may name."""
_UNMADE = {"jsonargparse.util.Path", "jsonargparse._util.Path", "jsonargparse._paths.Path"}
"""The path of `--config`. Its constructor opens files, so a file may restore one and not make one."""


class _Number:
    """Stands for a number of Isaac Gym's that is read: it pickles one as an empty object that is told its value."""

    kind: ClassVar[Type[enum.IntEnum]]

    def __new__(cls, *value: int) -> Any:
        """One of our own if the file has the value here, as files of this process do."""
        return cls.kind(*value) if value else super().__new__(cls)

    def __setstate__(self, value: int) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return self.kind, (self.value,)

    def __index__(self) -> int:
        return self.value

    __int__ = __hash__ = __index__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (int, _Number)) and self.value == int(other)


def _unmade(kind: Any) -> Any:
    """`kind` with a constructor that does nothing; what is restored is a `kind`."""

    def restore(self: Any, state: Dict[str, Any]) -> None:
        self.__class__ = kind
        vars(self).update(state)

    return type(kind.__name__, (kind,), {"__init__": lambda *_, **__: None, "__setstate__": restore})


class _Unpickler(pickle.Unpickler):
    """Finds only what a checkpoint needs."""

    every_name = False

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the file stands for; raises UnpicklingError for one that has no place here."""
        path = f"{module}.{name}"
        if module.startswith(_BINDINGS) and name in _numbers:
            return _numbers[name]
        if path in _UNMADE and not self.every_name:
            return _unmade(super().find_class(module, name))
        listed = path in _NAMES or path in _weights_only_unpickler._get_allowed_globals()
        if listed or self.every_name or (path.startswith(_PACKAGES) and "." not in name):
            found = super().find_class(module, name)
            if listed or self.every_name or isinstance(found, type):
                return found
        raise pickle.UnpicklingError(
            f"the file is refused because its pickle asks for {path[:200]}, which has no place in a checkpoint; "
            "if you trust it, load it with weights_only=False"
        )


class _AnyUnpickler(_Unpickler):
    """Finds every name, for a program that says so."""

    every_name = True


def _reading(load: Callable[..., Any]) -> Callable[..., Any]:
    """`torch.load` with our unpickler."""

    @functools.wraps(load)
    def loaded(f: Any, map_location: Any = None, pickle_module: Any = None, **options: Any) -> Any:
        if pickle_module is None and not options.get("weights_only"):
            reader = _Unpickler if options.get("weights_only") is None else _AnyUnpickler
            pickle_module = SimpleNamespace(
                __name__=__name__, Unpickler=reader, load=lambda file, **more: reader(file, **more).load()
            )
            options["weights_only"] = False
        return load(f, map_location, pickle_module, **options)

    return loaded


_numbers: Dict[str, Any] = {}


def install() -> None:
    """Give our types Isaac Gym's names, and `torch.load` the restricted reader."""
    ours = {name: value for name, value in vars(gym_types).items() if isinstance(value, type)}
    ours = {name: value for name, value in ours.items() if value.__module__ == gym_types.__name__}
    for name in ("isaacgym._bindings", _BINDINGS, *(f"{_BINDINGS}.{python}" for python in _PYTHONS)):
        module = sys.modules.setdefault(name, ModuleType(name))
        vars(module).update(ours)
    for name, value in ours.items():
        value.__module__ = f"{_BINDINGS}.{_PYTHONS[-1]}"
        if issubclass(value, enum.Enum):
            _numbers[name] = type(name, (_Number,), {"kind": value})
    torch.load = _reading(torch.load)
