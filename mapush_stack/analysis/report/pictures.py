"""Episodes from above as coordinates for SVG; the page's style gives the colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, List, NamedTuple, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:
    from ...evaluation.trajectories import Trajectory
    from ...training.config import ExperimentConfig

_HALF_LENGTH, _HALF_WIDTH = 0.28, 0.13
"""Half the size of a robot as it is drawn, m."""
_POINTS = 80
"""Most points of a path."""
_MARGIN = 0.35
"""Floor around everything that is drawn, m."""


class Shape(NamedTuple):
    """A closed outline at a moment of the episode."""

    points: str
    moment: str
    """`start`, `middle`, `end` or `goal`."""


class Picture(NamedTuple):
    """One episode; coordinates in m, y downwards as SVG has it."""

    box: str
    """The SVG's viewBox."""
    target: float
    radius: float
    goal: List[Shape]
    """Outline of the object at the target; empty if the goal is a position."""
    obstacles: List[str]
    """Points of each obstacle's outline."""
    objects: List[Shape]
    path: str
    """Path of the object."""
    robots: List[Tuple[str, List[Shape]]]
    """Path and outlines of each."""
    caption: str
    success: bool


def pictures(trajectories: Sequence[Trajectory], settings: ExperimentConfig) -> List[Picture]:
    """Pictures of episodes, all with the same view of the floor."""
    reach = settings.task.goal_distance
    if not trajectories:
        return []
    low = np.min([one.poses[..., :2].min((0, 1)) for one in trajectories], axis=0)
    high = np.max([np.maximum(one.poses[..., :2].max((0, 1)), (one.target + reach, reach)) for one in trajectories], 0)
    walls = [outline for one in trajectories for outline in one.obstacles] or [low[None]]
    low = np.minimum(np.minimum(low, (-0.85, -reach)), np.min([wall.min(0) for wall in walls], axis=0)) - _MARGIN
    high = np.maximum(high, np.max([wall.max(0) for wall in walls], axis=0)) + _MARGIN
    box = " ".join(f"{number:.2f}" for number in (low[0], -high[1], high[0] - low[0], high[1] - low[1]))
    return [_picture(one, settings, box) for one in trajectories]


def _picture(episode: Trajectory, settings: ExperimentConfig, box: str) -> Picture:
    poses, middle = episode.poses, len(episode.poses) // 2
    moments = {"start": poses[0], "middle": poses[middle], "end": poses[-1]}
    parts = [_part_outline(part) for part in settings.object.body.parts]
    return Picture(
        box=box,
        target=round(episode.target, 3),
        radius=settings.task.goal_distance,
        goal=[] if episode.target_yaw is None else _shapes(parts, "goal", (episode.target, 0.0, episode.target_yaw)),
        obstacles=[_points(outline) for outline in episode.obstacles],
        objects=[shape for name, pose in moments.items() for shape in _shapes(parts, name, pose[0])],
        path=_path(poses[:, 0]),
        robots=[
            (
                _path(poses[:, robot]),
                [Shape(_points(_placed(_robot(), moments[name][robot])), name) for name in ("start", "end")],
            )
            for robot in range(1, poses.shape[1])
        ],
        caption=f"{episode.cause.replace('_', ' ')}, {episode.seconds:.1f} s",
        success=episode.success,
    )


def _shapes(parts: Sequence[np.ndarray], moment: str, pose: Sequence[float]) -> List[Shape]:
    """The object's parts at a pose (x, y, yaw)."""
    return [Shape(_points(_placed(part, pose)), moment) for part in parts]


def _path(poses: np.ndarray) -> str:
    """The path of an object or robot as a polyline."""
    kept = np.unique(np.linspace(0, len(poses) - 1, min(_POINTS, len(poses))).round().astype(int))
    return _points(poses[kept, :2])


def _points(outline: np.ndarray) -> str:
    return " ".join(f"{x:.2f},{-y:.2f}" for x, y in outline)


def _placed(outline: np.ndarray, pose: Sequence[float]) -> np.ndarray:
    """An outline `[K, 2]` at a pose (x, y, yaw)."""
    x, y, yaw = pose
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.asarray(outline @ np.array([[cos, sin], [-sin, cos]]) + (x, y))


def _part_outline(part: Any) -> np.ndarray:
    """A `PartConfig` of the object from above, `[K, 2]` in the object's frame."""
    if part.shape == "cylinder":
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        corners = part.size[0] * np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    else:
        square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        corners = np.array(part.vertices) if part.shape == "prism" else square * part.size[:2]
        corners = _placed(corners, (0.0, 0.0, np.radians(part.yaw)))
    return np.asarray(corners + np.array(part.position[:2]))


def _robot() -> np.ndarray:
    """A robot from above, `[K, 2]`: a rectangle with a pointed head."""
    length, width = _HALF_LENGTH, _HALF_WIDTH
    return np.array([[-length, -width], [0.6 * length, -width], [length, 0], [0.6 * length, width], [-length, width]])
