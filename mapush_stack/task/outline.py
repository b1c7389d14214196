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


def narrowest(vertices: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Least widths of outlines `[..., V, 2]`, and how they lie there, `[...]` each.

    Returns:
        Width, m; direction of the edge that it is across, rad; how far to the left of the origin its middle is, seen
        in that direction, m.

    """
    edges = torch.roll(vertices, -1, dims=-2) - vertices
    lengths = torch.linalg.vector_norm(edges, dim=-1)
    x, y = (part.unsqueeze(-2) for part in vertices.unbind(-1))
    left = (edges[..., :1] * y - edges[..., 1:] * x) / lengths.clamp_min(1e-9).unsqueeze(-1)  # `[..., edge, vertex]`
    high, low = left.amax(-1), left.amin(-1)
    width, edge = torch.where(lengths > 1e-6, high - low, torch.full_like(high, math.inf)).min(-1, keepdim=True)
    direction = torch.atan2(edges[..., 1], edges[..., 0])
    middle = 0.5 * (high + low)
    return width.squeeze(-1), direction.gather(-1, edge).squeeze(-1), middle.gather(-1, edge).squeeze(-1)


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
