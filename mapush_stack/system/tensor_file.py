"""Reads .safetensors files, and compares the tensors in them with those that they are to replace."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Tuple

from safetensors import safe_open
from torch import Tensor

from ..errors import UserError
from .limits import open_file, parse_json

_MOST_BYTES, _MOST_HEADER = 2**40, 2**20
"""Bytes of a file, whose numbers stay on the disk until they are used, and of its header."""


def read_tensors(path: Path) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """The tensors of a .safetensors file by name, and the metadata in its header.

    The numbers are read from the disk when they are first used: compare the shapes with what is wanted before.

    Raises:
        UserError: the file is missing or damaged.

    """
    with open_file(path, _MOST_BYTES) as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(size) if size <= _MOST_HEADER else b""
    try:
        parse_json(header.decode("utf-8"))  # a name that is there twice is refused
    except ValueError as error:
        raise UserError(
            f"{path} cannot be read as safetensors: its header is damaged: {error}; restore a copy"
        ) from None
    try:
        with safe_open(str(path), framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}, tensors.metadata() or {}  # noqa: SIM118
    except Exception as error:  # whatever a damaged file makes safetensors and torch raise
        raise UserError(f"{path} cannot be read as safetensors: {error}; restore a copy of the file") from None


def check_state(prefix: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Raise `RuntimeError` that names the first tensor of `given` that cannot take the place of the one in `own`.

    `prefix` comes before each name in the message.
    """
    for name, tensor in own.items():
        if name not in given:
            raise RuntimeError(f"{prefix}{name} is missing")
        other = given[name]
        if other.shape != tensor.shape:
            raise RuntimeError(f"{prefix}{name} has the shape {list(other.shape)}, not {list(tensor.shape)}")
        if other.dtype != tensor.dtype:
            raise RuntimeError(f"{prefix}{name} is of the type {other.dtype}, not {tensor.dtype}")
    unknown = next((name for name in given if name not in own), None)
    if unknown is not None:
        raise RuntimeError(f"{prefix}{unknown} has no place there")
