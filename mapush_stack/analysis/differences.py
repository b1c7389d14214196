"""What differs between configurations, and what the change does."""

from __future__ import annotations

import fnmatch
import functools
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Type

import yaml
from pydantic import BaseModel

from ..training.config import ExperimentConfig

_ABSENT = "-"
_MANIFEST = ("mapush_stack", "commit", "python", "packages.torch", "packages.mujoco", "processor", "torch_threads")
"""What a manifest says that may change results or speed."""


class Difference(NamedTuple):
    """A field that differs."""

    field: str
    values: List[Any]
    """As plain JSON, in the order of what is compared; "-" where it has no such field."""
    meaning: str
    """What the field does; empty where nobody says."""


def settings(config: Dict[str, Any], library: str) -> Dict[str, Any]:
    """A configuration as values by dotted field, under this project's names where it has them."""
    names = _data()["names"].get(library, {})
    return {names.get(field, field): value for field, value in _flat(config).items()}


def essential(found: Dict[str, Any]) -> Dict[str, Any]:
    """The fields that make an experiment: without seeds, names and what only affects speed."""
    patterns = _data()["incidental"]
    return {
        field: value
        for field, value in found.items()
        if not any(fnmatch.fnmatchcase(field, pattern) for pattern in patterns)
    }


def differences(compared: Sequence[Dict[str, Any]], libraries: Sequence[str]) -> List[Difference]:
    """The essential fields that differ, in the order of the first that has them.

    One that a library does not have at all is no difference to that library, nor is any to an empty configuration.
    """
    owned: Dict[str, Set[str]] = {}
    for found, library in zip(compared, libraries):
        owned.setdefault(library, set()).update(found)
    rows = []
    for field in dict.fromkeys(field for found in compared for field in essential(found)):
        values = [found.get(field, _ABSENT) for found in compared]
        said = [
            value for value, found, library in zip(values, compared, libraries) if found and field in owned[library]
        ]
        if any(not _same(value, said[0]) for value in said[1:]):
            rows.append(Difference(field, values, meaning(field)))
    return rows


def made_with(groups: Sequence[Sequence[Dict[str, Any]]]) -> List[Difference]:
    """What differs in software and machine, by the manifests of each group; one that does not say differs from none."""
    rows = []
    for field in _MANIFEST:
        said = [[_short(field, _flat(manifest).get(field, _ABSENT)) for manifest in group] for group in groups]
        if len({str(value) for values in said for value in values if value != _ABSENT}) > 1:
            rows.append(Difference(field, [", ".join(dict.fromkeys(map(str, values))) for values in said], ""))
    return rows


def _short(field: str, value: Any) -> Any:
    """A commit as its first digits, with the "+" of a tree with changes, which a narrow table would cut off."""
    return f"{value[:10]}{'+' * value.endswith('+')}" if field == "commit" and isinstance(value, str) else value


def meaning(field: str) -> str:
    """What a field does, by its description in the configuration."""
    known = _descriptions(ExperimentConfig)
    return known.get(field) or _data()["meanings"].get(field, "")


@functools.lru_cache(maxsize=None)
def _data() -> Dict[str, Any]:
    return yaml.safe_load((Path(__file__).parent / "settings.yaml").read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=None)
def _descriptions(model: Type[BaseModel]) -> Dict[str, str]:
    """Every field's description by its dotted name."""
    found = {}
    for name, field in model.model_fields.items():
        inner: Optional[Any] = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found.update({f"{name}.{below}": text for below, text in _descriptions(inner).items()})
        elif field.description:
            found[name] = field.description
    return found


def _flat(plain: Dict[str, Any], prefix: str = "") -> Dict[str, Any]:
    """Values by dotted field; a list is one value."""
    found: Dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, dict) and value:
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal as JSON, where 1 and 1.0 are."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
