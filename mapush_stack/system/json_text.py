"""JSON from files that this project may not have written."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str) -> Any:
    """The content of a JSON text.

    Raises:
        ValueError: it is not JSON, or is nested too deeply for Python.

    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from None
