"""Which bodies collide, and their friction (docs/task.md sections 3 and 12)."""

from __future__ import annotations

from typing import List, NamedTuple, TypeVar

from torch import Tensor

FLOOR_FRICTION = 0.1
"""Terrain friction coefficient (docs/task.md section 3)."""
ROBOT_FRICTION = 1.0
"""Robot shapes' friction coefficient (docs/task.md section 3)."""


class ContactBits(NamedTuple):
    """MuJoCo's contype and conaffinity: geoms collide if one's type meets the other's affinity."""

    contype: int
    conaffinity: int


FLOOR, OBJECT, SLIDING_ROBOT = ContactBits(1, 0), ContactBits(2, 1), ContactBits(4, 14)
"""The floor meets the object; the object meets floor and robots; a sliding robot meets everything but the floor."""
HULL, BUMPER = ContactBits(0, 2), ContactBits(4, 12)
"""A sliding robot in two: its hull meets object and obstacles, its bumper the other robots."""
FOOT, LEG, TRUNK, LEG_ENVELOPE = ContactBits(0, 3), ContactBits(0, 2), ContactBits(4, 7), ContactBits(8, 8)
"""Feet meet floor and object; legs the object alone; trunks everything but envelopes; envelopes each other and sliding
robots."""

OBSTACLE, OBSTACLE_FRICTION = ContactBits(2, 14), 0.5
"""Obstacles meet everything that moves."""

ENVELOPE_RADIUS, ENVELOPE_AXIS = 0.13, [-0.13, 0, 0, 0.16, 0, 0]
"""The capsule that stands for trunk and legs where robots meet: radius, and ends of its axis in the robot's frame, m.

See docs/task.md section 12. With bare trunks a third of the episodes end on the rule of 0.25 m between robots."""


Coefficient = TypeVar("Coefficient", float, Tensor)


def mean_friction(first: float, second: Coefficient) -> Coefficient:
    """The mean of two friction coefficients, which is what PhysX takes for a contact.

    MuJoCo takes the larger of two, so that each geom is given its mean with the other, smoother one.
    """
    return 0.5 * (first + second)


def friction(sliding: float) -> List[float]:
    """A geom's `friction` in MuJoCo for a sliding coefficient.

    Torsion and rolling are MuJoCo's defaults, which these contacts do not use.
    """
    return [sliding, 0.005, 0.0001]
