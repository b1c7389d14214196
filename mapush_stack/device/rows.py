"""Rows of tensors that are changed in place, so that a CUDA graph can hold the change."""

from __future__ import annotations

from typing import Union

import torch
from torch import Tensor


def overwrite(memory: Tensor, rows: Tensor, mask: Tensor, value: Union[Tensor, float]) -> None:
    """Put `value` `[n, ...]`, or a number, into rows `rows` `[n]` of `memory` `[N, ...]` where `mask` `[n]` is true."""
    kept = memory[rows]
    chosen = mask.view(-1, *[1] * (kept.dim() - 1))
    new = value if isinstance(value, Tensor) else torch.full_like(kept, value)
    memory.index_copy_(0, rows, torch.where(chosen, new, kept))
