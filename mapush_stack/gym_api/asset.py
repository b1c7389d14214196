"""A robot or thing as Isaac Gym knows it: bodies, joints and shapes in its order, whatever file it came from."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Tuple, TypeVar

import numpy as np

from ..sim.inertia import Inertia, combine
from .rows import DOF_PROPERTIES
from .types import (
    ActuatorProperties,
    AssetOptions,
    DofDriveMode,
    Mat33,
    RigidBodyProperties,
    RigidShapeProperties,
    Transform,
    Vec3,
)

UNLIMITED_EFFORT = 3.4e38
"""N m; what Isaac Gym gives a joint without a limit."""


@dataclass
class Pose:
    """A frame in another: position, m, and rotation matrix."""

    pos: np.ndarray = field(default_factory=lambda: np.zeros(3))
    rot: np.ndarray = field(default_factory=lambda: np.eye(3))

    def __matmul__(self, other: Pose) -> Pose:
        return Pose(self.pos + self.rot @ other.pos, self.rot @ other.rot)


def moved(inertia: Inertia, pose: Pose) -> Inertia:
    """The same in the frame in which `pose` places this one."""
    return Inertia(inertia.mass, pose.pos + pose.rot @ inertia.centre, pose.rot @ inertia.tensor @ pose.rot.T)


_SPECK = Inertia(1e-3, np.zeros(3), 1e-6 * np.eye(3))
"""Of a body with neither mass nor shape."""


@dataclass
class Shape:
    """A shape that collides: `size` as MuJoCo's for its kind, or a mesh's file and scale."""

    kind: str
    """box, sphere, cylinder, capsule, ellipsoid or mesh."""
    size: Tuple[float, ...]
    pose: Pose
    file: str = ""
    """Of a mesh; empty if `corners` are given."""
    scale: Tuple[float, float, float] = (1.0, 1.0, 1.0)
    corners: Optional[np.ndarray] = None
    """Points `[n, 3]`, m, whose hull the mesh is."""

    def add_mesh(self, spec: Any, name: str) -> Any:
        """The mesh in a `mujoco.MjSpec`."""
        if self.corners is None:
            return spec.add_mesh(name=name, file=self.file, scale=list(self.scale))
        return spec.add_mesh(name=name, uservert=(self.corners * self.scale).flatten())


@dataclass
class Joint:
    """A degree of freedom of a body: a hinge (rad) or a slide (m) along `axis` through `pos`, in the body's frame."""

    name: str
    kind: str
    axis: np.ndarray
    pos: np.ndarray
    lower: float
    upper: float
    limited: bool
    velocity: float
    effort: float
    damping: float = 0.0
    friction: float = 0.0
    armature: float = 0.0
    stiffness: float = 0.0
    drive: int = DofDriveMode.DOF_MODE_NONE


@dataclass
class Link:
    """A rigid body; `pose` is its frame in that of its parent (a number of the asset's list; -1 for the root)."""

    name: str
    parent: int
    pose: Pose
    joints: List[Joint]
    inertial: Optional[Inertia]
    shapes: List[Shape]
    fixed_by: str = ""
    """The joint of a body that has no degree of freedom; empty for the root."""


class Asset:
    """What `load_asset` returns: links depth first, each after its parent."""

    def __init__(self, name: str, links: List[Link], options: AssetOptions) -> None:
        """Links without a mass get that of their shapes at `options.density`."""
        # The program may use the same options for its next asset.
        self.name, self.links, self.options = name, links, copy(options)
        self.key: object = id(self)
        """Assets with the same key are equal."""
        self.actuators: List[ActuatorProperties] = []
        """Motors of an MJCF file: the program reads them, and nothing else does."""
        self.sensors: List[Tuple[int, Transform, bool]] = []
        """Force sensors: the body, the place in its frame, and whether they read in the world's axes."""
        self.fixed = bool(options.fix_base_link)
        for link in links:
            for joint in link.joints:
                joint.armature += options.armature
                joint.drive = joint.drive or int(options.default_dof_drive_mode)
        self.joints = [joint for link in links for joint in link.joints]
        self.shapes = [shape for link in links for shape in link.shapes]
        self.shape_properties = [RigidShapeProperties() for _ in self.shapes]
        self.masses = [self._inertial(link) for link in links]
        self.bodies = [body_properties(inertial) for inertial in self.masses]
        """The mass, centre and inertia of each body; not to be changed, because actors share them."""
        self._dofs = self._dof_rows()
        self._sizes: Dict[float, Asset] = {1.0: self}
        self.whole_size = self
        """The asset as it was loaded."""

    def _inertial(self, link: Link) -> Inertia:
        if link.inertial is not None and link.inertial.mass > 0 and not self.options.override_inertia:
            return _possible(link.inertial)
        solids = [_solid(shape, float(self.options.density)) for shape in link.shapes]
        parts = [part for part in solids if part.mass > 0] or [_SPECK]
        whole = combine(parts)
        if link.inertial is not None and link.inertial.mass > 0:
            share = link.inertial.mass / whole.mass
            return Inertia(link.inertial.mass, whole.centre, whole.tensor * share)
        return whole

    def scaled(self, scale: float) -> Asset:
        """The same robot in another size: lengths by `scale`, masses by its cube; densities stay."""
        if scale not in self._sizes:
            self._sizes[scale] = made = copy(self)
            made.links = [_scaled_link(link, scale) for link in self.links]
            made.joints = [joint for link in made.links for joint in link.joints]
            made.shapes = [shape for link in made.links for shape in link.shapes]
            made.masses = [scaled_inertia(inertia, scale) for inertia in self.masses]
            made.bodies = [body_properties(inertial) for inertial in made.masses]
            made.sensors = [(body, Transform(place.p * scale, place.r), world) for body, place, world in self.sensors]
            made._dofs = made._dof_rows()
            # Copies of one model can differ in the sizes of plain shapes, and of nothing else.
            plain = len(self.links) == 1 and all(shape.kind != "mesh" for shape in self.shapes)
            made.key = self.key if plain else (self.key, scale)
        return self._sizes[scale]

    def bodies_of_shapes(self) -> List[int]:
        """The body of each shape."""
        return [number for number, link in enumerate(self.links) for _ in link.shapes]

    def whole(self) -> Tuple[float, np.ndarray]:
        """Mass of all bodies, kg, and moments of inertia about the root's axes, kg m^2, with all joints at zero."""
        places: List[Pose] = []
        for link in self.links:
            places.append(link.pose if link.parent < 0 else places[link.parent] @ link.pose)
        together = combine([moved(inertia, place) for inertia, place in zip(self.masses, places)])
        return together.mass, np.diag(together.tensor)

    @property
    def body_names(self) -> List[str]:
        """Names of the bodies, in order."""
        return [link.name for link in self.links]

    @property
    def dof_names(self) -> List[str]:
        """Names of the degrees of freedom, in order."""
        return [joint.name for joint in self.joints]

    @property
    def joint_names(self) -> List[str]:
        """Names of all joints, also of those that fix a body to another, in the order of the bodies."""
        names = [[joint.name for joint in link.joints] or [link.fixed_by] for link in self.links]
        return [name for row in names for name in row if name]

    def dof_properties(self) -> np.ndarray:
        """A row for each degree of freedom (`DOF_PROPERTIES`), to be changed freely."""
        return self._dofs.copy()

    def _dof_rows(self) -> np.ndarray:
        rows = np.zeros(len(self.joints), dtype=DOF_PROPERTIES)
        for row, joint in zip(rows, self.joints):
            row["hasLimits"], row["lower"], row["upper"] = joint.limited, joint.lower, joint.upper
            row["driveMode"], row["velocity"], row["effort"] = joint.drive, joint.velocity, joint.effort
            row["stiffness"], row["damping"] = joint.stiffness, joint.damping
            row["friction"], row["armature"] = joint.friction, joint.armature
        return rows

    def copies_of_shapes(self) -> List[RigidShapeProperties]:
        """The properties of each shape, to be changed freely."""
        return copies(self.shape_properties)


def body_properties(inertial: Inertia) -> RigidBodyProperties:
    """Isaac Gym's record of a body's mass."""
    properties = RigidBodyProperties()
    properties.mass = inertial.mass
    properties.com = Vec3(*inertial.centre)
    properties.inertia = Mat33.of(inertial.tensor)
    return properties


def scaled_inertia(inertia: Inertia, scale: float) -> Inertia:
    """Inertia of a part scaled in length, at the same density."""
    return Inertia(inertia.mass * scale**3, inertia.centre * scale, inertia.tensor * scale**5)


def _scaled_link(link: Link, scale: float) -> Link:
    """A body in another size; also how far its slides go."""

    def place(pose: Pose) -> Pose:
        return Pose(pose.pos * scale, pose.rot)

    joints = []
    for joint in link.joints:
        reach = scale if joint.kind == "slide" and joint.limited else 1.0
        joints.append(replace(joint, pos=joint.pos * scale, lower=joint.lower * reach, upper=joint.upper * reach))
    shapes = [
        replace(shape, size=tuple(side * scale for side in shape.size), pose=place(shape.pose),
                scale=(shape.scale[0] * scale, shape.scale[1] * scale, shape.scale[2] * scale))
        for shape in link.shapes
    ]  # fmt: skip
    return replace(link, pose=place(link.pose), joints=joints, shapes=shapes)


Properties = TypeVar("Properties", RigidShapeProperties, RigidBodyProperties)


def copies(properties: List[Properties]) -> List[Properties]:
    """Properties of shapes or bodies that can be changed without changing these."""
    return [_copied(one) for one in properties]


def kept(own: List[Properties], given: List[Properties]) -> List[Properties]:
    """What was given, as copies; what equals one's own stays, because most do and copies take time."""
    return [old if vars(old) == vars(new) else _copied(new) for old, new in zip(own, given)]


def _copied(value: Any) -> Any:
    """A record, vector or matrix that shares nothing with this one, in a thirtieth of `deepcopy`'s time."""
    kind = type(value)
    new = object.__new__(kind)
    if kind is Vec3:
        new.x, new.y, new.z = value.x, value.y, value.z
        return new
    names = vars(new)
    names.update(vars(value))
    for name in _NESTED.get(kind, ()):
        names[name] = _copied(names[name])
    return new


_NESTED = {RigidBodyProperties: ("com", "inertia", "invInertia"), Mat33: ("x", "y", "z")}


def _possible(inertia: Inertia) -> Inertia:
    """The same with positive moments, which some public files do not have and MuJoCo demands."""
    moments, axes = np.linalg.eigh(inertia.tensor)
    if moments[0] > 0 or not moments.any():
        return inertia
    return inertia._replace(tensor=axes @ np.diag(np.maximum(moments, 1e-6 * moments[-1])) @ axes.T)


def _solid(shape: Shape, density: float) -> Inertia:
    """The inertia of a shape filled with `density`, kg/m^3."""
    a = shape.size
    if shape.kind == "box":
        volume, second = 8 * a[0] * a[1] * a[2], np.array([v * v / 3 for v in a[:3]])
        diagonal = np.array([second[1] + second[2], second[0] + second[2], second[0] + second[1]])
    elif shape.kind == "sphere":
        volume, diagonal = 4 / 3 * np.pi * a[0] ** 3, np.full(3, 0.4 * a[0] ** 2)
    elif shape.kind in ("cylinder", "capsule"):
        volume = 2 * np.pi * a[0] ** 2 * a[1]
        across = a[0] ** 2 / 4 + a[1] ** 2 / 3
        diagonal = np.array([across, across, a[0] ** 2 / 2])
        if shape.kind == "capsule":
            ball = 4 / 3 * np.pi * a[0] ** 3
            far = 0.4 * a[0] ** 2 + a[1] ** 2 + 0.75 * a[0] * a[1]
            whole = volume + ball
            diagonal = (volume * diagonal + ball * np.array([far, far, 0.4 * a[0] ** 2])) / whole
            volume = whole
    else:
        return moved(_solid_mesh(shape, density), shape.pose)
    mass = density * volume
    return moved(Inertia(mass, np.zeros(3), mass * np.diag(diagonal)), shape.pose)


def _solid_mesh(shape: Shape, density: float) -> Inertia:
    """The same for the hull of a mesh, by MuJoCo."""
    import mujoco

    spec = mujoco.MjSpec()
    mesh = shape.add_mesh(spec, "mesh")
    mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    kind = mujoco.mjtGeom.mjGEOM_MESH
    spec.worldbody.add_body().add_geom(type=kind, meshname="mesh", density=density)
    model, turn = spec.compile(), np.zeros(9)
    mujoco.mju_quat2Mat(turn, model.body_iquat[1])
    axes = turn.reshape(3, 3)
    return Inertia(float(model.body_mass[1]), model.body_ipos[1].copy(), axes @ np.diag(model.body_inertia[1]) @ axes.T)


def primitive(kind: str, size: Tuple[float, ...], options: Optional[AssetOptions]) -> Asset:
    """An asset of a single shape: `create_box`, `create_sphere`, `create_capsule`."""
    link = Link(kind, -1, Pose(), [], None, [Shape(kind, size, Pose())])
    asset = Asset(kind, [link], options or AssetOptions())
    asset.key = (kind, size, repr(asset.options))
    return asset
