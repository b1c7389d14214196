"""Whose learner trains: this project's own, HARL's or OpenRL's."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Optional, Tuple

_MODULES = {"native": "training.session", "harl": "learning.harl", "openrl": "learning.openrl.trainer"}
NAMES = {"native": "", "harl": "HARL's ", "openrl": "OpenRL's "}
"""What is said before the algorithm's name."""


def module(library: str) -> ModuleType:
    """The module that trains with `library`; it has `start` and `resume` as `training.session` has them."""
    return importlib.import_module(f"mapush_stack.{_MODULES[library]}")


def parts(library: Optional[str], wanted: Tuple[str, ...]) -> Tuple[str, ...]:
    """The parts to lay over the default preset: another library's own settings first, then what was asked for."""
    return (library, *wanted) if library in ("harl", "openrl") and library not in wanted else wanted
