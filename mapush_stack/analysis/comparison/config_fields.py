"""Configurations of any library as fields of this project, and what differs between them."""

from __future__ import annotations

import fnmatch
import functools
import inspect
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Set, Type

from pydantic import BaseModel

from ...rules import load_rules
from ...settings import NamesOf, Settings
from ...training.config import ExperimentConfig
from .model import Difference

PATH = Path(__file__).parent / "config_fields.yaml"
_ABSENT = "-"
_MANIFEST = ("mapush_stack", "commit", "python", "packages.torch", "packages.mujoco", "processor", "torch_threads")
"""Fields of a manifest that may change results or speed."""


class ConfigFields(Settings):
    """The whole file."""

    incidental: List[str]
    names: Dict[str, Dict[str, str]]
    """By library."""
    meanings: Dict[str, str]


@functools.lru_cache(maxsize=None)
def _known() -> ConfigFields:
    return load_rules(PATH, ConfigFields, "the fields of configurations")


def fields(config: Dict[str, Any], library: str) -> Dict[str, Any]:
    """A configuration as values by dotted field, under this project's names if it has them."""
    names = _known().names.get(library, {})
    return {names.get(field, field): value for field, value in _flat(config).items()}


def essential(found: Dict[str, Any]) -> Dict[str, Any]:
    """The fields that make an experiment: not seeds, names, and what only affects speed."""
    incidental = _known().incidental
    return {
        field: value
        for field, value in found.items()
        if not any(fnmatch.fnmatchcase(field, pattern) for pattern in incidental)
    }


def differences(compared: Sequence[Dict[str, Any]], libraries: Sequence[str]) -> List[Difference]:
    """The essential fields that differ, in the order of the first that has them.

    A field that a library does not have at all is no difference to that library; neither is an empty configuration.
    """
    owned: Dict[str, Set[str]] = {}
    for found, library in zip(compared, libraries):
        owned.setdefault(library, set()).update(found)
    rows = []
    for field in dict.fromkeys(field for found in compared for field in essential(found)):
        values = [found.get(field, _ABSENT) for found in compared]
        known = [one for one, found, library in zip(values, compared, libraries) if found and field in owned[library]]
        if any(not _same(value, known[0]) for value in known[1:]):
            rows.append(Difference(field, values, meaning(field)))
    return rows


def made_with(groups: Sequence[Sequence[Dict[str, Any]]]) -> List[Difference]:
    """Software and machines that differ, by the manifests of each group; a missing value differs from none."""
    rows = []
    for field in _MANIFEST:
        found = [[_short(field, _flat(manifest).get(field, _ABSENT)) for manifest in group] for group in groups]
        if len({str(value) for values in found for value in values if value != _ABSENT}) > 1:
            rows.append(Difference(field, [", ".join(dict.fromkeys(map(str, values))) for values in found], ""))
    return rows


def _short(field: str, value: Any) -> Any:
    """A commit as its first digits; keeps the "+" of a tree with changes, which a narrow table would cut off."""
    return f"{value[:10]}{'+' * value.endswith('+')}" if field == "commit" and isinstance(value, str) else value


def meaning(field: str) -> str:
    """What a field does, by its description in the configuration; empty if it is not known."""
    return _descriptions(ExperimentConfig).get(field) or _known().meanings.get(field, "")


@functools.lru_cache(maxsize=None)
def _descriptions(model: Type[BaseModel]) -> Dict[str, str]:
    """The description of every field by its dotted name; of a registry's names the first line of the docstring."""
    found = {}
    for name, field in model.model_fields.items():
        inner: Optional[Any] = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found.update({f"{name}.{below}": text for below, text in _descriptions(inner).items()})
        elif field.description:
            found[name] = field.description
        for registry in (mark.registry() for mark in field.metadata if isinstance(mark, NamesOf)):
            found.update(
                {f"{name}.{one}": (inspect.getdoc(registry[one]) or "").partition("\n")[0] for one in registry}
            )
    return found


def _flat(content: Dict[str, Any], prefix: str = "") -> Dict[str, Any]:
    """Values by dotted field; a list is one value."""
    found: Dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict) and value:
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


def _same(one: Any, other: Any) -> bool:
    """True if two values are equal as JSON, where 1 equals 1.0 but not true."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
