"""One environment's actors and the ground as a MuJoCo model.

Which shapes meet each other is listed, because a listed pair has its own friction: PhysX takes the mean of two
coefficients, MuJoCo would take the larger. Planes are listed too; other grounds are met by MuJoCo's own search.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..sim.scene import import_mujoco
from .actor import Actor, Env
from .asset import Joint, Link, Shape
from .terrain import Block, Field, Piece, Plane, Surface
from .types import DofDriveMode, SimParams

DRIVEN = (DofDriveMode.DOF_MODE_POS, DofDriveMode.DOF_MODE_VEL)
"""Modes that need an actuator."""
_GREY = [0.42, 0.45, 0.48, 1.0]
_FEW = 20
"""Blocks of the ground up to which each is a body of its own: MuJoCo then leaves out those that are far."""
NO_BOUNCE = (0.02, 1.0)
"""MuJoCo's own time constant, s, and damping ratio of a contact."""
NO_SURFACE = Surface(1.0, 0.0)
"""Of a ground that is not there."""


class Scene(NamedTuple):
    """A layout's model, before it is compiled, and where its parts are by name."""

    spec: Any
    """`mujoco.MjSpec`"""
    bodies: List[List[str]]
    """Names by actor and link."""
    joints: List[List[str]]
    """Names by actor and degree of freedom."""
    geoms: List[List[str]]
    """Names by actor and shape."""
    pairs: Dict[str, Tuple[int, int, int, int]]
    """Actor and shape, twice, of every listed pair by its name; -1 and 0 for the ground."""
    driven: List[Tuple[int, int]]
    """Actor and degree of freedom of each actuator, in order."""
    surface: Surface
    """Of the ground."""


def build(env: Env, pieces: Sequence[Piece], params: SimParams) -> Scene:
    """The model of an environment like `env`; every environment sets its own properties.

    Raises:
        UserError: MuJoCo is not installed.

    """
    mujoco = import_mujoco()
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE
    spec.compiler.balanceinertia = True
    spec.compiler.boundinertia, spec.compiler.boundmass = 1e-9, 1e-9
    option = spec.option
    option.timestep = float(params.dt) / max(1, int(params.substeps))
    option.gravity = list(params.gravity)
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC  # a pyramid has 30 % less friction along its diagonals
    option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    option.iterations = option.ls_iterations = 30
    option.tolerance = 1e-4
    surface = pieces[0].surface if pieces else NO_SURFACE
    _add_ground(spec, pieces)
    scene = Scene(spec, [], [], [], {}, [], surface)
    for number, actor in enumerate(env.actors):
        _add_actor(scene, number, actor)
    _add_pairs(scene, env)
    if all(isinstance(piece, Plane) for piece in pieces):
        _list_ground(scene, env, len(pieces))
    # Both integrate the damping of joints implicitly; only one does it with that of motors, which costs 7 % of a step.
    implicit, euler = mujoco.mjtIntegrator.mjINT_IMPLICITFAST, mujoco.mjtIntegrator.mjINT_EULER
    option.integrator = implicit if scene.driven else euler
    return scene


def _add_ground(spec: Any, pieces: Sequence[Piece]) -> None:
    import mujoco

    few = sum(isinstance(piece, Block) for piece in pieces) <= _FEW
    for number, piece in enumerate(pieces):
        # A coefficient of 0: the larger of two is then that of the shape, which holds the mean.
        common = {"name": f"ground{number}", "contype": 1, "conaffinity": 0, "friction": [1e-5, 0, 0]}
        common.update(solmix=0.0, rgba=_GREY)
        if isinstance(piece, Plane):
            turn = np.zeros(4)
            mujoco.mju_quatZ2Vec(turn, piece.normal)
            spec.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], pos=piece.pos, quat=turn, **common
            )
        elif isinstance(piece, Block):
            centre, half = 0.5 * (piece.low + piece.high), 0.5 * (piece.high - piece.low)
            body = spec.worldbody.add_body() if few else spec.worldbody
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=centre, **common)
        elif isinstance(piece, Field):
            _add_field(spec, piece, common)


def tiles(piece: Field, most: int) -> List[Field]:
    """A height field as several of at most `most` squares along each side; neighbours share a line of heights."""
    rows, columns = piece.heights.shape
    cell = (piece.high - piece.low) / np.array([columns - 1, rows - 1])
    found = []
    for i in range(0, rows - 1, most):
        for j in range(0, columns - 1, most):
            heights = piece.heights[i : i + most + 1, j : j + most + 1]
            low = piece.low + cell * np.array([j, i])
            high = low + cell * (np.array(heights.shape[::-1]) - 1)
            found.append(Field(piece.surface, np.ascontiguousarray(heights), low, high))
    return found


def _add_field(spec: Any, piece: Field, common: Dict[str, Any]) -> None:
    import mujoco

    low, high = float(piece.heights.min()), float(piece.heights.max())
    rows, columns = piece.heights.shape
    centre, half = 0.5 * (piece.low + piece.high), 0.5 * (piece.high - piece.low)
    height = max(high - low, 1e-6)
    name = f"{common['name']}_heights"
    scaled = ((piece.heights - low) / height).astype(np.float32)
    spec.add_hfield(name=name, nrow=rows, ncol=columns, size=[*half, height, 1.0], userdata=scaled.flatten())
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname=name, pos=[*centre, low], **common)


def _add_actor(scene: Scene, number: int, actor: Actor) -> None:
    asset = actor.asset
    bodies: List[Any] = []
    names: Tuple[List[str], ...] = ([], [], [])
    for index, link in enumerate(asset.links):
        name = f"a{number}_{index}"
        if link.parent >= 0:
            body = bodies[link.parent].add_body(name=name, pos=link.pose.pos, quat=quaternion(link.pose.rot))
        elif asset.fixed and link.joints:
            base = scene.spec.worldbody.add_body(name=f"{name}_base", mocap=True)
            body = base.add_body(name=name)
        else:
            body = scene.spec.worldbody.add_body(name=name, mocap=asset.fixed)
            if not asset.fixed:
                body.add_freejoint(name=f"{name}_free")
        bodies.append(body)
        names[0].append(name)
        _fill(scene, number, actor, link, body, names)
    for found, kept in zip(names, (scene.bodies, scene.joints, scene.geoms)):
        kept.append(found)


def _fill(scene: Scene, number: int, actor: Actor, link: Link, body: Any, names: Tuple[List[str], ...]) -> None:
    """Masses, joints and shapes of one body."""
    inertia = actor.asset.masses[len(names[0]) - 1]
    body.mass, body.ipos, body.explicitinertial = inertia.mass, inertia.centre, True
    body.fullinertia = [inertia.tensor[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    body.simple = False  # or its centre of mass could not be moved
    body.gravcomp = float(bool(actor.asset.options.disable_gravity))
    for joint in link.joints:
        name = f"a{number}_d{len(names[1])}"
        names[1].append(name)
        row = actor.dofs[len(names[1]) - 1]
        _add_joint(scene, body, name, joint, row)
        if row["driveMode"] in DRIVEN:
            scene.driven.append((number, len(names[1]) - 1))
    for shape in link.shapes:
        name = f"a{number}_s{len(names[2])}"
        names[2].append(name)
        _add_shape(scene.spec, body, name, shape)


def _add_joint(scene: Scene, body: Any, name: str, joint: Joint, row: np.void) -> None:
    import mujoco

    kind = mujoco.mjtJoint.mjJNT_SLIDE if joint.kind == "slide" else mujoco.mjtJoint.mjJNT_HINGE
    driven = row["driveMode"] in DRIVEN
    made = body.add_joint(
        name=name, type=kind, axis=joint.axis, pos=joint.pos, armature=float(row["armature"]),
        frictionloss=float(row["friction"]),
    )  # fmt: skip
    made.stiffness[0] = float(springs(row))
    made.damping[0] = 0.0 if driven else float(row["damping"])
    made.limited = bool(row["hasLimits"])
    if row["hasLimits"]:
        made.range = [float(row["lower"]), float(row["upper"])]
    if driven:
        motor = scene.spec.add_actuator(name=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=name)
        motor.gaintype, motor.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        motor.gainprm[0] = 1.0
        motor.biasprm[1], motor.biasprm[2] = -float(row["stiffness"]), -float(row["damping"])
        motor.forcelimited, motor.forcerange = True, effort_range(row).tolist()


def _add_shape(spec: Any, body: Any, name: str, shape: Shape) -> None:
    import mujoco

    common = {"name": name, "contype": 0, "conaffinity": 1, "pos": shape.pose.pos, "quat": quaternion(shape.pose.rot)}
    if shape.kind == "mesh":
        shape.add_mesh(spec, f"{name}_mesh")
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{name}_mesh", **common)
        return
    kind = getattr(mujoco.mjtGeom, f"mjGEOM_{shape.kind.upper()}")
    body.add_geom(type=kind, size=[*shape.size, 0.0, 0.0][:3], **common)


def _add_pairs(scene: Scene, env: Env) -> None:
    """List the shapes of different bodies that may meet."""
    groups = env.groups()
    places = [
        (number, index, body)
        for number, actor in enumerate(env.actors)
        for index, body in enumerate(actor.asset.bodies_of_shapes())
    ]
    for first, (a, i, body) in enumerate(places):
        for b, j, other in places[first + 1 :]:
            one, two = env.actors[a], env.actors[b]
            apart = groups[a] == groups[b] or -1 in (groups[a], groups[b])
            if not apart or int(one.shapes[i].filter) & int(two.shapes[j].filter):
                continue
            if a == b and _joined(one, body, other):
                continue
            if _still(one, body) and _still(two, other):
                continue
            _add_pair(scene, scene.geoms[a][i], scene.geoms[b][j], (a, i, b, j))


def _list_ground(scene: Scene, env: Env, planes: int) -> None:
    """List all shapes with the planes: MuJoCo's search over bodies would cost 8 % of a step."""
    for geom in scene.spec.geoms:
        geom.contype = geom.conaffinity = 0
    for number, actor in enumerate(env.actors):
        for index, body in enumerate(actor.asset.bodies_of_shapes()):
            for plane in range(0 if _still(actor, body) else planes):
                _add_pair(scene, f"ground{plane}", scene.geoms[number][index], (number, index, -1, 0))


def _add_pair(scene: Scene, one: str, two: str, place: Tuple[int, int, int, int]) -> None:
    name = f"p{len(scene.pairs)}"
    scene.spec.add_pair(name=name, geomname1=one, geomname2=two, condim=3)
    scene.pairs[name] = place


def _rigid(actor: Actor, body: int) -> int:
    """The first body that this one is fixed to."""
    links = actor.asset.links
    while links[body].parent >= 0 and not links[body].joints:
        body = links[body].parent
    return body


def _joined(actor: Actor, body: int, other: int) -> bool:
    """True for one rigid body, and for two with a joint between them."""
    one, two, links = _rigid(actor, body), _rigid(actor, other), actor.asset.links
    if one == two:
        return True
    upper = [_rigid(actor, links[end].parent) if links[end].parent >= 0 else -1 for end in (one, two)]
    return one == upper[1] or two == upper[0]


def _still(actor: Actor, body: int) -> bool:
    """True if only the program moves the body."""
    rigid = _rigid(actor, body)
    return actor.asset.fixed and actor.asset.links[rigid].parent < 0 and not actor.asset.links[rigid].joints


def quaternion(matrix: np.ndarray) -> List[float]:
    """The quaternion (w, x, y, z) of a rotation matrix."""
    import mujoco

    found = np.zeros(4)
    mujoco.mju_mat2Quat(found, np.ascontiguousarray(matrix).flatten())
    return found.tolist()


def effort_range(rows: Any) -> np.ndarray:
    """The forces between which drives stay `[..., 2]`, N m or N; an effort of 0 is no limit."""
    effort = np.where(rows["effort"] > 0, np.minimum(rows["effort"], 1e30), 1e30)
    return np.stack((-effort, effort), axis=-1)


def springs(rows: Any) -> np.ndarray:
    """The stiffness of joints that nothing drives, N m/rad or N/m."""
    return np.where(np.isin(rows["driveMode"], DRIVEN), 0.0, rows["stiffness"])


def bounce_reference(restitution: np.ndarray, step: float) -> np.ndarray:
    """Time constants, s, and damping ratios of contacts with these coefficients of restitution.

    MuJoCo makes a spring stiffer the less it is damped; one that a time step cannot follow would throw bodies away.
    """
    logarithm = np.log(np.clip(restitution, 1e-300, 0.99))
    ratio = np.where(restitution > 0, -logarithm / np.sqrt(np.pi**2 + logarithm**2), 1.0)
    longest = np.where(restitution > 0, 2.0 * step / ratio, 0.0)
    return np.stack((np.maximum(NO_BOUNCE[0], longest), ratio), axis=-1)
