"""Named configurations as data. A preset names what it `extends` and says only what it changes.

`parts/` holds fragments that presets have in common; they can also be laid over any preset from the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Sequence

import yaml

from ..errors import UserError
from ..registry import closest

_FOLDER = Path(__file__).parent
_OBJECTS = _FOLDER / "objects"
_PARTS = _FOLDER / "parts"


def names() -> List[str]:
    """Every preset's name."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def part_names() -> List[str]:
    """Every part's name."""
    return sorted(path.stem for path in _PARTS.glob("*.yaml"))


def object_names() -> List[str]:
    """Every object's name."""
    return sorted(path.stem for path in _OBJECTS.glob("*.yaml"))


def load(preset: str, object_name: str = "", parts: Sequence[str] = ()) -> Dict[str, Any]:
    """A preset as nested dictionaries, with what it extends, the parts and what they say of the object merged in.

    Args:
        preset: a preset's name, or the path of a YAML file.
        object_name: an object's name or file; empty for the preset's own.
        parts: names or files of parts to lay over it, in order.

    Raises:
        UserError: no such preset, part or object, or a file that is not a mapping.

    """
    layers = _layers(_find(preset, "preset"), [])
    for part in parts:
        layers += _layers(_find(part, "part"), [])
    chosen = object_name or next((layer["object"] for layer in reversed(layers) if "object" in layer), "")
    return {**_laid({}, layers, chosen), "object": chosen, "preset": "+".join([preset, *parts])}


def lay_over(plain: Dict[str, Any], parts: Sequence[str]) -> Dict[str, Any]:
    """A whole configuration with parts laid over it, in order.

    Raises:
        UserError: as `load`.

    """
    layers = [layer for part in parts for layer in _layers(_find(part, "part"), [])]
    name = "+".join([plain["preset"], *parts])
    return {**_laid(plain, layers, plain["object"]["name"]), "preset": name}


def load_object(name: str) -> Dict[str, Any]:
    """An object's file by name or path.

    Raises:
        UserError: no such object, or a file that is not a mapping.

    """
    path = _find(name, "object")
    return {"name": path.stem, **_read(path)}


def merge(base: Dict[str, Any], changes: Dict[str, Any]) -> Dict[str, Any]:
    """`base` with `changes` laid over it, mapping by mapping; everything else is replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _laid(base: Dict[str, Any], layers: List[Dict[str, Any]], object_name: str) -> Dict[str, Any]:
    """Layers over a base, each with what it says of the object."""
    for layer in layers:
        base = merge(base, {key: value for key, value in layer.items() if key not in ("extends", "per_object")})
        base = merge(base, (layer.get("per_object") or {}).get(object_name) or {})
    return base


def _layers(path: Path, above: List[Path]) -> List[Dict[str, Any]]:
    """The file and all that it extends, in the order in which they are laid over each other."""
    if path in above:
        raise UserError(f"{above[0].name} extends itself through {above[-1].name}")
    content = _read(path)
    extended = content.get("extends", [])
    extended = [extended] if isinstance(extended, str) else extended
    if not isinstance(extended, list):
        raise UserError(f"extends in {path} must be a name or a list of names")
    layers: List[Dict[str, Any]] = []
    for name in extended:
        layers += _layers(_find(str(name), "preset or part"), [*above, path])
    return [*layers, content]


def _find(name: str, kind: str) -> Path:
    folders = {"object": [_OBJECTS], "preset": [_FOLDER], "part": [_PARTS], "preset or part": [_FOLDER, _PARTS]}[kind]
    known = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    for path in known:
        if path.stem == name:
            return path
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path.resolve()
    raise UserError(f"there is no {kind} called {name}; {closest(name, [path.stem for path in known])}")


def _read(path: Path) -> Dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as YAML: {reason}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping of fields to values")
    return content
