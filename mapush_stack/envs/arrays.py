"""What the adapters to other libraries share: checks of seeds and actions."""

from __future__ import annotations

import operator
from typing import Any, Optional, Tuple

import numpy as np
from torch import Tensor

from ..errors import UserError
from .push_env import PushEnv

_FEW = 12
"""So many numbers are shown in a message."""


def begin(env: PushEnv, seed: Optional[int]) -> Tuple[Tensor, Tensor]:
    """Reset to the first episodes of `seed`, or without one to episodes that have not been yet.

    Returns observations and state.

    Raises:
        UserError: the seed is no whole number, or the environment is closed.

    """
    if seed is None:
        return env.reset(episode=env.next_episode)
    try:
        env.seed_with(operator.index(seed))
    except TypeError:
        raise UserError(f"seed={seed!r} is not allowed: it must be a whole number") from None
    return env.reset()


def finite(name: str, given: Any, shape: Tuple[int, ...]) -> np.ndarray:
    """What was given as finite float32 numbers of this shape.

    Raises:
        UserError: it is something else; the message begins with `name`.

    """
    try:
        with np.errstate(over="ignore"):  # infinity is refused below
            numbers = np.asarray(given, np.float32)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"{name} must be {_counted(shape)} finite numbers, not {type(given).__name__}") from None
    if numbers.shape != shape or not np.isfinite(numbers).all():
        few = numbers.size <= _FEW
        what = f"{name}={numbers.tolist()}" if few else f"{name} of shape {list(numbers.shape)}"
        where = "" if few or numbers.shape != shape else f"; row {int(np.argmin(np.isfinite(numbers).all(-1)))} is not"
        raise UserError(f"{what} must be {_counted(shape)} finite numbers{where}")
    return numbers


def _counted(shape: Tuple[int, ...]) -> str:
    return str(shape[0]) if len(shape) == 1 else f"{list(shape)}"
