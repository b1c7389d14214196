"""The base of every configuration object, and the check of field names."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple, Type, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from typing_extensions import Annotated

from .errors import UserError
from .registry import Registry, closest

LARGEST = 1e30
"""Of every number: simulators and learners compute in single precision, which ends at 3e38."""
FOLDER_NAME = "use letters, digits, spaces and . _ + = -, a letter or digit first, and at most 200 bytes"
"""What `is_folder_name` allows, for messages."""


def is_folder_name(name: str) -> bool:
    """Whether a name can be part of a path, and stays within it."""
    return re.fullmatch(r"[^\W_][\w .+=-]*", name) is not None and len(name.encode()) <= 200


def _folder_name(name: str) -> str:
    if not is_folder_name(name):
        raise ValueError(FOLDER_NAME)
    return name


FolderName = Annotated[str, AfterValidator(_folder_name)]
"""A field that becomes part of a path."""


class Settings(BaseModel):
    """Base of every configuration object: immutable, and unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="after")
    def _check_size(self) -> Settings:
        for name in type(self).model_fields:
            for path, value in _fractions(getattr(self, name), name):
                if abs(value) > LARGEST:
                    raise ValueError(f"{path}={value:g} is not allowed: numbers must be from -1e30 to 1e30")
        return self

    @classmethod
    def children(cls) -> Dict[str, Any]:
        """What each field holds, by name.

        A `Settings` class; a list with one for a list of such; a `NamesOf` for a mapping whose keys are names in a
        registry; `dict` for any other mapping; None for a single value.
        """
        return {name: _child(field.annotation, field.metadata) for name, field in cls.model_fields.items()}


def _fractions(value: Any, path: str) -> Iterator[Tuple[str, float]]:
    """The fractions in a value, each with its path."""
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, (tuple, list, dict)):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _fractions(item, f"{path}.{name}")


class NamesOf:
    """Marks a mapping whose keys are names in a registry.

    Use it as `Annotated[Dict[str, float], NamesOf(terms)]`.
    """

    def __init__(self, registry: Callable[[], Registry[Any]]) -> None:
        """`registry` returns the registry. It is called late, so that modules may import each other."""
        self.registry = registry


def name_in(registry: Callable[[], Registry[Any]]) -> AfterValidator:
    """Marks a string that must be a name in a registry.

    For a field of type `Annotated[str, name_in(registry)]`; `registry` returns the registry, as in `NamesOf`.
    """

    def check(name: str) -> str:
        known = registry()
        if name not in known:
            raise ValueError(known.unknown(name))
        return name

    return AfterValidator(check)


def check_names(model: Type[Settings], content: Mapping[str, Any], source: str = "") -> None:
    """Raise an error if any field in `content` does not exist.

    Args:
        model: the configuration class of `content`.
        content: nested mappings of fields to values; may be only a part of the configuration.
        source: the file that it was read from; empty for the command line.

    Raises:
        UserError: the first unknown name, and the nearest known one.

    """
    _check(model.children(), content, [], f"{source}: " if source else "")


def check_path(model: Type[Settings], path: Sequence[str]) -> None:
    """Raise an error if a field, such as `["task", "rewards", "push"]`, does not exist.

    Raises:
        UserError: as `check_names`.

    """
    content: Any = None
    for name in reversed(path):
        content = {name: content}
    check_names(model, content)


def _check(children: Mapping[str, Any], content: Mapping[str, Any], path: List[str], source: str) -> None:
    for name, value in content.items():
        here = [*path, str(name)]
        if name not in children:
            where = ".".join(path) or "the configuration"
            hint = f"; {closest(str(name), sorted(children))}" if children else f"; give {where} as a whole"
            raise UserError(f"{source}there is no field {'.'.join(here)}: {where} has no {name}{hint}")
        child = children[name]
        if isinstance(child, list) and isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    _check(child[0].children(), item, [*here, str(index)], source)
        if not isinstance(value, Mapping) or child is dict:
            continue
        if isinstance(child, NamesOf):
            _check(dict.fromkeys(child.registry().names()), value, here, source)
        else:
            section = isinstance(child, type) and issubclass(child, Settings)
            _check(child.children() if section else {}, value, here, source)


def _child(annotation: Any, metadata: Sequence[Any]) -> Any:
    for mark in metadata:
        if isinstance(mark, NamesOf):
            return mark
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    origin = getattr(annotation, "__origin__", None)
    if origin is Union and annotation.__args__[1:] == (type(None),):
        return _child(annotation.__args__[0], ())
    if origin is list:
        inner = _child(annotation.__args__[0], ())
        return None if inner is None else [inner]
    return dict if origin is dict else None
