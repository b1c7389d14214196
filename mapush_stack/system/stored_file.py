"""JSON files that every later version can read: each has a schema number, and older schemas are upgraded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, Generic, Sequence, Type, TypeVar

from pydantic import ValidationError

from .. import __version__
from ..errors import UserError
from ..settings import Settings
from .atomic import write_json
from .limits import MOST_JSON, parse_json, read_text, shown

Content = TypeVar("Content", bound=Settings)
Upgrade = Callable[[Dict[str, Any]], Dict[str, Any]]


def pop_schema(content: Dict[str, Any], newest: int) -> int:
    """Take the schema number, and the version that wrote it, out of a file's content; without a number it is 1.

    Raises:
        UserError: the number is damaged, or larger than `newest`.

    """
    schema, version = content.pop("schema", 1), content.pop("version", "")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise UserError(f"schema={shown(repr(schema))} is not a schema number")
    if schema > newest:
        writer = f"mapush_stack {version}" if version else "a newer version"
        raise UserError(
            f"it was written by {writer} (schema {schema}), and this is {__version__} (schema {newest}): upgrade with "
            "pip install --upgrade mapush_stack"
        )
    return schema


class StoredFile(Generic[Content]):
    """A kind of file: its model, and the upgrades from older schemas.

    A new field needs a default in the model that means "as before". Removing or renaming a field, or changing its
    meaning, needs an upgrade.
    """

    def __init__(self, model: Type[Content], upgrades: Sequence[Upgrade] = ()) -> None:
        """`upgrades[n - 1]` turns the content of schema n into that of n + 1. A file without a number has schema 1."""
        self._model, self._upgrades = model, upgrades
        self.schema = 1 + len(upgrades)
        """The number that `write` writes."""

    def plain(self, content: Content, **options: Any) -> Dict[str, Any]:
        """The content as JSON has it, with the schema number; `options` of pydantic's `model_dump`."""
        return {"schema": self.schema, **content.model_dump(mode="json", **options)}

    def write(self, path: Path, content: Content) -> None:
        """Write the file atomically."""
        write_json(path, self.plain(content))

    def read(self, path: Path) -> Content:
        """The content of a file of this or any older schema.

        Raises:
            UserError: the file cannot be read, is damaged, or has a newer schema.

        """
        try:
            content = parse_json(read_text(path, MOST_JSON))
            # Strict JSON mode takes no number for a string and no string for a number.
            return self._model.model_validate_json(json.dumps(self._upgraded(content)), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            reason = " ".join([".".join(map(str, first["loc"])), first["msg"]]).strip()
        except UserError as error:
            raise error if str(path) in str(error) else UserError(f"{path}: {error}") from None
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            reason = str(error)
        raise UserError(f"{path} is damaged or of another version: {reason}")

    def _upgraded(self, content: Any) -> Dict[str, Any]:
        """The content of a file of any schema, as this version has it."""
        if not isinstance(content, dict):
            raise ValueError("it is not an object")
        upgraded: Dict[str, Any] = content
        schema = pop_schema(upgraded, self.schema)
        for upgrade in self._upgrades[schema - 1 :]:
            upgraded = upgrade(upgraded)
        return upgraded
