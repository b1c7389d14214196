"""The ground: planes, triangle meshes and height fields as MuJoCo's planes, boxes and height fields.

MuJoCo has no triangle mesh that is not convex. A mesh that is a box stays one. A mesh over a grid, as
`convert_heightfield_to_trimesh` makes it, becomes a plane where it is flat, boxes where a few flat blocks stand on it,
and a height field otherwise; so does a surface of any triangles. Everything below a plane is dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from .support import UnsupportedError
from .types import HeightFieldParams, PlaneParams, TriangleMeshParams

_MOST_BOXES = 64
"""A grid of more blocks becomes a height field."""
_MOST_CORNERS = 1000
"""A mesh of more points is no box; a grid can have millions, which take minutes to compare."""
_DENSE = 0.1
"""m between the heights that are taken of a surface of triangles, at most."""
_MOST_SAMPLES = 4_000_000
"""Heights that are taken of a surface of triangles."""
_DEEP = 1.0
"""m that blocks reach below their foot, so that nothing is pushed through them."""
_SAME = 1e-4
"""Heights that differ by less are equal, m."""


class Surface(NamedTuple):
    """What the ground does to shapes on it."""

    friction: float
    restitution: float


@dataclass
class Piece:
    """A part of the ground."""

    surface: Surface


@dataclass
class Plane(Piece):
    """An endless floor through `pos` with `normal`."""

    pos: np.ndarray
    normal: np.ndarray


@dataclass
class Block(Piece):
    """A box with sides along the axes."""

    low: np.ndarray
    high: np.ndarray


@dataclass
class Field(Piece):
    """Heights `[rows, columns]`, m, over a rectangle: rows along y from `low`, columns along x."""

    heights: np.ndarray
    low: np.ndarray
    """`[2]` the corner with the smallest x and y."""
    high: np.ndarray


class Grid(NamedTuple):
    """A mesh over a grid: places and heights `[nx, ny]`, m; x grows with the first index."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray


def from_plane(params: PlaneParams) -> Plane:
    """The plane of `add_ground`."""
    normal = np.array(tuple(params.normal))
    normal = normal / np.linalg.norm(normal)
    surface = Surface(float(params.static_friction), float(params.restitution))
    return Plane(surface, normal * -float(params.distance), normal)


def from_mesh(vertices: np.ndarray, triangles: np.ndarray, params: TriangleMeshParams) -> List[Piece]:
    """The pieces of `add_triangle_mesh`.

    Raises:
        UnsupportedError: it is neither a box nor a grid.

    """
    place = params.transform
    if tuple(place.r) != (0.0, 0.0, 0.0, 1.0):
        raise UnsupportedError("a turned triangle mesh of the ground", "turn its vertices instead")
    points = np.asarray(vertices, dtype=np.float64).reshape(-1, 3) + np.array(tuple(place.p))
    faces = np.asarray(triangles).reshape(-1, 3)
    surface = Surface(float(params.static_friction), float(params.restitution))
    box = _box(points)
    if box is not None:
        return [Block(surface, *box)]
    grid = _grid(points, faces) or _sampled(points, faces)
    if grid is None:
        raise UnsupportedError(
            "a triangle mesh of the ground that is neither a box nor a surface with one height at each place",
            "use add_heightfield, or one mesh a box",
        )
    return _pieces(grid, surface)


def from_heights(samples: np.ndarray, params: HeightFieldParams) -> List[Piece]:
    """The pieces of `add_heightfield`; the grid runs along x with the samples' first index, as legged_gym means it."""
    rows, columns = int(params.nbColumns), int(params.nbRows)
    heights = np.asarray(samples, dtype=np.float64).reshape(rows, columns) * float(params.vertical_scale)
    origin = params.transform.p
    x = origin.x + np.arange(rows)[:, None] * float(params.row_scale) + np.zeros((1, columns))
    y = origin.y + np.arange(columns)[None, :] * float(params.column_scale) + np.zeros((rows, 1))
    surface = Surface(float(params.static_friction), float(params.restitution))
    return _pieces(Grid(x, y, heights + origin.z), surface)


def simplify(pieces: List[Piece]) -> List[Piece]:
    """The ground as a whole: a flat piece up to all edges is an endless plane; what lies below one is dropped."""
    boxes = [(piece, *_extent(piece)) for piece in pieces if not isinstance(piece, Plane)]
    planes: List[Plane] = [piece for piece in pieces if isinstance(piece, Plane)]
    if boxes:
        low = np.min([one[1] for one in boxes], axis=0)
        high = np.max([one[2] for one in boxes], axis=0)
        for piece, first, last in boxes:
            covers = np.all(first[:2] <= low[:2] + 0.2) and np.all(last[:2] >= high[:2] - 0.2)
            if isinstance(piece, Block) and covers:
                planes.append(Plane(piece.surface, np.array([0.0, 0.0, last[2]]), np.array([0.0, 0.0, 1.0])))
    level = [plane for plane in planes if plane.normal[2] > 1 - 1e-9]
    highest = max(level, key=lambda plane: float(plane.pos[2]), default=None)
    top = -np.inf if highest is None else float(highest.pos[2])
    kept: List[Piece] = [plane for plane in planes if plane is highest or plane not in level]
    kept += [piece for piece, _, last in boxes if last[2] > top + _SAME]
    floor = min([one[1][2] for one in boxes], default=top)
    for piece in kept:
        if isinstance(piece, Block) and piece.low[2] <= max(floor, top) + 0.05:
            piece.low = piece.low - np.array([0.0, 0.0, _DEEP])
    return kept


def _extent(piece: Any) -> Tuple[np.ndarray, np.ndarray]:
    if isinstance(piece, Block):
        return piece.low, piece.high
    heights = piece.heights
    return np.append(piece.low, heights.min()), np.append(piece.high, heights.max())


def _box(points: np.ndarray) -> Optional[Tuple[np.ndarray, np.ndarray]]:
    """The corners of the box whose eight corners these points are; None if they are not."""
    if len(points) > _MOST_CORNERS:
        return None
    corners = np.unique(points.round(6), axis=0)
    low, high = points.min(axis=0), points.max(axis=0)
    at_corner = (np.abs(points - low) < 1e-5) | (np.abs(points - high) < 1e-5)
    return (low, high) if len(corners) == 8 and at_corner.all() else None


def _grid(points: np.ndarray, faces: np.ndarray) -> Optional[Grid]:
    """The grid that `convert_heightfield_to_trimesh` made a mesh of; None if it is none."""
    count = len(points)
    # The first square of such a mesh is (0, ny + 1, 1) and (0, ny, ny + 1).
    columns = int(faces[0].max()) - 1 if len(faces) else 0
    if columns < 2 or count % columns or len(faces) != 2 * (count // columns - 1) * (columns - 1):
        return None
    x, y, z = (points[:, axis].reshape(-1, columns) for axis in range(3))
    return Grid(x, y, z) if x.shape[0] >= 2 else None


def _sampled(points: np.ndarray, faces: np.ndarray) -> Optional[Grid]:
    """Heights of a surface of triangles on a regular grid; None if it has walls or layers.

    They are taken as densely as its nearest points lie, and every `_DENSE`; at most `_MOST_SAMPLES` of them.
    """
    corners = points[faces]
    edges = corners[:, 1:, :2] - corners[:, :1, :2]
    areas = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    covered, whole = 0.5 * float(np.abs(areas).sum()), float(np.prod(high - low))
    flat = np.abs(areas) < 1e-9
    if np.ptp(corners[flat, :, 2], axis=1).max(initial=0.0) > _SAME or abs(covered - whole) > 1e-3 * whole:
        return None
    nearest = min(np.diff(np.unique(points[:, axis].round(5))).min() for axis in range(2))
    cell = max(nearest / math.ceil(nearest / _DENSE - 0.01), math.sqrt(whole / _MOST_SAMPLES))
    x, y = (np.linspace(low[axis], high[axis], round((high[axis] - low[axis]) / cell) + 1) for axis in range(2))
    heights = np.full((len(x), len(y)), np.nan)
    steps = np.array([x[1] - x[0], y[1] - y[0]])
    for (a, b, c), (along, across), area in zip(corners[~flat], edges[~flat], areas[~flat]):
        first = np.ceil((np.min((a, b, c), axis=0)[:2] - low) / steps - 1e-6).astype(int)
        last = np.floor((np.max((a, b, c), axis=0)[:2] - low) / steps + 1e-6).astype(int) + 1
        spot = (slice(first[0], last[0]), slice(first[1], last[1]))
        dx, dy = x[spot[0], None] - a[0], y[None, spot[1]] - a[1]
        u, v = (dx * across[1] - dy * across[0]) / area, (dy * along[0] - dx * along[1]) / area
        inside = (u > -1e-6) & (v > -1e-6) & (u + v < 1 + 1e-6)
        heights[spot] = np.where(inside, a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2]), heights[spot])
    if np.isnan(heights).any():
        return None
    return Grid(*np.meshgrid(x, y, indexing="ij"), heights)


def _pieces(grid: Grid, surface: Surface) -> List[Piece]:
    """A flat floor with blocks on it, or a height field."""
    base = float(grid.z.min())
    low, high = (np.array([pick(grid.x), pick(grid.y)]) for pick in (np.min, np.max))
    raised = grid.z > base + _SAME
    if not raised.any():
        return [_slab(surface, low, high, base)]
    blocks = _blocks(grid, raised)
    if blocks is None:
        return [_field(grid, surface, low, high)]
    return [_slab(surface, low, high, base), *(Block(surface, *block) for block in blocks)]


def _slab(surface: Surface, low: np.ndarray, high: np.ndarray, top: float) -> Block:
    return Block(surface, np.append(low, top - 0.02), np.append(high, top))


def _blocks(grid: Grid, raised: np.ndarray) -> Optional[List[Tuple[np.ndarray, np.ndarray]]]:
    """Corners of boxes that the raised places fill; None if they are not flat, or too many."""
    level = np.where(raised, grid.z, np.nan)
    corners = np.stack([level[i : i + len(level) - 1, j : j + level.shape[1] - 1] for i in (0, 1) for j in (0, 1)])
    flat = np.ptp(corners, axis=0) < _SAME  # of a square; not a number where one of its corners is not raised
    found = _rectangles(np.where(flat, corners[0], np.nan))
    covered = np.zeros_like(raised)
    for i, end, j, last in found or []:
        covered[i : end + 1, j : last + 1] = True
    lines = _rectangles(np.where(covered, np.nan, level))
    if found is None or lines is None or len(found) + len(lines) > _MOST_BOXES:
        return None
    return [_corners(grid, i, end + 1, j, last + 1) for i, end, j, last in found] + [
        _corners(grid, *line) for line in lines
    ]


def _rectangles(level: np.ndarray) -> Optional[List[Tuple[int, int, int, int]]]:
    """Rectangles of one height that cover all that is a number: (first, end, first, end); None if too many."""
    todo = np.isfinite(level)
    found: List[Tuple[int, int, int, int]] = []
    while todo.any():
        if len(found) == _MOST_BOXES:
            return None
        i, j = (int(first) for first in np.unravel_index(np.argmax(todo), todo.shape))
        same = todo & (np.abs(level - level[i, j]) < _SAME)
        last = j + int(np.argmin(np.append(same[i, j:], False)))
        end = i + int(np.argmin(np.append(same[i:, j:last].all(axis=1), False)))
        todo[i:end, j:last] = False
        found.append((i, end, j, last))
    return found


def _corners(grid: Grid, i: int, end: int, j: int, last: int) -> Tuple[np.ndarray, np.ndarray]:
    """The box under the places `[i:end, j:last]`, down to the lowest of the grid."""
    cell = [float(np.ptp(axis)) / max(1, axis.shape[k] - 1) for k, axis in enumerate((grid.x, grid.y))]
    sides = [_side(axis[i:end, j:last], cell[k]) for k, axis in enumerate((grid.x, grid.y))]
    low, high = [side[0] for side in sides], [side[1] for side in sides]
    return np.array([*low, grid.z.min()]), np.array([*high, grid.z[i, j]])


def _side(places: np.ndarray, cell: float) -> Tuple[float, float]:
    """From where to where a block reaches; one that is a single line wide gets the width of a cell."""
    low, high = float(places.min()), float(places.max())
    return (low, high) if high - low > 1e-6 else (low - 0.5 * cell, high + 0.5 * cell)


def _field(grid: Grid, surface: Surface, low: np.ndarray, high: np.ndarray) -> Field:
    return Field(surface, np.ascontiguousarray(grid.z.T), low, high)
