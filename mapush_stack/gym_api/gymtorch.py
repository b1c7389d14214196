"""Isaac Gym's `gymtorch`: its tensors as torch's."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .simulation import Handle


def wrap_tensor(gym_tensor: Any, offsets: Any = None, counts: Any = None) -> Any:
    """The torch tensor of what `acquire_..._tensor` returned; a live view, no copy."""
    tensor = gym_tensor.wrap() if isinstance(gym_tensor, Handle) else gym_tensor
    if tensor is None or offsets is None:
        return tensor
    return tensor[tuple(slice(first, first + count) for first, count in zip(offsets, counts))]


def unwrap_tensor(torch_tensor: Tensor) -> Tensor:
    """What a setter takes; Isaac Gym wants contiguous tensors.

    Raises:
        ValueError: the tensor is not contiguous.

    """
    if not torch_tensor.is_contiguous():
        raise ValueError("unwrap_tensor takes contiguous tensors: call .contiguous() first")
    return torch_tensor
