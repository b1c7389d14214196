"""NumPy's names that are gone since 1.24 and 2.0: programs of Isaac Gym's time, and the `gym` package, use them."""

from __future__ import annotations

import numpy as np

_OLD = {
    "float": float, "int": int, "bool": bool, "object": object, "str": str, "complex": complex,
    "float_": np.float64, "complex_": np.complex128, "bool8": np.bool_, "unicode_": np.str_, "string_": np.bytes_,
    "Inf": np.inf, "infty": np.inf, "NaN": np.nan, "product": np.prod, "cumproduct": np.cumprod, "alltrue": np.all,
    "sometrue": np.any, "row_stack": np.vstack, "in1d": np.isin, "trapz": getattr(np, "trapezoid", None),
}  # fmt: skip


def install() -> None:
    """Give NumPy the old names that it lacks."""
    for name, value in _OLD.items():
        if name not in vars(np) and value is not None:
            setattr(np, name, value)
