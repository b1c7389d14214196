"""Imports OpenRL's runners before its other modules: they import each other, and only that order works.

`patches/openrl-circular-import.diff` cures the cause; with this, OpenRL need not be patched.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, Optional, Sequence


class _RunnersFirst(MetaPathFinder):
    """Finds OpenRL as Python does, and imports its runners with it."""

    def find_spec(self, fullname: str, path: Optional[Sequence[str]], target: Any = None) -> Optional[ModuleSpec]:
        """The package `openrl`; nothing else."""
        if fullname != "openrl":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                importlib.import_module("openrl.runners.common")

            vars(spec.loader)["exec_module"] = exec_module
        return spec


def install() -> None:
    """Watch for OpenRL, unless it has been imported."""
    if "openrl" not in sys.modules:
        sys.meta_path.insert(0, _RunnersFirst())
