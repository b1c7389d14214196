"""Reading JSON that anybody may have written."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: it is no JSON, or is nested deeper than Python reads.

    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from None
