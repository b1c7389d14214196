"""Values of a configuration that any program may have written."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional, Sequence

from .files import CONFIG


class ConfigValues:
    """Typed values of a configuration; a value of a wrong type becomes a problem."""

    def __init__(self, config: Dict[str, Any]) -> None:
        """`config` is nested plain JSON."""
        self._config = config
        self.problems: List[str] = []

    def get(self, *names: str) -> Any:
        """The value under nested names, None if there is none."""
        found: Any = self._config
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def whole(self, *names: str, least: Optional[int] = None) -> Optional[int]:
        """A whole number, also one that was written as 1e6 or in quotes."""
        value = self.get(*names)
        in_quotes = isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII)
        number = int(value) if in_quotes or (isinstance(value, float) and value.is_integer()) else value
        if value is None:
            return None
        if type(number) is int and (least is None or number >= least):
            return number
        self.refuse(names, value, "a whole number" + ("" if least is None else f" of at least {least}"))
        return None

    def word(self, *names: str) -> Optional[str]:
        """A name; a number counts as one."""
        value = self.get(*names)
        if isinstance(value, (str, int, float)):
            return str(value)
        if value is not None:
            self.refuse(names, value, "a name")
        return None

    def refuse(self, names: Sequence[str], value: Any, wanted: str) -> None:
        """Add a sentence about a value of a wrong type to `problems`."""
        shown = json.dumps(value)
        shown = shown if len(shown) <= 40 else shown[:37] + "..."
        self.problems.append(f"{CONFIG} has {'.'.join(names)}={shown}, which is not {wanted}; it is left out")
