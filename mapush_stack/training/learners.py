"""Whose learner trains: this project's own, HARL's or OpenRL's."""

from __future__ import annotations

import importlib
from types import ModuleType

_MODULES = {"native": "session", "harl": "harl", "openrl": "openrl"}


def module(library: str) -> ModuleType:
    """The module that trains with `library`; it has `start` and `resume` as `training.session` has them."""
    return importlib.import_module(f".{_MODULES[library]}", __package__)
