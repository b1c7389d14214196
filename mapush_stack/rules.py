"""Loads rules and tables from the package's YAML files; a pydantic model checks each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Type, TypeVar

from pydantic import BaseModel, ValidationError

from .errors import UserError
from .system.limits import parse_yaml, read_text

M = TypeVar("M", bound=BaseModel)


def load_rules(path: Path, model: Type[M], content: str, remedy: str = "install mapush_stack again") -> M:
    """The content of a YAML file as a `model`.

    `content` is its name in messages, such as "the rules of triage".

    Raises:
        UserError: the file is missing or damaged; the message names the file and the field.

    """
    try:
        return model.model_validate_json(json.dumps(parse_yaml(read_text(path))), strict=True)
    except ValidationError as error:
        reason = first_error(error)
    except ValueError as error:
        reason = str(error)
    raise UserError(f"{path} does not hold {content}: {reason}; {remedy}")


def first_error(error: ValidationError) -> str:
    """The first error of a validation, as `field: what is wrong`."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
