"""Configurations of all libraries under this project's field names, and their differences."""

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
from ..layouts.layout import NATIVE
from .model import Difference

PATH = Path(__file__).parent / "config_fields.yaml"
_ABSENT = "-"
_MANIFEST = ("mapush_stack", "commit", "python", "packages.torch", "packages.mujoco", "processor", "torch_threads")
"""Fields of a manifest that may change results or speed."""


class ConfigFields(Settings):
    """The content of `config_fields.yaml`."""

    incidental: List[str]
    incidental_elsewhere: List[str]
    names: Dict[str, Dict[str, str]]
    """Library, then its field: our field with the same meaning."""
    meanings: Dict[str, str]


@functools.lru_cache(maxsize=None)
def _known() -> ConfigFields:
    return load_rules(PATH, ConfigFields, "the fields of configurations")


def fields(config: Dict[str, Any], library: str) -> Dict[str, Any]:
    """Values by dotted field name, under this project's names where they exist."""
    names = _known().names.get(library, {})
    return {names.get(field, field): value for field, value in _flat(config).items()}


def essential(found: Dict[str, Any], own: bool = True) -> Dict[str, Any]:
    """The fields that define an experiment: without seeds, names and speed settings.

    `own` is false for a configuration that any program wrote.
    """
    incidental = _known().incidental if own else _known().incidental_elsewhere
    return {
        field: value
        for field, value in found.items()
        if not any(fnmatch.fnmatchcase(field if own else field.lower(), pattern) for pattern in incidental)
    }


def differences(compared: Sequence[Dict[str, Any]], libraries: Sequence[str]) -> List[Difference]:
    """The essential fields that differ, in the order in which they first occur.

    A library without such a field, and a run without a configuration, do not count as different.
    """
    owned: Dict[str, Set[str]] = {}
    for found, library in zip(compared, libraries):
        owned.setdefault(library, set()).update(found)
    rows = []
    own = [library in NATIVE for library in libraries]
    for field in dict.fromkeys(field for found, known in zip(compared, own) for field in essential(found, known)):
        values = [found.get(field, _ABSENT) for found in compared]
        known = [one for one, found, library in zip(values, compared, libraries) if found and field in owned[library]]
        if any(not _same(value, known[0]) for value in known[1:]):
            rows.append(Difference(field, values, meaning(field)))
    return rows


def made_with(groups: Sequence[Sequence[Dict[str, Any]]]) -> List[Difference]:
    """Software and machines that differ between groups; a missing value is not a difference."""
    rows = []
    for field in _MANIFEST:
        found = [[_short(field, _flat(manifest).get(field, _ABSENT)) for manifest in group] for group in groups]
        if len({str(value) for values in found for value in values if value != _ABSENT}) > 1:
            rows.append(Difference(field, [", ".join(dict.fromkeys(map(str, values))) for values in found], ""))
    return rows


def _short(field: str, value: Any) -> Any:
    """A commit shortened to ten digits; keeps the "+" that marks uncommitted changes."""
    return f"{value[:10]}{'+' * value.endswith('+')}" if field == "commit" and isinstance(value, str) else value


def meaning(field: str) -> str:
    """The description of a field; empty if it has none."""
    return _descriptions(ExperimentConfig).get(field) or _known().meanings.get(field, "")


@functools.lru_cache(maxsize=None)
def _descriptions(model: Type[BaseModel]) -> Dict[str, str]:
    """Descriptions by dotted field name.

    A name from a registry is described by the first line of its docstring.
    """
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
