"""What is wrong with a configuration, as one sentence."""

from __future__ import annotations

from typing import Any, Sequence

from pydantic import ValidationError

from ..presets import Layer
from ..system.limits import shown


def sentence(error: ValidationError, layers: Sequence[Layer]) -> str:
    """The first error of a validation: the file among `layers`, the field, its value, and what is allowed."""
    return _file(error, layers) + _first(error)


def _file(error: ValidationError, layers: Sequence[Layer]) -> str:
    """The file that a wrong value comes from, for the start of a message; empty for the command line."""
    first = error.errors(include_url=False)[0]
    place = first["loc"][:-1] if first["type"] == "missing" else first["loc"]
    if isinstance(first["input"], dict) and not any(isinstance(name, int) for name in place):
        return ""  # a check of several fields, which may come from several files; an element of a list comes from one
    for layer in reversed(layers):
        value: Any = layer.content
        for name in place:
            try:
                value = value[name]
            except (LookupError, TypeError):
                if not isinstance(value, list):
                    break
        else:
            return f"{layer.source}: " if layer.source else ""
    return ""


def _first(error: ValidationError) -> str:
    """The first error, with field, value and what is allowed."""
    errors = error.errors(include_url=False)
    first, parent = errors[0], errors[0]["loc"][:-1]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].replace("Value error, ", "")
    if first["type"] == "extra_forbidden":
        return f"there is no field {field}"
    if first["type"] == "missing" and isinstance(first["loc"][-1], int):
        places = [int(one["loc"][-1]) for one in errors if one["type"] == "missing" and one["loc"][:-1] == parent]
        field = ".".join(str(part) for part in parent)
        return f"{field}={shown(first['input'])} is not allowed: it must have {max(places) + 1} values"
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] in ("list_type", "tuple_type") and not isinstance(first["input"], dict):
        example = f", such as {field}=[{shown(first['input'])}]" if first["type"] == "list_type" else " in brackets"
        return f"{field}={shown(first['input'])} is not allowed: give a list{example}"
    # A check of several fields begins its message with the field to change.
    if first["type"] == "value_error" and isinstance(first["input"], dict):
        return f"{field}.{message}" if field and not message.startswith(("task.", "learner.", "training.")) else message
    return f"{field}={shown(first['input'])} is not allowed: {message[0].lower()}{message[1:]}"
