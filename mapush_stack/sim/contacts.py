"""What touches what, and how rough it is (docs/task.md sections 3 and 12)."""

from __future__ import annotations

from typing import List, NamedTuple, TypeVar

from torch import Tensor

FLOOR_FRICTION = 0.1
"""Terrain friction coefficient (docs/task.md section 3)."""
ROBOT_FRICTION = 1.0
"""Robot shapes' friction coefficient (docs/task.md section 3)."""


class ContactBits(NamedTuple):
    """MuJoCo's contype and conaffinity: a pair collides where one's type meets the other's affinity."""

    contype: int
    conaffinity: int


FLOOR, OBJECT, SLIDING_ROBOT = ContactBits(1, 0), ContactBits(2, 1), ContactBits(4, 14)
"""The floor meets the object; the object meets floor and robots; a sliding robot meets everything but the floor."""
FOOT, LEG, TRUNK, LEG_ENVELOPE = ContactBits(0, 3), ContactBits(0, 2), ContactBits(4, 7), ContactBits(8, 8)
"""Feet meet floor and object; legs the object alone; trunks everything but envelopes; envelopes each other and sliding
robots."""


class Envelope(NamedTuple):
    """The capsule that stands for trunk and legs where robots meet."""

    radius: float
    """m"""
    axis: List[float]
    """Ends of its axis in the robot's frame, m."""


ENVELOPE = Envelope(0.13, [-0.13, 0, 0, 0.16, 0, 0])
"""docs/task.md section 12; with bare trunks a third of the episodes end on the 0.25 m rule."""


Coefficient = TypeVar("Coefficient", float, Tensor)


def mean_friction(first: float, second: Coefficient) -> Coefficient:
    """PhysX averages two coefficients; MuJoCo takes the larger, so each geom gets its average with the smaller one."""
    return 0.5 * (first + second)


def friction(sliding: float) -> List[float]:
    """A geom's `friction` in MuJoCo; torsion and rolling are MuJoCo's defaults, which these contacts do not use."""
    return [sliding, 0.005, 0.0001]
