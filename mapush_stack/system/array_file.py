"""Files of arrays, .npz: nothing pickled in them is read."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, Dict, Mapping

import numpy as np

from ..errors import UserError
from .atomic import write_bytes
from .limits import read_zip

_MOST_HEADER = 1000
"""Bytes of the header of an array."""


def read_arrays(path: Path, meant: str) -> Dict[str, np.ndarray]:
    """The arrays of numbers in an .npz file by name; `meant` says in messages what it should hold.

    Raises:
        UserError: the file is missing, damaged or something else.

    """
    arrays = {}
    for name, content in read_zip(path, meant).items():
        try:
            arrays[name[: -len(".npy")] if name.endswith(".npy") else name] = _array(content)
        except Exception as error:  # whatever a damaged header makes numpy raise
            raise UserError(f"{path} cannot be read as {meant}: {name}: {error}; give another copy") from None
    return arrays


def _array(content: bytes) -> np.ndarray:
    """The numbers of an .npy file of at most its own size; raises whatever numpy does if it is none."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0) or int.from_bytes(content[8:10], "little") > _MOST_HEADER:
        raise ValueError("it is no .npy file of version 1.0 with a short header")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "fiub":
        raise ValueError(f"it holds {dtype}, which are no numbers")
    rest = content[file.tell() :]
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != len(rest):
        raise ValueError(f"it holds {len(rest)} bytes, which are not an array {list(shape)} of {dtype}")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an .npz file atomically.

    Raises:
        OSError: it cannot be written.

    """
    content = io.BytesIO()
    plain: Dict[str, Any] = dict(arrays)
    np.savez_compressed(content, **plain)
    write_bytes(path, content.getvalue())
