"""A configuration as a field of other stored files.

It is read from this or any older schema, and written with its schema number.
"""

from __future__ import annotations

from typing import Any, Dict

from pydantic import BeforeValidator, PlainSerializer
from typing_extensions import Annotated

from .config import ExperimentConfig, validated
from .upgrades import stamped, upgraded


def _read(stored: Any) -> Any:
    return validated(upgraded(stored)) if isinstance(stored, dict) else stored


def _written(config: ExperimentConfig) -> Dict[str, Any]:
    return stamped(config.model_dump(mode="json"))


StoredConfig = Annotated[ExperimentConfig, BeforeValidator(_read), PlainSerializer(_written)]
"""An experiment's configuration, as a field of a model."""
