"""Convex outlines of objects, one for all environments or one for each."""

from __future__ import annotations

import math
from typing import Tuple

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


def narrowest(vertices: Tensor) -> Tuple[Tensor, Tensor]:
    """Least widths of outlines `[..., V, 2]`, m, and the directions of the edges they are across, rad; `[...]` each."""
    edges = torch.roll(vertices, -1, dims=-2) - vertices
    lengths = torch.linalg.vector_norm(edges, dim=-1)
    offset = vertices.unsqueeze(-3) - vertices.unsqueeze(-2)
    across = edges[..., :1] * offset[..., 1] - edges[..., 1:] * offset[..., 0]  # `[..., V, V]`: edge, vertex
    widths = (across.amax(-1) - across.amin(-1)) / lengths.clamp_min(1e-9)
    width, edge = torch.where(lengths > 1e-6, widths, torch.full_like(widths, math.inf)).min(-1)
    x, y = edges.gather(-2, edge[..., None, None].expand(*edge.shape, 1, 2)).squeeze(-2).unbind(-1)
    return width, torch.atan2(y, x)


def repeated(vertices: Tensor, count: int) -> Tensor:
    """Outlines `[..., V, 2]` with the last vertex repeated, `[..., count, 2]`."""
    missing = count - vertices.shape[-2]
    return torch.cat((vertices, vertices[..., -1:, :].expand(*vertices.shape[:-2], missing, 2)), dim=-2)


def convex_hull(points: Tensor) -> Tensor:
    """Convex outlines of `[N, K, 2]` points, `[N, K, 2]`: counter-clockwise, then the first vertex again and again."""
    rows = torch.arange(len(points), device=points.device)
    lowest = torch.argmin(points[..., 1] + 1e-6 * points[..., 0], dim=1)
    first = points[rows, lowest]
    hull, closed = [first], torch.zeros_like(rows, dtype=torch.bool)
    slack = 1e-9 * points.abs().amax((1, 2)) ** 2
    while len(hull) < points.shape[1]:
        here, chosen = hull[-1], hull[-1]
        if bool(closed.all()):
            hull.append(first)
            continue
        for point in points.unbind(1):
            one, other = chosen - here, point - here
            side = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
            further = (side.abs() <= slack) & ((other**2).sum(-1) > (one**2).sum(-1))
            chosen = torch.where(((side < -slack) | further).unsqueeze(-1), point, chosen)
        closed = closed | ((chosen - first) ** 2).sum(-1).le(slack)
        hull.append(torch.where(closed.unsqueeze(-1), first, chosen))
    return torch.stack(hull, dim=1)
