"""Plug-ins: Python files or modules that register reward terms, objects, robots and more.

They are named with `--plugin`, in the variable MAPUSH_PLUGINS, or by an installed distribution's entry point in the
group `mapush_stack.plugins`. A plug-in is ordinary Python code that runs when it is loaded.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, NamedTuple, Set

from . import registry
from .errors import UserError
from .system.limits import read_bytes, read_text

ENTRY_POINTS = "mapush_stack.plugins"
VARIABLE = "MAPUSH_PLUGINS"
"""Environment variable that names plug-ins, separated by `os.pathsep`.

Child processes load the same plug-ins through it.
"""


class Plugin(NamedTuple):
    """A plug-in that is loaded."""

    name: str
    """The file's path as an absolute path, or the module's name: what `--plugin` takes."""
    sha256: str
    """SHA-256 of the file."""


_MOST_CODE = 2**20
"""Bytes of a plug-in's file."""
_loaded: Dict[str, Plugin] = {}
_called: Set[str] = set()
"""Modules whose entry point has been called."""


def load(name: str) -> Plugin:
    """Load a plug-in, unless it is loaded already.

    Args:
        name: the path of a .py file, or the name of a module that can be imported.

    Raises:
        UserError: there is no such file or module, or it fails while it is loaded.

    """
    is_file = name.endswith(".py") or os.sep in name
    try:
        key = str(Path(name).resolve()) if is_file else name
    except (RuntimeError, OSError):
        raise UserError(f"the plug-in {name} is a link that leads in a circle; give the path of a .py file") from None
    if key not in _loaded:
        with registry.registering(f"the plug-in {name}"):
            module = _run_file(Path(key), name) if is_file else _import(name)
        if getattr(module, "__file__", None) is None:
            raise UserError(f"the plug-in {name} is a folder without code: give a .py file, or the name of a module")
        _loaded[key] = Plugin(key, _sha256(module))
        os.environ[VARIABLE] = os.pathsep.join(_loaded)
    return _loaded[key]


def load_installed() -> None:
    """Load the plug-ins named in MAPUSH_PLUGINS, and those of installed distributions.

    Raises:
        UserError: one of them fails while it is loaded.

    """
    for name in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        load(name)
    found: Any = metadata.entry_points()
    # Python 3.8 and 3.9 return a dictionary.
    points = found.select(group=ENTRY_POINTS) if hasattr(found, "select") else found.get(ENTRY_POINTS, ())
    for point in points:
        name, _, attribute = point.value.partition(":")
        try:
            load(name)
            if attribute and name not in _called:
                _called.add(name)
                with registry.registering(f"the plug-in {name}"):
                    getattr(sys.modules[name], attribute)()
        except UserError as error:
            raise UserError(f"{error}; an installed package names it in the entry point {point.name}") from None


def loaded() -> List[Plugin]:
    """The plug-ins that are loaded, in the order of loading."""
    return list(_loaded.values())


def recorded(manifest: Dict[str, Any]) -> List[Plugin]:
    """The plug-ins that a run's manifest names."""
    entries = manifest.get("plugins")
    entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [Plugin(str(entry.get("name")), str(entry.get("sha256"))) for entry in entries]


def missing(manifest: Dict[str, Any]) -> List[Plugin]:
    """The plug-ins that a manifest names and that are not loaded, or not with the same contents.

    A file may have been moved or renamed since.
    """
    present = {plugin.sha256 for plugin in loaded()}
    return [plugin for plugin in recorded(manifest) if plugin.sha256 not in present]


def _run_file(path: Path, name: str) -> ModuleType:
    if not path.exists():
        raise UserError(f"there is no plug-in {name}: give the path of a .py file, or the name of a module")
    read_text(path, _MOST_CODE)
    module_name = f"mapush_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, str(path))
    if spec is None or spec.loader is None:
        raise UserError(f"the plug-in {name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # pickle, dataclasses and type hints look there
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"the plug-in {name} cannot be loaded: {error}") from None
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UserError(
                f"there is no plug-in {name}: give the path of a .py file, or the name of a module"
            ) from None
        raise _failed(name, error) from error
    except UserError as error:
        raise UserError(f"the plug-in {name} cannot be loaded: {error}") from None
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _failed(name: str, error: BaseException) -> UserError:
    """The error in a plug-in's own code, with its line number."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    where = f" (line {lines[0]})" if lines else ""  # a syntax error has no frame, and names its line itself
    return UserError(f"the plug-in {name} cannot be loaded: {type(error).__name__}: {error}{where}")


def _sha256(module: ModuleType) -> str:
    return hashlib.sha256(read_bytes(Path(str(module.__file__)))).hexdigest()
