"""What a robot observes: the published layout and two that a network reads more easily.

All three hold the same information, that of the published 2 + 3A numbers (docs/task.md section 5): planar positions in
the robot's heading frame and relative headings, no velocities. The layouts without wrapped angles also say how each
number changes when the world is reflected about the robot's heading, which a mirror-equivariant actor needs.
"""

from __future__ import annotations

import math
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..registry import Registry
from .config import ObjectTask, TaskConfig
from .geometry import rotate_by, turn_left
from .robot import RobotTask
from .state import SimState

Signs = Optional[Tuple[float, ...]]


class Field(NamedTuple):
    """Some numbers of an observation."""

    values: Tensor
    """`[..., A, k]`"""
    mirror: Signs
    """Sign of each number under reflection about the robot's heading; None where no sign expresses it."""


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


def relative(state: SimState, target: Tensor, robot_yaw: Tensor) -> Relative:
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


Layout = Callable[[Relative, ObjectTask], List[Field]]
LAYOUTS: Registry[Layout] = Registry("observation layout")
"""What an observation is made of, by the name in `task.observation`."""
for _layout in (published, cos_sin, features):
    LAYOUTS.register(_layout.__name__, _layout)


def observe(
    config: TaskConfig, target_object: ObjectTask, state: SimState, target: Tensor, robot_yaw: Optional[Tensor] = None
) -> Tensor:
    """Observations `[..., A, D]` of a state with targets `[..., 2]`.

    First the layout's numbers, then those of `turning` if the goal is a pose, then what the robot senses of itself,
    then zeros up to the widest robot's size. Targets of poses are `[..., 3]`, with a yaw.

    `robot_yaw` `[..., A]` replaces the robots' headings, which is upstream's stale frame after a reset.
    """
    yaw = state.robot_rpy[..., 2] if robot_yaw is None else robot_yaw
    fields = LAYOUTS[config.observation](relative(state, target, yaw), target_object)
    values = [field.values for field in fields]
    if config.goal == "pose":
        values.append(turning(target_object, state, target).unsqueeze(-2).expand(*yaw.shape, -1))
    return torch.cat([*values, state.senses], dim=-1)


def turning(target_object: ObjectTask, state: SimState, target: Tensor) -> Tensor:
    """How far the object has to turn: cosine and sine of its symmetry times the angle, `[..., 2]`."""
    angle = target_object.symmetry_fold * turn_left(state, target)
    return torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)


def mirror_signs(
    config: TaskConfig, target_object: ObjectTask, robots: Sequence[RobotTask]
) -> Optional[List[Tuple[float, ...]]]:
    """Each robot's signs of what it observes under a reflection about its heading.

    None for a layout with numbers that no sign reflects, such as wrapped angles.
    """
    count = len(robots)
    point, angle = torch.zeros(count, 2), torch.zeros(count)
    seen = Relative(point + 1.0, point, angle, [point] * (count - 1), [angle] * (count - 1))
    signs: Tuple[float, ...] = ()
    for field in LAYOUTS[config.observation](seen, target_object):
        if field.mirror is None:
            return None
        signs += field.mirror
    if config.goal == "pose":
        signs += (1.0, -1.0)
    return [signs + robot.sense_mirror for robot in robots]


def _vector(value: Tensor) -> Field:
    return Field(value, (1.0, -1.0))


def _direction(angle: Tensor) -> Field:
    return Field(torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1), (1.0, -1.0))
