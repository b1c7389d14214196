"""Named configurations as data. A preset names another one with `extends` and says only what it changes."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Dict, List

import yaml

from ..errors import UserError

_FOLDER = Path(__file__).parent
_OBJECTS = _FOLDER / "objects"


def names() -> List[str]:
    """Every preset's name."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def object_names() -> List[str]:
    """Every object's name."""
    return sorted(path.stem for path in _OBJECTS.glob("*.yaml"))


def load(preset: str, object_name: str = "") -> Dict[str, Any]:
    """A preset as nested dictionaries, what it extends included and its part for the object merged in.

    Args:
        preset: a preset's name, or the path of a YAML file.
        object_name: an object's name or file; empty for the preset's own.

    Raises:
        UserError: no such preset, or a file that is not a mapping.
    """
    layers = _chain(preset)
    base: Dict[str, Any] = {}
    for layer in layers:
        base = merge(base, {key: value for key, value in layer.items() if key not in ("extends", "per_object")})
    chosen = object_name or base["object"]
    for layer in layers:
        base = merge(base, (layer.get("per_object") or {}).get(chosen) or {})
    base["object"] = chosen
    base["preset"] = preset
    return base


def load_object(name: str) -> Dict[str, Any]:
    """An object's file by name or path.

    Raises:
        UserError: no such object, or a file that is not a mapping.
    """
    path = _find(name, _OBJECTS, "object", object_names())
    return {"name": path.stem, **_read(path)}


def merge(base: Dict[str, Any], changes: Dict[str, Any]) -> Dict[str, Any]:
    """`base` with `changes` laid over it, mapping by mapping; everything else is replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def closest(name: str, known: List[str]) -> str:
    """A hint: the nearest known name if one is near, else all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"it can be {', '.join(known)}"


def _chain(preset: str) -> List[Dict[str, Any]]:
    layers: List[Dict[str, Any]] = []
    seen: List[Path] = []
    name = preset
    while name:
        path = _find(name, _FOLDER, "preset", names())
        if path in seen:
            raise UserError(f"preset {preset} extends itself through {path.name}")
        seen.append(path)
        layers.insert(0, _read(path))
        name = layers[0].get("extends", "")
    return layers


def _find(name: str, folder: Path, kind: str, known: List[str]) -> Path:
    if name in known:
        return folder / f"{name}.yaml"
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path.resolve()
    raise UserError(f"there is no {kind} called {name}; {closest(name, known)}")


def _read(path: Path) -> Dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as YAML: {reason}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping of fields to values")
    return content
