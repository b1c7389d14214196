"""Reads the tensors out of a `torch.save` file without running what is pickled in it.

A pickle is a program: `torch.load` on a module file imports and calls whatever the file names. Here a name is
either one of the few that build plain containers and tensors, or stands for a class of a neural-network library and
becomes an inert `Opaque` record, or it is refused. No module is imported and no class of the file's is ever called.

The program is read by the unpickler that is written in Python: the one in C makes room for any place that a program
names. A mapping keeps what has a text as its key: nothing else is looked up, and to hash a key that is made of many
others can take for ever.
"""

from __future__ import annotations

import functools
import io
import pickle
from pathlib import Path
from typing import Any, ClassVar, Dict, Iterator, List, Tuple

import torch

from ...errors import UserError
from ...system.limits import read_zip, shown

_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_INERT_PACKAGES = (
    "openrl", "torch", "numpy", "gym", "gymnasium", "isaacgym", "jsonargparse", "argparse", "_codecs", "treevalue"
)  # fmt: skip
_MOST_PROGRAM = 2**19
"""Bytes of the pickle; the numbers are not in it."""
_DEEPEST, _MOST_MODULES = 30, 10_000
"""Levels and number of the modules of a network."""


class Opaque:
    """Stands for an object of the file's; keeps the state it is given and does nothing else."""

    def __init__(self, name: str, *args: Any, **options: Any) -> None:
        """`name` is that of the object's class, without its package."""
        self.name, self.state = name, None

    # A pickle may fill any object like a list or a dict; the contents are kept nowhere.
    def append(self, item: Any) -> None:  # noqa: D102
        pass

    def extend(self, items: Any) -> None:  # noqa: D102
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class _Fields(Dict[str, Any]):
    """A mapping that keeps what has a text as its key."""

    __slots__ = ()

    def __init__(self, *args: Any) -> None:
        super().__init__()
        for key, value in args[0] if args and isinstance(args[0], list) else ():
            self[key] = value

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, str):
            super().__setitem__(key, value)


_CONTAINERS = {
    ("collections", "OrderedDict"): _Fields,
    ("collections", "defaultdict"): lambda *ignored: _Fields(),
    ("__builtin__", "set"): functools.partial(Opaque, "set"),
    ("builtins", "set"): functools.partial(Opaque, "set"),
    ("__builtin__", "dict"): _Fields,
    ("builtins", "dict"): _Fields,
}


_InPython: Any = vars(pickle)["_Unpickler"]


class _Unpickler(_InPython):  # type: ignore[misc]
    def __init__(self, program: bytes, storages: Dict[str, bytes], path: Path) -> None:
        super().__init__(io.BytesIO(program))
        self._storages, self._path = storages, path
        self._buffers: Dict[str, bytearray] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the file stands for; raises UserError for one that has no place here."""
        if (module, name) in _CONTAINERS:
            return _CONTAINERS[module, name]
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _rebuild_tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda tensor, *ignored: tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if module.split(".")[0] in _INERT_PACKAGES:
            return functools.partial(Opaque, name.rpartition(".")[2])
        raise UserError(
            f"{self._path} is refused because its pickle asks for {shown(f'{module}.{name}')}, which has no place in a "
            "network; nothing in it was run"
        )

    def persistent_load(self, identifier: Tuple[Any, ...]) -> torch.Tensor:
        """A storage as a flat tensor."""
        kind, dtype, key, _, numel = identifier
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise pickle.UnpicklingError("it names an object outside that is no storage")
        if key not in self._buffers:
            self._buffers[key] = bytearray(self._storages[key])
        values = torch.frombuffer(self._buffers[key], dtype=dtype)
        if len(values) != numel:
            raise pickle.UnpicklingError(f"storage {shown(key)} holds {len(values)} numbers, and should hold others")
        return values

    def _empty_mapping(self) -> None:
        self.append(_Fields())

    def _new_object(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self.stack[-1](*arguments)

    def _set_state(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Opaque):
            self.stack[-1].state = state

    def _refuse(self) -> None:
        raise pickle.UnpicklingError("it holds a kind of object that no network has")

    dispatch: ClassVar[Dict[int, Any]] = {
        **_InPython.dispatch,
        pickle.EMPTY_DICT[0]: _empty_mapping,
        pickle.NEWOBJ[0]: _new_object,
        pickle.BUILD[0]: _set_state,
        # These take a hash of what is in the file, make room for what it asks for, or call with names.
        **dict.fromkeys(b"".join((pickle.DICT, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET)), _refuse),
        **dict.fromkeys(b"".join((b"\x96", pickle.NEWOBJ_EX, pickle.INST, pickle.OBJ)), _refuse),
    }


def _rebuild_tensor(
    storage: torch.Tensor, offset: int, size: Tuple[int, ...], stride: Tuple[int, ...], *ignored: Any
) -> torch.Tensor:
    # as_strided checks the extents against the storage, but not against numbers that are shown many times.
    tensor = storage.as_strided(size, stride, offset)
    if tensor.numel() > storage.numel():
        raise pickle.UnpicklingError("a tensor has more numbers than its storage")
    return tensor


def load(path: Path) -> Any:
    """The object graph of a zip-format `torch.save` file: tensors, plain containers and `Opaque` records.

    Raises:
        UserError: the file is missing, is no such file, is damaged, or asks for anything else.

    """
    files = read_zip(path, "a torch.save file")
    programs = [name for name in files if name.rpartition("/")[2] == "data.pkl"]
    if len(programs) != 1:
        raise UserError(f"{path} is not a torch.save file: it has {len(programs)} data.pkl entries, not one")
    folder = programs[0][: -len("data.pkl")] + "data/"
    storages = {name[len(folder) :]: content for name, content in files.items() if name.startswith(folder)}
    program = files[programs[0]]
    if len(program) > _MOST_PROGRAM:
        raise UserError(f"{path} is refused because its pickle has {len(program):,} bytes, more than {_MOST_PROGRAM:,}")
    try:
        return _Unpickler(program, storages, path).load()
    except UserError:
        raise
    except Exception as error:  # whatever a damaged pickle program makes pickle or torch raise
        raise UserError(f"{path} cannot be read as a torch.save file: {type(error).__name__}: {error}") from None


def tensors(root: Opaque) -> Dict[str, torch.Tensor]:
    """Every tensor below a pickled `torch.nn.Module`, named as its `state_dict` would name it.

    Raises:
        ValueError: the modules are too many, or contain one another.

    """
    found: Dict[str, torch.Tensor] = {}
    waiting: List[Tuple[str, Any]] = [("", root)]
    for _ in range(_MOST_MODULES):
        if not waiting:
            return found
        prefix, node = waiting.pop()
        for group in ("_parameters", "_buffers"):
            found.update((prefix + key, one) for key, one in fields(node, group) if isinstance(one, torch.Tensor))
        if prefix.count(".") < _DEEPEST:
            waiting += [(f"{prefix}{name}.", child) for name, child in fields(node, "_modules")]
    raise ValueError(f"it has more than {_MOST_MODULES:,} modules")


def fields(node: Any, group: str) -> Iterator[Tuple[str, Any]]:
    """Names and values in a mapping of a record's state; nothing where there is none."""
    state = node.state if isinstance(node, Opaque) else None
    held = state.get(group) if isinstance(state, dict) else None
    return iter(held.items() if isinstance(held, dict) else ())
