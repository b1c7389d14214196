"""Rows of structured arrays: states, contacts and properties, as Isaac Gym has them."""

from __future__ import annotations

import numpy as np

from .types import Record, Transform, Vec3


class DofState(Record):
    """Position, rad or m, and speed of a degree of freedom."""

    FIELDS = {"pos": 0.0, "vel": 0.0}
    dtype = np.dtype([("pos", "f4"), ("vel", "f4")])
    """The rows of `get_actor_dof_states`."""


class Velocity(Record):
    """Velocity, m/s, and spin, rad/s."""

    FIELDS = {"linear": Vec3, "angular": Vec3}
    dtype = np.dtype([("linear", Vec3.dtype), ("angular", Vec3.dtype)])


class RigidBodyState(Record):
    """Place and velocity of a body."""

    FIELDS = {"pose": Transform, "vel": Velocity}
    dtype = np.dtype([("pose", Transform.dtype), ("vel", Velocity.dtype)])
    """The rows of `get_actor_rigid_body_states`: 13 numbers."""


class DofFrame(Record):
    """Where a joint is, m, and the direction of its axis."""

    FIELDS = {"origin": Vec3, "axis": Vec3}
    dtype = np.dtype([("origin", Vec3.dtype), ("axis", Vec3.dtype)])


class IndexRange(Record):
    """Numbers from `start` on."""

    FIELDS = {"start": 0, "count": 0}


class RigidContact(Record):
    """A place where two bodies touch; bodies are numbers of their environment, -1 is the ground.

    `minDist`, `offset0`, `offset1`, `torsionFriction` and `rollingFriction` are 0.
    """

    dtype = np.dtype(
        [
            ("env0", "i4"), ("env1", "i4"), ("body0", "i4"), ("body1", "i4"), ("localPos0", Vec3.dtype),
            ("localPos1", Vec3.dtype), ("minDist", "f4"), ("initialOverlap", "f4"), ("normal", Vec3.dtype),
            ("offset0", Vec3.dtype), ("offset1", Vec3.dtype), ("lambda", "f4"), ("lambdaFriction", "2f4"),
            ("friction", "f4"), ("torsionFriction", "f4"), ("rollingFriction", "f4"),
        ]
    )  # fmt: skip
    """The rows of `get_env_rigid_contacts`: m in the bodies' frames, N; the normal points from body0 to body1."""


DOF_PROPERTIES = np.dtype(
    [
        ("hasLimits", "?"), ("lower", "f4"), ("upper", "f4"), ("driveMode", "i4"), ("velocity", "f4"),
        ("effort", "f4"), ("stiffness", "f4"), ("damping", "f4"), ("friction", "f4"), ("armature", "f4"),
    ]
)  # fmt: skip
"""The rows of `get_asset_dof_properties`: rad or m, rad/s or m/s, N m or N."""
