"""The states of several things as one dictionary of tensors."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from torch import Tensor, nn

from ..system.tensor_file import check_state


def flatten(parts: Mapping[str, Any]) -> Dict[str, Tensor]:
    """The `state_dict` of every part, with names `<part>.<name>`."""
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


def check_finite(state: Mapping[str, Tensor]) -> None:
    """Raise `RuntimeError` if a tensor holds a number that is NaN or infinite."""
    for name, value in state.items():
        if not bool(value.isfinite().all()):
            raise RuntimeError(f"{name} holds numbers that are not finite")


def unflatten(parts: Mapping[str, Any], state: Dict[str, Tensor]) -> None:
    """Restore what `flatten` returned.

    Raises:
        RuntimeError, KeyError: the tensors are those of other parts, or weights are not finite.

    """
    for name, part in parts.items():
        prefix = f"{name}."
        given = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        check_state(prefix, part.state_dict(), given)
        if isinstance(part, nn.Module):
            check_finite({f"{prefix}{key}": value for key, value in given.items()})
        part.load_state_dict(given)
