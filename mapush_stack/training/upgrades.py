"""Upgrades configurations of older versions, so that every saved run stays readable.

A field that is added needs no upgrade: its default in the model gives the old behaviour. A field that is removed,
renamed or given another meaning needs one: raise `SCHEMA`, and add a function that turns a configuration of the old
schema into one of the new schema. Never use a field's name again with another meaning.
"""

from __future__ import annotations

from typing import Any, Callable, Dict

from pydantic import BeforeValidator, PlainSerializer
from typing_extensions import Annotated

from .. import __version__
from ..errors import UserError
from ..system.stored_file import pop_schema
from .config import ExperimentConfig, validated

SCHEMA = 2
"""The schema that this version writes."""


def _name_only_the_rewards_that_count(plain: Dict[str, Any]) -> Dict[str, Any]:
    """Schema 1 gave every reward term a weight; schema 2 only names terms whose weight is not 0."""
    task = dict(plain.get("task") or {})
    task["rewards"] = {name: weight for name, weight in (task.get("rewards") or {}).items() if weight != 0}
    return {**plain, "task": task}


UPGRADES: Dict[int, Callable[[Dict[str, Any]], Dict[str, Any]]] = {1: _name_only_the_rewards_that_count}
"""By n: the upgrade from schema n to schema n + 1."""


def stamped(plain: Dict[str, Any]) -> Dict[str, Any]:
    """A configuration as it is stored: with its schema and the version that writes it."""
    return {"schema": SCHEMA, "version": __version__, **plain}


def upgraded(plain: Dict[str, Any]) -> Dict[str, Any]:
    """A configuration of this schema, from a stored one of this or an older schema.

    Raises:
        UserError: a newer version wrote it, or the number of its schema is damaged.

    """
    plain = dict(plain)
    schema = pop_schema(plain, SCHEMA)
    try:
        for number in range(schema, SCHEMA):
            plain = UPGRADES[number](plain)
    except (TypeError, ValueError, LookupError, AttributeError):
        raise UserError(f"a section is not one of schema {schema}; restore a copy of the file") from None
    return plain


StoredConfig = Annotated[
    ExperimentConfig,
    BeforeValidator(lambda stored: validated(upgraded(stored)) if isinstance(stored, dict) else stored),
    PlainSerializer(lambda config: stamped(config.model_dump(mode="json"))),
]
"""A configuration as a field of another stored file: read from any older schema, written with its number."""
