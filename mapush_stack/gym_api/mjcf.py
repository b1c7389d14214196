"""Reads MJCF files into assets, through MuJoCo's own compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from ..sim.inertia import Inertia
from ..sim.scene import import_mujoco
from .asset import UNLIMITED_EFFORT, Asset, Joint, Link, Pose, Shape
from .support import UnsupportedError, ignore
from .types import ActuatorProperties, AssetOptions, DofDriveMode

_KINDS = {2: "sphere", 3: "capsule", 4: "ellipsoid", 5: "cylinder", 6: "box"}
"""Of mjtGeom."""


def load(path: Path, options: AssetOptions) -> Asset:
    """The asset of the first body of an MJCF file's world, with all below it.

    Tendons, sensors and the world's own shapes are left out, and motors drive nothing. Joints keep their stiffness and
    damping.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: MuJoCo cannot read it, or it has no body.
        UnsupportedError: a joint or shape has no counterpart.

    """
    mujoco = import_mujoco()
    if not path.is_file():
        raise FileNotFoundError(f"load_asset: {path} is not there")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        for geom in spec.geoms:
            geom.material = ""  # files of Isaac Gym's own tasks name some that they do not have
        model = spec.compile()
    except ValueError as error:
        raise ValueError(f"load_asset: {path}: {error}") from None
    if model.nbody < 2:
        raise ValueError(f"load_asset: {path} has no body")
    numbers: Dict[int, int] = {}
    links: List[Link] = []
    for body in range(1, model.nbody):
        parent = int(model.body_parentid[body])
        if body > 1 and parent not in numbers:
            continue  # another body of the world
        numbers[body] = len(links)
        links.append(_link(model, body, numbers.get(parent, -1), path, mujoco))
    if model.ntendon or model.neq:
        ignore("tendon")
    asset = Asset(model.body(1).name or path.stem, links, options)
    asset.actuators = [_actuator(model, number) for number in range(model.nu)]
    return asset


def _actuator(model: Any, number: int) -> ActuatorProperties:
    """What a program asks of a motor; a joint without a name is called by its number."""
    found, own = ActuatorProperties(), model.actuator(number)
    on_joint = int(model.actuator_trntype[number]) == 0
    if on_joint:
        joint = int(model.actuator_trnid[number, 0])
        found.joint = model.joint(joint).name or f"joint{joint}"
    found.name, found.kp, found.kv = own.name, abs(own.biasprm[1]), abs(own.biasprm[2])
    found.motor_effort = own.gear[0]
    found.control_limited, found.force_limited = own.ctrllimited, own.forcelimited
    found.lower_control_limit, found.upper_control_limit = own.ctrlrange
    found.lower_force_limit, found.upper_force_limit = own.forcerange
    return found


def _link(model: Any, body: int, parent: int, path: Path, mujoco: Any) -> Link:
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    joints = [joint for number in range(first, first + count) for joint in _joint(model, number, path)]
    first, count = int(model.body_geomadr[body]), int(model.body_geomnum[body])
    shapes = [
        _shape(model, geom, path)
        for geom in range(first, first + count)
        if model.geom_contype[geom] or model.geom_conaffinity[geom]
    ]
    turn = _matrix(model.body_iquat[body], mujoco)
    inertia = turn @ np.diag(model.body_inertia[body]) @ turn.T
    inertial = Inertia(float(model.body_mass[body]), model.body_ipos[body].copy(), inertia)
    pose = Pose(model.body_pos[body].copy(), _matrix(model.body_quat[body], mujoco)) if parent >= 0 else Pose()
    name = model.body(body).name or f"body{body}"
    return Link(name, parent, pose, joints, inertial, shapes, name if parent >= 0 else "")


def _joint(model: Any, number: int, path: Path) -> List[Joint]:
    kind = int(model.jnt_type[number])
    if kind == 0:  # a free joint: the actor's own
        return []
    name = model.joint(number).name or f"joint{number}"
    if kind == 1:
        raise UnsupportedError(f"the ball joint {name} in {path}")
    dof, limited = int(model.jnt_dofadr[number]), bool(model.jnt_limited[number])
    lower, upper = model.jnt_range[number] if limited else (-3.4e38, 3.4e38)
    return [
        Joint(
            name=name,
            kind="slide" if kind == 2 else "hinge",
            axis=model.jnt_axis[number].copy(),
            pos=model.jnt_pos[number].copy(),
            lower=float(lower),
            upper=float(upper),
            limited=limited,
            velocity=float("inf"),
            effort=UNLIMITED_EFFORT,
            damping=float(model.dof_damping[dof]),
            friction=float(model.dof_frictionloss[dof]),
            armature=float(model.dof_armature[dof]),
            stiffness=float(model.jnt_stiffness[number]),
            drive=int(DofDriveMode.DOF_MODE_NONE),
        )
    ]


def _shape(model: Any, geom: int, path: Path) -> Shape:
    import mujoco

    kind = int(model.geom_type[geom])
    pose = Pose(model.geom_pos[geom].copy(), _matrix(model.geom_quat[geom], mujoco))
    if kind in _KINDS:
        return Shape(_KINDS[kind], tuple(model.geom_size[geom].tolist()), pose)
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        first = int(model.mesh_vertadr[mesh])
        corners = np.array(model.mesh_vert[first : first + int(model.mesh_vertnum[mesh])], dtype=float)
        return Shape("mesh", (), pose, corners=corners)
    raise UnsupportedError(f"a colliding plane or height field of an MJCF file, in {path}", "use add_ground")


def _matrix(quaternion: np.ndarray, mujoco: Any) -> np.ndarray:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
