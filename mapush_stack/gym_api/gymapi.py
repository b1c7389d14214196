"""Isaac Gym's `gymapi`: `acquire_gym`, its values and its constants."""

from __future__ import annotations

from typing import Any

from .gym import Gym
from .rows import DofFrame, DofState, IndexRange, RigidBodyState, RigidContact, Velocity
from .simulation import Simulation
from .support import UnsupportedError
from .types import (
    ActuatorProperties,
    AssetOptions,
    CameraFollowMode,
    CameraProperties,
    ContactCollection,
    CoordinateSpace,
    DofDriveMode,
    DofType,
    FlexParams,
    ForceSensorProperties,
    HeightFieldParams,
    ImageType,
    IndexDomain,
    JointType,
    Mat33,
    MeshNormalMode,
    MeshType,
    PhysXParams,
    PlaneParams,
    Quat,
    RigidBodyProperties,
    RigidShapeProperties,
    SimParams,
    SimType,
    Transform,
    TriangleMeshParams,
    UpAxis,
    Vec3,
    VhacdParams,
)

SIM_PHYSX, SIM_FLEX = SimType.SIM_PHYSX, SimType.SIM_FLEX
DOMAIN_ACTOR, DOMAIN_ENV, DOMAIN_SIM = IndexDomain
DOF_MODE_NONE, DOF_MODE_POS, DOF_MODE_VEL, DOF_MODE_EFFORT = DofDriveMode
DOF_INVALID, DOF_ROTATION, DOF_TRANSLATION = DofType
globals().update(JointType.__members__)
RIGID_BODY_NONE, RIGID_BODY_DISABLE_GRAVITY, RIGID_BODY_DISABLE_SIMULATION = 0, 1, 2
ENV_SPACE, LOCAL_SPACE, GLOBAL_SPACE = CoordinateSpace
IMAGE_COLOR, IMAGE_DEPTH, IMAGE_SEGMENTATION, IMAGE_OPTICAL_FLOW = ImageType
FOLLOW_POSITION, FOLLOW_TRANSFORM = CameraFollowMode
UP_AXIS_Y, UP_AXIS_Z = UpAxis
MESH_NONE, MESH_COLLISION, MESH_VISUAL, MESH_VISUAL_AND_COLLISION = MeshType
FROM_ASSET, COMPUTE_PER_VERTEX, COMPUTE_PER_FACE = MeshNormalMode
CC_NEVER, CC_LAST_SUBSTEP, CC_ALL_SUBSTEPS = ContactCollection
DEFAULT_VIEWER_WIDTH, DEFAULT_VIEWER_HEIGHT = 1600, 900
INVALID_HANDLE = -1
STATE_NONE, STATE_POS, STATE_VEL, STATE_ALL = 0, 1, 2, 3
KEY_ESCAPE, KEY_V, KEY_R = 256, 86, 82

_gym = Gym()


def acquire_gym() -> Gym:
    """The one `Gym` object."""
    return _gym


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name.startswith(("KEY_", "MOUSE_")):
        return name
    raise UnsupportedError(f"gymapi.{name}")


__all__ = [
    "ActuatorProperties", "AssetOptions", "CameraFollowMode", "CameraProperties", "ContactCollection",
    "CoordinateSpace", "DofDriveMode", "DofFrame", "DofState", "DofType", "FlexParams", "ForceSensorProperties",
    "Gym", "HeightFieldParams", "ImageType", "IndexDomain", "IndexRange", "JointType", "Mat33", "MeshNormalMode",
    "MeshType", "PhysXParams", "PlaneParams", "Quat", "RigidBodyProperties", "RigidBodyState", "RigidContact",
    "RigidShapeProperties", "SimParams", "SimType", "Simulation", "Transform", "TriangleMeshParams", "UpAxis", "Vec3",
    "Velocity", "VhacdParams", "acquire_gym",
    *(name for name in globals() if name.isupper() and not name.startswith("_")),
]  # fmt: skip
