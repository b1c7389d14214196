"""Results of the analysis as values that JSON can hold."""

from __future__ import annotations

import math
from typing import Any, Callable, Optional

import numpy as np
from pydantic import BaseModel


def json_value(value: Any, not_finite: Optional[Callable[[float], Any]] = None) -> Any:
    """A result as plain JSON: named tuples and models become objects, arrays become lists.

    NaN and infinity become null, or `not_finite(value)`.
    """
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, dict):
        return {str(name): json_value(one, not_finite) for name, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [json_value(one, not_finite) for one in value]
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isfinite(number):
            return number
        return None if not_finite is None else not_finite(number)
    return value.item() if isinstance(value, np.generic) else value
