"""What a robot observes: the published layout and three that a network reads more easily.

All hold the information of the published 2 + 3A numbers (docs/task.md section 5): planar positions in the robot's
heading frame and relative headings, no velocities. `sets` says the object's shape instead of its yaw. The layouts
without wrapped angles also say how each number changes when the world is reflected about the robot's heading, which a
mirror-equivariant actor needs.
"""

from __future__ import annotations

import math
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..registry import Registry
from .config import ObjectTask, TaskConfig
from .geometry import rotate, rotate_by, turn_left, urgency
from .outline import evenly_spaced
from .robot import RobotTask
from .state import SimState
from .way import MIRROR, seen_by_robots

Signs = Optional[Tuple[float, ...]]


class Tokens(NamedTuple):
    """How the numbers of a field describe the members of a set: a token for each, one after the other."""

    name: str
    members: int
    present: Optional[int] = None
    """Which number of a token is 1 if the member is here, else 0; None if all are."""


class Field(NamedTuple):
    """Some numbers of an observation."""

    values: Tensor
    """`[..., A, k]`"""
    mirror: Signs
    """Sign of each number under reflection about the robot's heading; None where no sign expresses it."""
    tokens: Optional[Tokens] = None
    """None if the numbers are no tokens of a set."""
    present: bool = False
    """True for the number that is 1 if the robot itself is here, else 0."""


class Relative(NamedTuple):
    """The published quantities, in each robot's heading frame."""

    target: Tensor
    """`[..., A, 2]` m"""
    object: Tensor
    """`[..., A, 2]` m"""
    object_yaw: Tensor
    """`[..., A]` rad, not wrapped"""
    others: List[Tensor]
    """A - 1 of `[..., A, 2]` m: robot j's list is j - 1, j - 2, ... (mod A)"""
    other_yaws: List[Tensor]
    """A - 1 of `[..., A]` rad, not wrapped"""
    outline: Tensor
    """`[..., V, 2]` points of the outline in the object's frame, m; `[V, 2]` if all objects are alike"""
    here: Tensor
    """`[..., A]` 1 for a robot that is here, 0 for one that is taken away"""


def relative(state: SimState, target: Tensor, robot_yaw: Tensor, outline: Tensor, here: Tensor) -> Relative:
    """Positions and headings relative to each robot, whose heading is `robot_yaw` `[..., A]`."""
    xy = state.robot_pos[..., :2]
    shifts = range(1, xy.shape[-2])
    seen = [target[..., :2].unsqueeze(-2).expand_as(xy), state.object_pos[..., :2].unsqueeze(-2).expand_as(xy)]
    seen += [torch.roll(xy, shift, dims=-2) for shift in shifts]
    offsets = torch.stack(seen) - xy
    target, target_object, *others = rotate_by(offsets, torch.cos(robot_yaw), -torch.sin(robot_yaw)).unbind(0)
    return Relative(
        target=target,
        object=target_object,
        object_yaw=state.object_rpy[..., 2].unsqueeze(-1) - robot_yaw,
        others=others,
        other_yaws=[torch.roll(robot_yaw, shift, dims=-1) - robot_yaw for shift in shifts],
        outline=outline,
        here=here,
    )


def published(seen: Relative, target_object: ObjectTask) -> List[Field]:
    """Upstream's layout: angles in [0, 2 pi), no scaling."""

    def wrapped(angle: Tensor) -> Field:
        return Field(torch.remainder(angle, 2 * math.pi).unsqueeze(-1), None)

    fields = [_vector(seen.target), _vector(seen.object), wrapped(seen.object_yaw)]
    for other, yaw in zip(seen.others, seen.other_yaws):
        fields += [_vector(other), wrapped(yaw)]
    return fields


def cos_sin(seen: Relative, target_object: ObjectTask) -> List[Field]:
    """The published layout with each angle as its cosine and sine."""
    # Reflection turns the mirror axis at yaw + axis into its negative: yaw becomes -yaw - 2 axis.
    sign = 1.0 if target_object.mirror_axis == 0 else -1.0
    yaw = seen.object_yaw
    turned = torch.stack((torch.cos(yaw), torch.sin(yaw)), dim=-1)
    fields = [_vector(seen.target), _vector(seen.object), Field(turned, (sign, -sign))]
    for other, other_yaw in zip(seen.others, seen.other_yaws):
        fields += [_vector(other), _direction(other_yaw)]
    return fields


def features(seen: Relative, target_object: ObjectTask) -> List[Field]:
    """The same information in the object's frame and in the target's frame.

    Both have their origin at the object. The target frame's x axis points to the target, the object frame's along the
    object's mirror axis.
    """
    to_target = seen.target - seen.object
    distance = torch.linalg.vector_norm(to_target, dim=-1, keepdim=True).clamp_min(1e-6)
    direction = to_target / distance
    axis = seen.object_yaw + math.radians(target_object.mirror_axis)
    cos, sin = torch.cos(axis), torch.sin(axis)
    fold = target_object.symmetry_fold
    bearing = torch.atan2(direction[..., 1], direction[..., 0])
    from_object = torch.stack([-seen.object] + [other - seen.object for other in seen.others])
    own, *others = rotate_by(from_object, direction[..., 0], -direction[..., 1]).unbind(0)
    fields = [
        _vector(seen.target),
        _vector(seen.object),
        _vector(direction),
        Field(distance, (1.0,)),
        Field(torch.linalg.vector_norm(seen.object, dim=-1, keepdim=True), (1.0,)),
        _vector(own),
        _vector(rotate_by(from_object[0], cos, -sin)),
        _direction(fold * axis),
        _direction(fold * (axis - bearing)),
    ]
    for other, yaw, from_target_frame in zip(seen.others, seen.other_yaws, others):
        fields += [_vector(other), _direction(yaw), _vector(from_target_frame)]
    return fields


def sets(seen: Relative, target_object: ObjectTask) -> List[Field]:
    """Numbers of the robot itself, a token for each other robot, and one for each point of the object's outline.

    Nothing depends on the object's name or on the number of robots but how many tokens there are. The target frame is
    that of `features`.
    """
    to_target = seen.target - seen.object
    distance = torch.linalg.vector_norm(to_target, dim=-1, keepdim=True).clamp_min(1e-6)
    direction = to_target / distance
    cos, sin = direction[..., 0], -direction[..., 1]
    points = rotate(seen.outline.unsqueeze(-3), seen.object_yaw.unsqueeze(-1))
    outline = (points + seen.object.unsqueeze(-2), rotate_by(points, cos.unsqueeze(-1), sin.unsqueeze(-1)))
    return [
        _vector(seen.target),
        _vector(seen.object),
        _vector(direction),
        Field(distance, (1.0,)),
        Field(torch.linalg.vector_norm(seen.object, dim=-1, keepdim=True), (1.0,)),
        _vector(rotate_by(-seen.object, cos, sin)),
        Field(seen.here.expand_as(seen.object_yaw).unsqueeze(-1), (1.0,), present=True),
        _others(seen, direction),
        _tokens("outline", torch.cat(outline, dim=-1), (1.0, -1.0) * 2),
    ]


def _others(seen: Relative, direction: Tensor) -> Field:
    """A token for each other robot: place and heading in the heading frame, place in the target frame, 1 if it is here.

    All zeros for a robot that is not here, as in the only token of a robot that is alone.
    """
    if not seen.others:
        return _tokens("robots", seen.object.new_zeros(*seen.object.shape[:-1], 1, 7), _ROBOT_MIRROR, present=6)
    place, yaw = torch.stack(seen.others, dim=-2), torch.stack(seen.other_yaws, dim=-1)
    heading = torch.stack((torch.cos(yaw), torch.sin(yaw)), dim=-1)
    cos, sin = direction[..., :1], -direction[..., 1:]
    from_target = rotate_by(place - seen.object.unsqueeze(-2), cos, sin)
    shifts = range(1, len(seen.others) + 1)
    here = torch.stack([torch.roll(seen.here, shift, dims=-1) for shift in shifts], dim=-1).unsqueeze(-1)
    here = here.expand_as(place[..., :1])
    values = torch.cat((place, heading, from_target, torch.ones_like(here)), dim=-1) * here
    return _tokens("robots", values, _ROBOT_MIRROR, present=6)


_ROBOT_MIRROR = (1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0)


def _tokens(name: str, values: Tensor, mirror: Tuple[float, ...], present: Optional[int] = None) -> Field:
    """A field of tokens `[..., A, count, size]`."""
    count = values.shape[-2]
    return Field(values.flatten(-2), mirror * count, Tokens(name, count, present))


Layout = Callable[[Relative, ObjectTask], List[Field]]
LAYOUTS: Registry[Layout] = Registry("observation layout")
"""What an observation is made of, by the name in `task.observation`."""
for _layout in (published, cos_sin, features, sets):
    LAYOUTS.register(_layout.__name__, _layout)


def observe(
    config: TaskConfig,
    target_object: ObjectTask,
    state: SimState,
    target: Tensor,
    robot_yaw: Optional[Tensor] = None,
    outline: Optional[Tensor] = None,
    here: Optional[Tensor] = None,
) -> Tensor:
    """Observations `[..., A, D]` of a state with targets `[..., 2]`.

    First the layout's numbers, then those of `turning` if targets have a yaw, those of `way.seen_by_robots` if
    obstacles are observed, what the robot senses of itself, and zeros up to the widest robot's size. Targets with a yaw
    are `[..., 3]`; `urgency` and `way` say what may follow.

    Args:
        config: has the layout.
        target_object: the object.
        state: robots and object.
        target: where the object should be.
        robot_yaw: `[..., A]` replaces the robots' headings, which is upstream's stale frame after a reset.
        outline: `[V, 2]` or `[..., V, 2]` from `outline_of`, without it that of `target_object`.
        here: `[..., A]` 0 for robots that are taken away; without it all are here.

    """
    yaw = state.robot_rpy[..., 2] if robot_yaw is None else robot_yaw
    outline = outline_of(config, torch.tensor(target_object.vertices).to(yaw)) if outline is None else outline
    here = torch.ones_like(yaw) if here is None else here
    fields = LAYOUTS[config.observation](relative(state, target, yaw, outline, here), target_object)
    values = [field.values for field in fields]
    if config.turned:
        values.append(turning(config, target_object, state, target).unsqueeze(-2).expand(*yaw.shape, -1))
    if config.obstacles.observed:
        values.append(seen_by_robots(state, target, yaw))
    return torch.cat([*values, state.senses], dim=-1)


def outline_of(config: TaskConfig, vertices: Tensor) -> Tensor:
    """The points `[..., V, 2]` at which robots see outlines with these vertices `[..., P, 2]`."""
    return evenly_spaced(vertices, config.outline_points)


def turning(config: TaskConfig, target_object: ObjectTask, state: SimState, target: Tensor) -> Tensor:
    """How far the object has to turn: cosine and sine of its symmetry times the angle, times `urgency`, `[..., 2]`."""
    angle = target_object.symmetry_fold * turn_left(state, target)
    return urgency(config, target).unsqueeze(-1) * torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)


def fields_of(config: TaskConfig, target_object: ObjectTask, robots: int) -> List[Field]:
    """What the layout gives a robot of a team, with meaningless values."""
    point, angle = torch.zeros(robots, 2), torch.zeros(robots)
    others = [[part] * (robots - 1) for part in (point, angle)]
    outline = outline_of(config, torch.tensor(target_object.vertices))
    seen = Relative(point + 1.0, point, angle, others[0], others[1], outline, torch.ones(robots))
    return LAYOUTS[config.observation](seen, target_object)


def mirror_signs(
    config: TaskConfig, target_object: ObjectTask, robots: Sequence[RobotTask]
) -> Optional[List[Tuple[float, ...]]]:
    """Each robot's signs of what it observes under a reflection about its heading.

    None for a layout with numbers that no sign reflects, such as wrapped angles.
    """
    signs: Tuple[float, ...] = ()
    for field in fields_of(config, target_object, len(robots)):
        if field.mirror is None:
            return None
        signs += field.mirror
    if config.turned:
        signs += (1.0, -1.0)
    if config.obstacles.observed:
        signs += MIRROR
    return [signs + robot.sense_mirror for robot in robots]


def _vector(value: Tensor) -> Field:
    return Field(value, (1.0, -1.0))


def _direction(angle: Tensor) -> Field:
    return Field(torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1), (1.0, -1.0))
