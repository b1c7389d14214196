"""Named configurations as data: presets, parts of presets, objects.

A preset says what it `extends` and what it changes. A part is a fragment that several presets share; `--with` lays it
over any preset. All are YAML files, registered by name, so that plug-ins can add their own.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ..errors import UserError
from ..registry import Registry, closest
from ..system.limits import read_yaml, shown

_FOLDER = Path(__file__).parent

PRESETS: Registry[Path] = Registry("preset")
"""Files of presets."""
PARTS: Registry[Path] = Registry("part")
"""Files of parts."""
OBJECTS: Registry[Path] = Registry("object")
"""Files of objects."""

for _registry, _folder in ((PRESETS, _FOLDER), (PARTS, _FOLDER / "parts"), (OBJECTS, _FOLDER / "objects")):
    for _path in sorted(_folder.glob("*.yaml")):
        _registry.register(_path.stem, _path)


class Layer(NamedTuple):
    """Part of a configuration, to be laid over the layers before it."""

    source: str
    """The file that it was read from."""
    content: Dict[str, Any]
    applies: bool = True
    """False for what a file says of another object: its names are checked too."""


def the_object(name: str) -> str:
    """An object in a sentence: "the cuboid", or "random objects"."""
    return "random objects" if name == "random" else f"the {name}"


def layers(preset: str, object_name: str = "", parts: Sequence[str] = ()) -> List[Layer]:
    """The layers of a preset with parts over it; the last one names preset and object.

    Args:
        preset: a preset's name, or the path of a YAML file.
        object_name: an object's name or file; empty for the preset's own.
        parts: names or files of parts to lay over it, in order.

    Raises:
        UserError: no such preset, part or object, or a file that is not a mapping.

    """
    found = _extended(_find(preset, PRESETS), [])
    for part in parts:
        found += _extended(_find(part, PARTS), [])
    below, found = _over_default(found)
    if found[0].source == str(PRESETS["default"]):
        found[1:1] = below
    chosen = object_name or _named_object(found)
    named = Layer("", {"object": chosen, "preset": "+".join([preset, *parts])})
    return [*_for_object(found, chosen), named]


def part_layers(plain: Mapping[str, Any], parts: Sequence[str]) -> List[Layer]:
    """The layers of parts to lay over a whole configuration `plain`, in order.

    Raises:
        UserError: as `layers`.

    """
    _, found = _over_default([layer for part in parts for layer in _extended(_find(part, PARTS), [])])
    named = Layer("", {"preset": "+".join([plain["preset"], *parts])})
    return [*_for_object(found, plain["object"]["name"]), named]


def load_object(name: str) -> Layer:
    """An object by name or path of a YAML file, with its name and all that it takes from the one that it extends.

    Raises:
        UserError: no such object, or a file that is not a mapping.

    """
    path = _find(name, OBJECTS)
    return Layer(str(path), {"name": path.stem if name not in OBJECTS else name, **_whole_object(path, [])})


def description(preset: str) -> str:
    """What a preset is, in a sentence."""
    return str(next(one.content["description"] for one in reversed(layers(preset)) if "description" in one.content))


def merge(base: Dict[str, Any], changes: Mapping[str, Any]) -> Dict[str, Any]:
    """`base` with `changes` laid over it: mappings are merged, other values are replaced."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _whole_object(path: Path, above: List[Path]) -> Dict[str, Any]:
    """What an object's file says, over the object that it extends."""
    if path in above:
        raise UserError(f"{above[0].name} extends itself through {above[-1].name}")
    content = _read(path)
    base = content.pop("extends", None)
    if base is None:
        return content
    if not isinstance(base, str):
        raise UserError(f"{path}: extends must be the name or the file of one object, not {shown(base)}")
    return merge(_whole_object(_found_from(path, base, OBJECTS), [*above, path]), content)


def _over_default(found: List[Layer]) -> Tuple[List[Layer], List[Layer]]:
    """The sections `over_default` of layers, and all else that they hold, each in order.

    The former are laid over the preset default alone: what a preset that extends it says, or a stored run, stays.
    """
    below, above = [], []
    for source, content, _ in found:
        section = content.get("over_default", {})
        if not isinstance(section, dict):
            raise UserError(f"{source}: over_default must map fields to values, not {shown(section)}")
        below.append(Layer(source, section))
        above.append(Layer(source, {key: content[key] for key in content if key != "over_default"}))
    return below, above


def _named_object(found: List[Layer]) -> str:
    """The object that the last of these layers names."""
    for source, content, _ in reversed(found):
        if "object" in content:
            name = content["object"]
            if not isinstance(name, str):
                raise UserError(f"{source}: object must be an object's name or a YAML file, not {shown(name)}")
            if name not in OBJECTS and not Path(name).exists():
                raise UserError(f"{source}: {OBJECTS.unknown(name)}")
            return name
    raise UserError(f"{found[-1].source} names no object: add `extends: default` to it, or give --object")


def _for_object(found: List[Layer], object_name: str) -> List[Layer]:
    """Layers without `extends`; each is followed by its sections `per_object`, of which the object's applies."""
    laid = []
    for source, content, _ in found:
        laid.append(Layer(source, {key: content[key] for key in content if key not in ("extends", "per_object")}))
        sections = content.get("per_object") or {}
        if not isinstance(sections, dict) or not all(isinstance(own, dict) for own in sections.values()):
            raise UserError(f"{source}: per_object must map names of objects to fields")
        for name, own in sections.items():
            if name not in OBJECTS and name != object_name:
                raise UserError(f"{source}: per_object.{name}: {OBJECTS.unknown(str(name))}")
            if "object" in own:
                raise UserError(f"{source}: per_object.{name} cannot set object")
            laid.append(Layer(source, own, applies=name == object_name))
    return laid


def _extended(path: Path, above: List[Path]) -> List[Layer]:
    """The layer of a file, after the layers of all files that it extends."""
    if path in above:
        raise UserError(f"{above[0].name} extends itself through {above[-1].name}")
    content = _read(path)
    extended = content.get("extends", [])
    extended = [extended] if isinstance(extended, str) else extended
    if not isinstance(extended, list):
        raise UserError(f"extends in {path} must be a name or a list of names")
    found: List[Layer] = []
    for name in extended:
        found += _extended(_found_from(path, str(name), PRESETS, PARTS), [*above, path])
    return [*found, Layer(str(path), content)]


def _found_from(path: Path, name: str, *registries: Registry[Path]) -> Path:
    """What a file extends, see `_find`."""
    try:
        return _find(name, *registries)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _find(name: str, *registries: Registry[Path]) -> Path:
    """The file of that name in one of the registries, or the YAML file at that path."""
    for registry in registries:
        if name in registry:
            return registry[name]
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.exists():
        return path.resolve()
    kinds = " or ".join(registry.kind for registry in registries)
    hint = closest(name, [known for registry in registries for known in registry])
    others = {f"the {other.kind} {one}": one for other in (PRESETS, PARTS, OBJECTS) for one in other}
    near = difflib.get_close_matches(name, list(others.values()), n=1)
    if near and not hint.startswith("did you mean"):
        hint = f"did you mean {next(full for full, one in others.items() if one == near[0])}?"
    raise UserError(f"there is no {kinds} called {name}; {hint}")


def _read(path: Path) -> Dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping of fields to values")
    return content
