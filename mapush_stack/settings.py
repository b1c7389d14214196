"""The base of every configuration object, and the check of field names."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence, Type

from pydantic import AfterValidator, BaseModel, ConfigDict

from .errors import UserError
from .registry import Registry, closest


class Settings(BaseModel):
    """Base of every configuration object: immutable, and unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    @classmethod
    def children(cls) -> Dict[str, Any]:
        """What each field holds, by name.

        A `Settings` class; a `NamesOf` for a mapping whose keys are names in a registry; `dict` for any other mapping;
        None for a single value.
        """
        return {name: _child(field.annotation, field.metadata) for name, field in cls.model_fields.items()}


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
            hint = f"; {closest(str(name), sorted(children))}" if children else ""
            raise UserError(f"{source}there is no field {'.'.join(here)}: {where} has no {name}{hint}")
        child = children[name]
        if not isinstance(value, Mapping) or child is dict:
            continue
        if isinstance(child, NamesOf):
            _check(dict.fromkeys(child.registry().names()), value, here, source)
        else:
            _check({} if child is None else child.children(), value, here, source)


def _child(annotation: Any, metadata: Sequence[Any]) -> Any:
    for mark in metadata:
        if isinstance(mark, NamesOf):
            return mark
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return dict if getattr(annotation, "__origin__", None) is dict else None
