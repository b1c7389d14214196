"""Isaac Gym's plain values: vectors, transforms, parameters and properties, under its names.

Quaternions are (x, y, z, w). A field that does not exist cannot be set, as with Isaac Gym; one that has no effect here
is noted (`support.IGNORED`).
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Tuple

import numpy as np

from .support import IGNORED, ignore


class SimType(enum.IntEnum):
    """Physics engines; both names of Isaac Gym exist, only PhysX's programs run."""

    SIM_PHYSX = 0
    SIM_FLEX = 1


class IndexDomain(enum.IntEnum):
    """What an index counts from."""

    DOMAIN_ACTOR = 0
    DOMAIN_ENV = 1
    DOMAIN_SIM = 2


class DofDriveMode(enum.IntEnum):
    """How a degree of freedom is driven."""

    DOF_MODE_NONE = 0
    DOF_MODE_POS = 1
    DOF_MODE_VEL = 2
    DOF_MODE_EFFORT = 3


class DofType(enum.IntEnum):
    """Kinds of degrees of freedom."""

    DOF_INVALID = 0
    DOF_ROTATION = 1
    DOF_TRANSLATION = 2


class JointType(enum.IntEnum):
    """Kinds of joints."""

    JOINT_INVALID = 0
    JOINT_FIXED = 1
    JOINT_REVOLUTE = 2
    JOINT_PRISMATIC = 3
    JOINT_BALL = 4
    JOINT_PLANAR = 5
    JOINT_FLOATING = 6


class CoordinateSpace(enum.IntEnum):
    """Frames in which forces are given."""

    ENV_SPACE = 0
    LOCAL_SPACE = 1
    GLOBAL_SPACE = 2


class ImageType(enum.IntEnum):
    """What a camera's picture shows."""

    IMAGE_COLOR = 0
    IMAGE_DEPTH = 1
    IMAGE_SEGMENTATION = 2
    IMAGE_OPTICAL_FLOW = 3


class CameraFollowMode(enum.IntEnum):
    """How a camera follows the body that it is attached to."""

    FOLLOW_POSITION = 0
    FOLLOW_TRANSFORM = 1


class MeshType(enum.IntEnum):
    """Which shapes of a body."""

    MESH_NONE = 0
    MESH_COLLISION = 1
    MESH_VISUAL = 2
    MESH_VISUAL_AND_COLLISION = 3


class MeshNormalMode(enum.IntEnum):
    """Where the normals of meshes in pictures come from."""

    FROM_ASSET = 0
    COMPUTE_PER_VERTEX = 1
    COMPUTE_PER_FACE = 2


class ContactCollection(enum.IntEnum):
    """In which substeps PhysX keeps contact forces."""

    CC_NEVER = 0
    CC_LAST_SUBSTEP = 1
    CC_ALL_SUBSTEPS = 2


class UpAxis(enum.IntEnum):
    """The axis that points up."""

    UP_AXIS_Y = 0
    UP_AXIS_Z = 1


class Record:
    """Named fields with defaults; setting another one is an AttributeError."""

    FIELDS: Dict[str, Any] = {}

    def __init__(self) -> None:
        for name, default in type(self).FIELDS.items():
            object.__setattr__(self, name, default() if isinstance(default, type) else _rounded(default))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self).__name__
        if name not in type(self).FIELDS:
            raise AttributeError(f"'{kind}' object has no attribute '{name}'")
        before = getattr(self, name)
        if isinstance(before, (bool, int, float)) and not isinstance(before, enum.Enum):
            value = _rounded(type(before)(_number(value)))
        if f"{kind}.{name}" in IGNORED and not _same(value, before):
            ignore(f"{kind}.{name}")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.FIELDS)})"


def _number(value: Any) -> Any:
    """The number in a tensor or array that holds one."""
    return value.item() if hasattr(value, "item") else value


def _rounded(value: Any) -> Any:
    """The value rounded to float32, as Isaac Gym has it.

    Programs compute sizes from `dt`: ceil(0.01 / dt) is 3 for a dt of 0.005.
    """
    return float(np.float32(value)) if type(value) is float else value


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except (TypeError, ValueError):
        return False


class Vec3:
    """A vector of three numbers."""

    __slots__ = ("x", "y", "z")
    dtype = np.dtype([(name, "f4") for name in "xyz"])
    """In arrays of many."""

    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        self.x, self.y, self.z = (float(_number(value)) for value in (x, y, z))

    def __iter__(self) -> Iterator[float]:
        return iter((self.x, self.y, self.z))

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> float:
        return (self.x, self.y, self.z)[index]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(tuple(self), dtype=dtype or np.float32)

    def __add__(self, other: Any) -> Vec3:
        return Vec3(*(a + b for a, b in zip(self, _three(other))))

    def __sub__(self, other: Any) -> Vec3:
        return Vec3(*(a - b for a, b in zip(self, _three(other))))

    def __mul__(self, other: Any) -> Vec3:
        return Vec3(*(a * b for a, b in zip(self, _three(other))))

    def __truediv__(self, other: Any) -> Vec3:
        return Vec3(*(a / b for a, b in zip(self, _three(other))))

    __rmul__ = __mul__

    def __neg__(self) -> Vec3:
        return Vec3(-self.x, -self.y, -self.z)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vec3) and self.x == other.x and self.y == other.y and self.z == other.z

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Vec3({self.x:.6f}, {self.y:.6f}, {self.z:.6f})"

    @staticmethod
    def from_buffer(values: Any) -> Vec3:
        """From three numbers, or a row of `dtype`."""
        return Vec3(*numbers(values)[:3])

    def dot(self, other: Vec3) -> float:
        """The scalar product."""
        return sum(a * b for a, b in zip(self, other))

    def cross(self, other: Vec3) -> Vec3:
        """The vector product."""
        return Vec3(*np.cross(tuple(self), tuple(other)))

    def length(self) -> float:
        """The Euclidean length."""
        return math.sqrt(self.length_sq())

    def length_sq(self) -> float:
        """The square of the length."""
        return self.dot(self)

    def normalize(self) -> Vec3:
        """The vector of length 1 in the same direction; zero stays zero."""
        length = self.length()
        return self / length if length > 0 else Vec3()


def numbers(values: Any) -> List[float]:
    """The numbers of an array, a list or a structured row, in order."""
    array = np.asarray(values)
    if array.dtype.names:
        array = np.ascontiguousarray(array).reshape(1).view(np.float32)
    found: List[float] = array.reshape(-1).tolist()
    return found


def _three(value: Any) -> Tuple[float, float, float]:
    return tuple(value) if isinstance(value, Vec3) else (float(value),) * 3  # type: ignore[return-value]


class Quat:
    """A rotation as a quaternion (x, y, z, w)."""

    __slots__ = ("w", "x", "y", "z")
    dtype = np.dtype([(name, "f4") for name in "xyzw"])

    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0, w: float = 1.0) -> None:
        self.x, self.y, self.z, self.w = (float(_number(value)) for value in (x, y, z, w))

    def __iter__(self) -> Iterator[float]:
        return iter((self.x, self.y, self.z, self.w))

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> float:
        return (self.x, self.y, self.z, self.w)[index]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(tuple(self), dtype=dtype or np.float32)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quat) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __mul__(self, other: Quat) -> Quat:
        x, y, z, w = self
        a, b, c, d = other
        return Quat(
            w * a + x * d + y * c - z * b,
            w * b - x * c + y * d + z * a,
            w * c + x * b - y * a + z * d,
            w * d - x * a - y * b - z * c,
        )

    def __repr__(self) -> str:
        return f"Quat({self.x:.6f}, {self.y:.6f}, {self.z:.6f}, {self.w:.6f})"

    @staticmethod
    def from_buffer(values: Any) -> Quat:
        """From four numbers, or a row of `dtype`."""
        return Quat(*numbers(values)[:4])

    @staticmethod
    def from_axis_angle(axis: Vec3, angle: float) -> Quat:
        """The turn about `axis` by `angle`, rad."""
        unit, sine = axis.normalize(), math.sin(0.5 * angle)
        return Quat(unit.x * sine, unit.y * sine, unit.z * sine, math.cos(0.5 * angle))

    @staticmethod
    def from_euler_zyx(x: float, y: float, z: float) -> Quat:
        """Turns about x, then the fixed y, then the fixed z, rad: Rz Ry Rx."""
        turns = [Quat.from_axis_angle(Vec3(*axis), angle) for axis, angle in zip(np.eye(3), (x, y, z))]
        return turns[2] * turns[1] * turns[0]

    def to_euler_zyx(self) -> Tuple[float, float, float]:
        """The angles that `from_euler_zyx` takes, rad."""
        x, y, z, w = self
        pitch = math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x))))
        roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
        return roll, pitch, math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))

    def inverse(self) -> Quat:
        """The turn back."""
        return Quat(-self.x, -self.y, -self.z, self.w)

    def normalize(self) -> Quat:
        """The same with length 1."""
        length = math.sqrt(sum(value * value for value in self)) or 1.0
        return Quat(*(value / length for value in self))

    def rotate(self, vector: Vec3) -> Vec3:
        """`vector` turned."""
        turned = self * Quat(vector.x, vector.y, vector.z, 0.0) * self.inverse()
        return Vec3(turned.x, turned.y, turned.z)


class Transform:
    """A place: a position and a rotation."""

    __slots__ = ("p", "r")
    dtype = np.dtype([("p", Vec3.dtype), ("r", Quat.dtype)])

    def __init__(self, p: Any = None, r: Any = None) -> None:
        self.p = Vec3() if p is None else p if isinstance(p, Vec3) else Vec3(*p)
        self.r = Quat() if r is None else r if isinstance(r, Quat) else Quat(*r)

    def __mul__(self, other: Transform) -> Transform:
        return Transform(self.transform_point(other.p), self.r * other.r)

    def __repr__(self) -> str:
        return f"Transform({self.p!r}, {self.r!r})"

    def transform_point(self, point: Vec3) -> Vec3:
        """A point of this frame in the outer one."""
        return self.r.rotate(point) + self.p

    def transform_vector(self, vector: Vec3) -> Vec3:
        """A direction of this frame in the outer one."""
        return self.r.rotate(vector)

    def inverse(self) -> Transform:
        """The outer frame in this one."""
        back = self.r.inverse()
        return Transform(back.rotate(-self.p), back)

    @staticmethod
    def from_buffer(values: Any) -> Transform:
        """From seven numbers, or a row of `dtype`: position and quaternion."""
        row = numbers(values)
        return Transform(Vec3(*row[:3]), Quat(*row[3:7]))


class Mat33:
    """A symmetric matrix by its three columns."""

    def __init__(self, x: Any = None, y: Any = None, z: Any = None) -> None:
        self.x, self.y, self.z = x or Vec3(), y or Vec3(), z or Vec3()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.stack([np.array(tuple(row)) for row in (self.x, self.y, self.z)]).astype(dtype or np.float64)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mat33) and self.x == other.x and self.y == other.y and self.z == other.z

    def __hash__(self) -> int:
        return hash((self.x, self.y, self.z))

    @staticmethod
    def of(matrix: np.ndarray) -> Mat33:
        """From an array `[3, 3]`."""
        return Mat33(*(Vec3(*row) for row in matrix))


class PhysXParams(Record):
    """Settings of PhysX; only `num_threads` and `num_subscenes` mean anything here."""

    FIELDS = {
        "solver_type": 1, "num_threads": 0, "num_subscenes": 0, "use_gpu": False, "num_position_iterations": 4,
        "num_velocity_iterations": 1, "contact_offset": 0.02, "rest_offset": 0.001, "bounce_threshold_velocity": 0.2,
        "max_depenetration_velocity": 100.0, "friction_offset_threshold": 0.04, "friction_correlation_distance": 0.025,
        "max_gpu_contact_pairs": 1024 * 1024, "default_buffer_size_multiplier": 2.0, "contact_collection": 2,
        "always_use_articulations": False,
    }  # fmt: skip


class FlexParams(Record):
    """Settings of FleX, which is not supported."""

    FIELDS = {
        "solver_type": 5, "num_outer_iterations": 4, "num_inner_iterations": 20, "relaxation": 0.75,
        "warm_start": 0.4, "shape_collision_margin": 0.0, "shape_collision_distance": 0.0,
    }  # fmt: skip


class SimParams(Record):
    """Settings of a simulation: `dt` in s, `gravity` in m/s^2."""

    FIELDS = {
        "dt": 1.0 / 60.0, "substeps": 2, "up_axis": UpAxis.UP_AXIS_Y, "gravity": Vec3,
        "use_gpu_pipeline": False, "num_client_threads": 0, "physx": PhysXParams, "flex": FlexParams,
        "stress_visualization": False, "stress_visualization_max": 1e5, "stress_visualization_min": 0.0,
        "enable_actor_creation_warning": True,
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "gravity", Vec3(0.0, -9.8, 0.0))


class VhacdParams(Record):
    """Settings of the convex decomposition that is not done here."""

    FIELDS = {
        "resolution": 100000, "concavity": 0.0025, "alpha": 0.05, "beta": 0.05, "mode": 0, "pca": 0,
        "max_convex_hulls": 64, "max_num_vertices_per_ch": 64, "min_volume_per_ch": 0.0001, "plane_downsampling": 4,
        "convex_hull_downsampling": 4, "convex_hull_approximation": 1, "project_hull_vertices": True,
        "ocl_acceleration": 1,
    }  # fmt: skip


class ActuatorProperties(Record):
    """A motor of an MJCF file, as the file has it."""

    FIELDS = {
        "name": "", "joint": "", "motor_effort": 0.0, "kp": 0.0, "kv": 0.0, "control_limited": False,
        "lower_control_limit": 0.0, "upper_control_limit": 0.0, "force_limited": False, "lower_force_limit": 0.0,
        "upper_force_limit": 0.0,
    }  # fmt: skip


class AssetOptions(Record):
    """How an asset is loaded."""

    FIELDS = {
        "angular_damping": 0.5, "linear_damping": 0.0, "armature": 0.0, "density": 1000.0, "thickness": 0.02,
        "collapse_fixed_joints": False, "fix_base_link": False, "disable_gravity": False,
        "default_dof_drive_mode": 0, "max_angular_velocity": 64.0, "max_linear_velocity": 1000.0,
        "override_com": False, "override_inertia": False, "replace_cylinder_with_capsule": False,
        "flip_visual_attachments": True, "convex_decomposition_from_submeshes": False, "vhacd_enabled": False,
        "vhacd_params": VhacdParams, "use_mesh_materials": False, "mesh_normal_mode": 0, "use_physx_armature": True,
        "slices_per_cylinder": 20, "min_particle_mass": 1e-12, "tendon_limit_stiffness": 1.0,
        "enable_gyroscopic_forces": True,
    }  # fmt: skip


class RigidShapeProperties(Record):
    """Properties of a shape; `filter` holds bits, and two shapes that share one do not collide."""

    FIELDS = {
        "friction": 1.0, "rolling_friction": 0.0, "torsion_friction": 0.0, "restitution": 0.0, "contact_offset": 0.0,
        "rest_offset": 0.0, "compliance": 0.0, "thickness": 0.0, "filter": 0,
    }  # fmt: skip


class RigidBodyProperties(Record):
    """Mass (kg), centre of mass (m, in the body's frame) and inertia (kg m^2, about it) of a body."""

    FIELDS = {
        "mass": 0.0, "com": Vec3, "inertia": Mat33, "invMass": 0.0, "invInertia": Mat33, "flags": 0,
    }  # fmt: skip


class ForceSensorProperties(Record):
    """What a force sensor reads: here always the contacts alone."""

    FIELDS = {
        "enable_forward_dynamics_forces": True, "enable_constraint_solver_forces": True, "use_world_frame": False,
    }  # fmt: skip


class PlaneParams(Record):
    """A ground plane."""

    FIELDS = {
        "normal": Vec3, "distance": 0.0, "static_friction": 1.0, "dynamic_friction": 1.0, "restitution": 0.0,
        "segmentation_id": 0,
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "normal", Vec3(0.0, 1.0, 0.0))


class TriangleMeshParams(Record):
    """A triangle mesh of the ground."""

    FIELDS = {
        "nb_vertices": 0, "nb_triangles": 0, "transform": Transform, "static_friction": 1.0, "dynamic_friction": 1.0,
        "restitution": 0.0, "segmentation_id": 0,
    }  # fmt: skip


class HeightFieldParams(Record):
    """A height field of the ground."""

    FIELDS = {
        "column_scale": 1.0, "row_scale": 1.0, "vertical_scale": 1.0, "nbRows": 0, "nbColumns": 0,
        "transform": Transform, "static_friction": 1.0, "dynamic_friction": 1.0, "restitution": 0.0,
        "segmentation_id": 0,
    }  # fmt: skip


class CameraProperties(Record):
    """A camera; `horizontal_fov` in degrees."""

    FIELDS = {
        "width": 1600, "height": 900, "horizontal_fov": 90.0, "enable_tensors": False, "far_plane": 2e6,
        "near_plane": 0.001, "use_collision_geometry": False, "supersampling_horizontal": 1,
        "supersampling_vertical": 1,
    }  # fmt: skip
