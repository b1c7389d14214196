"""The states of several things as one dictionary of tensors."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Protocol

from torch import Tensor


class Stateful(Protocol):
    """Networks, optimisers, normalisers."""

    def state_dict(self) -> Dict[str, Any]:
        """Tensors by name."""

    def load_state_dict(self, __state: Dict[str, Any]) -> Any:
        """Restore what `state_dict` returned."""


def flatten(parts: Mapping[str, Stateful]) -> Dict[str, Tensor]:
    """The tensors of all parts, named `<part>.<name>`."""
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


def unflatten(parts: Mapping[str, Stateful], state: Dict[str, Tensor]) -> None:
    """Restore what `flatten` returned.

    Raises:
        RuntimeError, KeyError: the tensors are those of other parts.

    """
    for name, part in parts.items():
        prefix = f"{name}."
        part.load_state_dict({key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)})
