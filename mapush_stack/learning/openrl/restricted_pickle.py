"""Reads the tensors out of a `torch.save` file without running what is pickled in it.

A pickle is a program: `torch.load` on a module file imports and calls whatever the file names. Here a name is
either one of the few that build plain containers and tensors, or stands for a class of a neural-network library and
becomes an inert `Opaque` record, or it is refused. No module is imported and no class of the file's is ever called.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, Dict, Tuple

import torch

from ...errors import UserError

_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_CONTAINERS = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): lambda *ignored: {},
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
    ("__builtin__", "dict"): dict,
    ("builtins", "dict"): dict,
}
_INERT_PACKAGES = (
    "openrl", "torch", "numpy", "gym", "gymnasium", "isaacgym", "jsonargparse", "argparse", "_codecs", "treevalue"
)  # fmt: skip
_MAX_BYTES = 512 * 2**20


class Opaque:
    """Stands for an object of the file's; keeps the state it is given and does nothing else."""

    qualified_name = ""
    state: Any = None

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    # A pickle may fill any object like a list or a dict; the contents are kept nowhere.
    def append(self, item: Any) -> None:  # noqa: D102
        pass

    def extend(self, items: Any) -> None:  # noqa: D102
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    def __init__(self, program: bytes, storages: Dict[str, bytes], path: Path) -> None:
        super().__init__(io.BytesIO(program))
        self._storages, self._path = storages, path

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
            return type(name.rpartition(".")[2], (Opaque,), {"qualified_name": f"{module}.{name}"})
        raise UserError(
            f"{self._path} is refused because its pickle asks for {module}.{name}, which has no place in a network; "
            "nothing in it was run"
        )

    def persistent_load(self, identifier: Tuple[Any, ...]) -> torch.Tensor:
        """A storage as a flat tensor."""
        kind, dtype, key, _, numel = identifier
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"unknown persistent object {kind!r}")
        values = torch.frombuffer(bytearray(self._storages[str(key)]), dtype=dtype)
        if len(values) != numel:
            raise pickle.UnpicklingError(f"storage {key} holds {len(values)} numbers, not {numel}")
        return values


def _rebuild_tensor(
    storage: torch.Tensor, offset: int, size: Tuple[int, ...], stride: Tuple[int, ...], *ignored: Any
) -> torch.Tensor:
    # as_strided checks the extents against the storage.
    return storage.as_strided(size, stride, offset).clone()


def load(path: Path) -> Any:
    """The object graph of a zip-format `torch.save` file: tensors, plain containers and `Opaque` records.

    Raises:
        UserError: the file is missing, is no such file, is damaged, or asks for anything else.

    """
    try:
        with zipfile.ZipFile(str(path)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise UserError(f"{path} is refused because it unpacks to more than {_MAX_BYTES >> 20} MiB")
            programs = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
            if len(programs) != 1:
                raise UserError(f"{path} is not a torch.save file: it has {len(programs)} data.pkl entries, not one")
            folder = programs[0][: -len("data.pkl")] + "data/"
            storages = {
                name[len(folder) :]: archive.read(name) for name in archive.namelist() if name.startswith(folder)
            }
            return _Unpickler(archive.read(programs[0]), storages, path).load()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UserError:
        raise
    except Exception as error:  # whatever a damaged archive or pickle program makes zipfile, pickle or torch raise
        raise UserError(f"{path} cannot be read as a torch.save file: {type(error).__name__}: {error}") from None


def tensors(root: Any) -> Dict[str, torch.Tensor]:
    """Every tensor below a pickled `torch.nn.Module`, named as its `state_dict` would name it."""
    found: Dict[str, torch.Tensor] = {}

    def walk(node: Any, prefix: str) -> None:
        state = node.state if isinstance(node, Opaque) and isinstance(node.state, dict) else {}
        for group in ("_parameters", "_buffers"):
            for name, value in (state.get(group) or {}).items():
                if isinstance(value, torch.Tensor):
                    found[prefix + str(name)] = value
        for name, child in (state.get("_modules") or {}).items():
            walk(child, f"{prefix}{name}.")

    walk(root, "")
    return found
