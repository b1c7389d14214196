"""Terrains as fields of heights, and as triangles, under the names of `isaacgym.terrain_utils`.

Heights are whole numbers of `vertical_scale` metres; rows and columns are `horizontal_scale` metres apart. Sizes are
given in metres. Every generator changes the terrain in place and returns it.
"""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

__all__ = [
    "SubTerrain", "random_uniform_terrain", "sloped_terrain", "pyramid_sloped_terrain", "discrete_obstacles_terrain",
    "wave_terrain", "stairs_terrain", "pyramid_stairs_terrain", "stepping_stones_terrain",
    "convert_heightfield_to_trimesh",
]  # fmt: skip


class SubTerrain:
    """A piece of terrain: `height_field_raw` `[width, length]`."""

    def __init__(
        self,
        terrain_name: str = "terrain",
        width: int = 256,
        length: int = 256,
        vertical_scale: float = 1.0,
        horizontal_scale: float = 1.0,
    ) -> None:
        self.terrain_name = terrain_name
        self.vertical_scale, self.horizontal_scale = vertical_scale, horizontal_scale
        self.width, self.length = width, length
        self.height_field_raw = np.zeros((width, length), dtype=np.int16)


def _steps(height: float, terrain: Any) -> int:
    return int(height / terrain.vertical_scale)


def _cells(distance: float, terrain: Any) -> int:
    return int(distance / terrain.horizontal_scale)


def _middle(terrain: Any, platform_size: float) -> Tuple[slice, slice]:
    """The rows and columns of a square platform in the middle."""
    half = _cells(0.5 * platform_size, terrain)
    rows, columns = terrain.width // 2, terrain.length // 2
    return slice(max(rows - half, 0), rows + half), slice(max(columns - half, 0), columns + half)


def random_uniform_terrain(
    terrain: Any, min_height: float, max_height: float, step: float = 1, downsampled_scale: Optional[float] = None
) -> Any:
    """Adds heights drawn every `downsampled_scale` metres, in steps of `step`, with straight lines between them."""
    spacing = downsampled_scale or terrain.horizontal_scale
    low, high, stride = _steps(min_height, terrain), _steps(max_height, terrain), max(_steps(step, terrain), 1)
    size = terrain.width * terrain.horizontal_scale, terrain.length * terrain.horizontal_scale
    coarse = [max(int(metres / spacing), 1) for metres in size]
    drawn = np.random.choice(np.arange(low, high + stride, stride), coarse).astype(float)
    places = [np.linspace(0.0, 1.0, count) for count in coarse]
    fine = [np.linspace(0.0, 1.0, count) for count in (terrain.width, terrain.length)]
    columns = np.stack([np.interp(fine[0], places[0], column) for column in drawn.T], axis=1)
    heights = np.stack([np.interp(fine[1], places[1], row) for row in columns])
    terrain.height_field_raw += np.rint(heights).astype(np.int16)
    return terrain


def sloped_terrain(terrain: Any, slope: float = 1) -> Any:
    """Adds a plane that rises along the rows by `slope`, metres a metre."""
    top = slope * terrain.horizontal_scale / terrain.vertical_scale * terrain.width
    rise = (np.arange(terrain.width) / terrain.width * top).astype(np.int16)
    terrain.height_field_raw += rise[:, None]
    return terrain


def pyramid_sloped_terrain(terrain: Any, slope: float = 1, platform_size: float = 1.0) -> Any:
    """Adds a pyramid, a pit for a negative slope, whose top is cut off to a platform."""
    rows, columns = (
        1.0 - np.abs(middle - np.arange(count)) / middle
        for count, middle in ((terrain.width, terrain.width // 2), (terrain.length, terrain.length // 2))
    )
    top = slope * terrain.horizontal_scale / terrain.vertical_scale * terrain.width / 2
    terrain.height_field_raw += (top * np.outer(rows, columns)).astype(np.int16)
    half = _cells(0.5 * platform_size, terrain)
    row, column = max(terrain.width // 2 - half, 0), max(terrain.length // 2 - half, 0)
    edge = int(terrain.height_field_raw[row, column])
    np.clip(terrain.height_field_raw, min(edge, 0), max(edge, 0), out=terrain.height_field_raw)
    return terrain


def discrete_obstacles_terrain(
    terrain: Any, max_height: float, min_size: float, max_size: float, num_rects: int, platform_size: float = 1.0
) -> Any:
    """Sets `num_rects` flat rectangles of four heights and depths anywhere, but not on the platform."""
    height = _steps(max_height, terrain)
    shortest, longest = _cells(min_size, terrain), _cells(max_size, terrain)
    sizes, heights = np.arange(shortest, longest, 4), (-height, -(height // 2), height // 2, height)
    if len(sizes) == 0:
        sizes = np.array([max(shortest, 1)])
    for _ in range(num_rects):
        width, length = (int(np.random.choice(sizes)) for _ in range(2))
        row = int(np.random.choice(np.arange(0, max(terrain.width - width, 1), 4)))
        column = int(np.random.choice(np.arange(0, max(terrain.length - length, 1), 4)))
        terrain.height_field_raw[row : row + width, column : column + length] = np.random.choice(heights)
    terrain.height_field_raw[_middle(terrain, platform_size)] = 0
    return terrain


def wave_terrain(terrain: Any, num_waves: int = 1, amplitude: float = 1.0) -> Any:
    """Adds a cosine along the rows and a sine along the columns, each of half the amplitude."""
    if num_waves <= 0:
        return terrain
    half = int(0.5 * amplitude / terrain.vertical_scale)
    step = 2.0 * np.pi * num_waves / terrain.length
    rows, columns = np.arange(terrain.width) * step, np.arange(terrain.length) * step
    terrain.height_field_raw += (half * (np.cos(columns)[None, :] + np.sin(rows)[:, None])).astype(np.int16)
    return terrain


def stairs_terrain(terrain: Any, step_width: float, step_height: float) -> Any:
    """Adds stairs that rise along the rows."""
    width, height = max(_cells(step_width, terrain), 1), _steps(step_height, terrain)
    stair = np.minimum(np.arange(terrain.width) // width, terrain.width // width - 1) + 1
    terrain.height_field_raw += (stair * height).astype(np.int16)[:, None]
    return terrain


def pyramid_stairs_terrain(terrain: Any, step_width: float, step_height: float, platform_size: float = 1.0) -> Any:
    """Sets a pyramid of stairs, a pit for a negative step height, that ends in a platform."""
    width, height = max(_cells(step_width, terrain), 1), _steps(step_height, terrain)
    room = min(terrain.width, terrain.length) - _cells(platform_size, terrain)
    for stair in range(1, -(-room // (2 * width)) + 1):
        edge = stair * width
        inside = slice(edge, max(terrain.width - edge, 0)), slice(edge, max(terrain.length - edge, 0))
        terrain.height_field_raw[inside] = stair * height
    return terrain


def stepping_stones_terrain(
    terrain: Any,
    stone_size: float,
    stone_distance: float,
    max_height: float,
    platform_size: float = 1.0,
    depth: float = -10,
) -> Any:
    """Sets square stones of random heights in a ground `depth` metres deep, and a platform at height 0."""
    size, gap = max(_cells(stone_size, terrain), 1), _cells(stone_distance, terrain)
    height = _steps(max_height, terrain)
    heights = np.arange(-height - 1, height, 1)
    field = terrain.height_field_raw
    field[:] = _steps(depth, terrain)
    for column in range(0, terrain.length, size + gap):
        for row in range(-int(np.random.randint(0, size)), terrain.width, size + gap):
            field[max(row, 0) : max(row + size, 0), column : column + size] = np.random.choice(heights)
    field[_middle(terrain, platform_size)] = 0
    return terrain


def convert_heightfield_to_trimesh(
    height_field_raw: np.ndarray,
    horizontal_scale: float,
    vertical_scale: float,
    slope_threshold: Optional[float] = None,
) -> Tuple[np.ndarray, np.ndarray]:
    """Vertices `[rows * columns, 3]`, row by row, and two triangles a cell.

    Where a slope is steeper than the threshold, its lower end moves below the upper one, so that it becomes a wall.
    """
    heights = np.asarray(height_field_raw)
    rows, columns = heights.shape
    x, y = np.meshgrid(np.arange(rows) * 1.0, np.arange(columns) * 1.0, indexing="ij")
    if slope_threshold is not None:
        least = slope_threshold * horizontal_scale / vertical_scale
        along_x, along_y = (_to_the_wall(heights, axes, least) for axes in ((1, 0), (0, 1)))
        corner = _to_the_wall(heights, (1, 1), least)
        x += np.where(along_x == 0, corner, along_x)
        y += np.where(along_y == 0, corner, along_y)
    vertices = np.stack((x * horizontal_scale, y * horizontal_scale, heights * vertical_scale), axis=-1)
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    right, below, across = first + 1, first + columns, first + columns + 1
    triangles = np.stack((first, across, right, first, below, across), axis=-1).reshape(-1, 3)
    return vertices.reshape(-1, 3).astype(np.float32), triangles.astype(np.uint32)


def _to_the_wall(heights: np.ndarray, axes: Tuple[int, int], least: float) -> np.ndarray:
    """Cells that each vertex moves along the axes: 1 or -1 towards a neighbour that is higher by more than `least`."""
    rise = heights.astype(np.int64)
    rows, columns = heights.shape
    here = rise[: rows - axes[0], : columns - axes[1]]
    there = rise[axes[0] :, axes[1] :]
    move = np.zeros(heights.shape)
    move[: rows - axes[0], : columns - axes[1]] += there - here > least
    move[axes[0] :, axes[1] :] -= here - there > least
    return move
