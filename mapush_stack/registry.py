"""Registries of named things, such as reward terms, robots, learners and simulators."""

from __future__ import annotations

import contextlib
import difflib
from typing import Dict, Generic, Iterator, List, Sequence, TypeVar

from .errors import UserError

T = TypeVar("T")
_source = "mapush_stack"
"""Who registers now, for messages."""


@contextlib.contextmanager
def registering(source: str) -> Iterator[None]:
    """Within the block, `source` is who registers."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before


class Registry(Generic[T]):
    """Things of one kind by name, in the order of their registration."""

    def __init__(self, kind: str) -> None:
        """`kind` is what messages call one of them, such as "reward term"."""
        self.kind = kind
        self._things: Dict[str, T] = {}
        self._sources: Dict[str, str] = {}

    def register(self, name: str, thing: T) -> T:
        """Add `thing` under `name`; returns it.

        Raises:
            UserError: the name is taken.

        """
        if name in self._things:
            source = self._sources.get(name, "mapush_stack")
            raise UserError(f"the {self.kind} {name} exists already, from {source}; choose another name")
        self._things[name], self._sources[name] = thing, _source
        return thing

    def names(self) -> List[str]:
        """All names."""
        return list(self._things)

    def __getitem__(self, name: str) -> T:
        """The thing of that name.

        Raises:
            UserError: there is none; the message names the nearest ones.

        """
        if name not in self._things:
            raise UserError(self.unknown(name))
        return self._things[name]

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def unknown(self, name: str) -> str:
        """A message that `name` is unknown, with a suggestion."""
        return f"there is no {self.kind} called {name}; {closest(name, self.names())}"


def closest(name: str, known: Sequence[str]) -> str:
    """A hint: the nearest known name if one is near, else all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"it can be {', '.join(known)}"
