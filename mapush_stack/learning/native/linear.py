"""The layer that all networks are made of."""

from __future__ import annotations

import torch
from torch import nn


def orthogonal(inputs: int, outputs: int, gain: float, generator: torch.Generator) -> nn.Linear:
    """A linear layer with orthogonal weights (Saxe et al., 2014) and zero biases."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        # nn.init.orthogonal_ takes a generator only in newer torch; this is the same algorithm.
        rows, columns = max(inputs, outputs), min(inputs, outputs)
        q, r = torch.linalg.qr(torch.randn(rows, columns, generator=generator))
        q = q * torch.diagonal(r).sign()
        layer.weight.copy_(gain * (q if outputs >= inputs else q.T))
        layer.bias.zero_()
    return layer
