"""Isaac Gym's `rlgpu`: it can be imported, and its names are refused when called."""

from __future__ import annotations

from .support import Refused


def __getattr__(name: str) -> Refused:
    if name.startswith("__"):
        raise AttributeError(name)
    return Refused(f"rlgpu.{name}")
