"""Planar geometry, and the measures from which rewards, ends and metrics are computed."""

from __future__ import annotations

import math
from typing import Any, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from .config import TaskConfig
from .state import SimState


def rotate(vector: Tensor, angle: Tensor) -> Tensor:
    """Rotate planar vectors counter-clockwise: `[..., 2]` by `[...]` rad."""
    return rotate_by(vector, torch.cos(angle), torch.sin(angle))


def rotate_by(vector: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate planar vectors `[..., 2]` by angles given as cosine and sine `[...]`."""
    x, y = vector.unbind(-1)
    return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=-1)


def wrap_to_pi(angle: Tensor) -> Tensor:
    """Angles in [-pi, pi), rad."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Scalar products `[...]` of planar vectors `[..., 2]`: on a CPU three times as fast as a sum over two numbers."""
    return one[..., 0] * other[..., 0] + one[..., 1] * other[..., 1]


def nearest_edge_normal(vertices: Tensor, point: Tensor) -> Tensor:
    """Inward unit normal of the polygon edge nearest to each point (docs/task.md section 9).

    The distance to an edge is that to the line where the foot of the perpendicular lies on the edge, else that to
    the nearer end point; the first edge wins ties.

    Args:
        vertices: `[V, 2]`, counter-clockwise, m; or `[N, V, 2]`, of which each may be repeated.
        point: `[..., 2]`, m; with `[N, V, 2]` vertices `[..., N, A, 2]`.

    Returns:
        `[..., 2]` unit vectors.

    """
    if vertices.dim() == 3:
        vertices = vertices.unsqueeze(1)
    edge = torch.roll(vertices, -1, dims=-2) - vertices
    length = torch.linalg.vector_norm(edge, dim=-1, keepdim=True)
    direction = edge / length.clamp_min(1e-9)
    inward = torch.stack((-direction[..., 1], direction[..., 0]), dim=-1)
    from_start = point.unsqueeze(-2) - vertices
    from_end = torch.roll(from_start, -1, dims=-2)
    to_line = _dot(from_start, inward).abs()
    before_start, behind_end = _dot(from_start, edge) < 0, _dot(from_end, edge) > 0
    # Two edges that share the nearest corner must tie exactly, so that the distance to a corner is computed once.
    to_start = torch.linalg.vector_norm(from_start, dim=-1)
    to_end = torch.roll(to_start, -1, dims=-1)
    distance = torch.where(before_start, to_start, torch.where(behind_end, to_end, to_line))
    if vertices.dim() == 2:
        return inward[distance.argmin(-1)]
    nearest = (distance + 1e9 * (length.squeeze(-1) < 1e-6)).argmin(-1)  # no edge between repeated vertices
    return torch.take_along_dim(inward.expand(*distance.shape, 2), nearest[..., None, None], dim=-2).squeeze(-2)


class Measures(NamedTuple):
    """Distances and directions of one state; leading dimensions `...` are those of the state."""

    target_distance: Tensor
    """`[...]` planar distance from object to target (d), m."""
    robot_distance: Tensor
    """`[..., A]` 3-D distance from each robot's base to the object's frame (D), m."""
    planar_robot_distance: Tensor
    """`[..., A]` the same in the plane, m."""
    pair_distance: Tensor
    """`[..., P]` 3-D distance between the bases of each pair of robots, in the order of `robot_pairs`, m."""
    occlusion: Tensor
    """`[..., A]` n . u: +1 for a robot behind the object as seen from the target, -1 in front of it."""
    object_speed: Tensor
    """`[...]` planar speed of the object's frame, m/s."""
    angle_error: Tensor
    """`[...]` angle from the object's yaw to the nearest that looks like the target's, times `urgency`, rad; 0 if the
    target has none."""

    def at(self, index: Any) -> Measures:
        """Every tensor indexed by `index` along its leading dimensions."""
        return Measures(*(tensor[index] for tensor in self))


def robot_pairs(num_robots: int) -> List[Tuple[int, int]]:
    """Index pairs (i, j), i < j, of the team."""
    return [(i, j) for i in range(num_robots) for j in range(i + 1, num_robots)]


def pair_distances(robot_pos: Tensor, here: Optional[Tensor] = None) -> Tensor:
    """Distances `[..., P]` of all pairs of positions `[..., A, 3]`, m, ordered as `robot_pairs`.

    Infinite for a pair with a robot where `here` `[..., A]` bool is false.
    """
    robots, pairs = robot_pos.unbind(-2), robot_pairs(robot_pos.shape[-2])
    if not pairs:
        return robot_pos.new_zeros((*robot_pos.shape[:-2], 0))
    distances = torch.stack([torch.linalg.vector_norm(robots[i] - robots[j], dim=-1) for i, j in pairs], dim=-1)
    if here is None:
        return distances
    both = torch.stack([here[..., i] & here[..., j] for i, j in pairs], dim=-1)
    return distances.masked_fill(~both, math.inf)


def turn_left(state: SimState, target: Tensor) -> Tensor:
    """Yaw of a target pose minus the object's, `[...]` rad, not wrapped."""
    return target[..., 2] - state.object_rpy[..., 2]


def angle_between(symmetry_fold: int, turn: Tensor) -> Tensor:
    """Smallest angle by which an object must turn to look as after a turn by `turn` `[...]`, rad; 0 if it is round."""
    if not symmetry_fold:
        return torch.zeros_like(turn)
    return wrap_to_pi(symmetry_fold * turn).abs() / symmetry_fold


def urgency(config: TaskConfig, target: Tensor) -> Tensor:
    """How much a target's yaw matters, `[...]`: 1 in a narrow gap and for a pose, 0 where anything does."""
    return target[..., 3] if config.obstacles.aligned else torch.ones_like(target[..., 0])


def measure(
    config: TaskConfig,
    vertices: Tensor,
    state: SimState,
    target: Tensor,
    symmetry_fold: int = 1,
    here: Optional[Tensor] = None,
) -> Measures:
    """The measures of a state.

    Args:
        config: has the goal, and switches of the occlusion measure.
        vertices: `[V, 2]` the object's outline in its own frame, m.
        state: `[...]`
        target: `[..., 2]` in the arena frame, m; `[..., 3]` with the target's yaw, rad; see `urgency`.
        symmetry_fold: rotations that leave the object unchanged, see `ObjectTask`.
        here: `[..., A]` bool, see `pair_distances`.

    """
    to_robot = state.robot_pos - state.object_pos.unsqueeze(-2)
    to_target = target[..., :2] - state.object_pos[..., :2]
    turn = torch.zeros_like(to_target[..., 0])
    if config.turned:
        turn = urgency(config, target) * angle_between(symmetry_fold, turn_left(state, target))
    return Measures(
        target_distance=torch.linalg.vector_norm(to_target, dim=-1),
        robot_distance=torch.linalg.vector_norm(to_robot, dim=-1),
        planar_robot_distance=torch.linalg.vector_norm(to_robot[..., :2], dim=-1),
        pair_distance=pair_distances(state.robot_pos, here),
        occlusion=occlusion(config, vertices, to_robot[..., :2], to_target, state.object_rpy[..., 2]),
        object_speed=torch.linalg.vector_norm(state.object_lin_vel[..., :2], dim=-1),
        angle_error=turn,
    )


def occlusion(config: TaskConfig, vertices: Tensor, to_robot: Tensor, to_target: Tensor, object_yaw: Tensor) -> Tensor:
    """The occlusion measure n . u of each robot (docs/task.md section 9, OCB), `[..., A]`.

    Args:
        vertices: `[V, 2]` the object's outline in its own frame, counter-clockwise, m.
        to_robot: `[..., A, 2]` object to robot, arena frame, m.
        to_target: `[..., 2]` object to target, arena frame, m.
        object_yaw: `[...]` rad.

    """
    offset = 0.01 if config.ocb_expanded else 0.0
    direction = to_target / torch.linalg.vector_norm(to_target + offset, dim=-1, keepdim=True).clamp_min(1e-9)
    if config.ocb_expanded:
        # The target's yaw is 0, so that the difference of yaws is minus the object's.
        direction = rotate(direction, -0.5 * wrap_to_pi(-object_yaw))
    cos, sin = torch.cos(object_yaw).unsqueeze(-1), torch.sin(object_yaw).unsqueeze(-1)
    normal = rotate_by(nearest_edge_normal(vertices, rotate_by(to_robot, cos, -sin)), cos, sin)
    return _dot(normal, direction.unsqueeze(-2))
