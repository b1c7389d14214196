"""Convex outlines of objects, one for all environments or one for each."""

from __future__ import annotations

import torch
from torch import Tensor


def evenly_spaced(vertices: Tensor, count: int) -> Tensor:
    """`count` points evenly spaced along outlines, from the first vertex on, `[..., count, 2]`.

    Args:
        vertices: `[..., V, 2]` m; a vertex may be repeated.
        count: how many points.

    """
    edges = torch.roll(vertices, -1, dims=-2) - vertices
    lengths = torch.linalg.vector_norm(edges, dim=-1)
    ends = lengths.cumsum(-1)
    wanted = ends[..., -1:] * torch.arange(count, device=vertices.device) / count
    edge = torch.searchsorted(ends, wanted.contiguous(), right=True).unsqueeze(-1).clamp_max(vertices.shape[-2] - 1)
    along, length = (values.unsqueeze(-1).gather(-2, edge) for values in (ends, lengths))
    share = 1 - (along - wanted.unsqueeze(-1)) / length
    index = edge.expand(*edge.shape[:-1], 2)
    points: Tensor = vertices.gather(-2, index) + share * edges.gather(-2, index)
    return points
