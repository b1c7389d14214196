"""The scene as a MuJoCo model, built from code: floor, object, team (task_spec sections 1, 3 and 12)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .config import ObjectBody, PartConfig, SimConfig
from .robots import planar

FLOOR_FRICTION = 0.1
"""Terrain friction coefficient (task_spec section 3)."""
ROBOT_FRICTION = 1.0
"""Robot shapes' friction coefficient (task_spec section 3)."""


class ContactBits(NamedTuple):
    """MuJoCo's contype and conaffinity: a pair collides where one's type meets the other's affinity."""

    contype: int
    conaffinity: int


FLOOR, OBJECT, ROBOT = ContactBits(1, 0), ContactBits(2, 1), ContactBits(4, 6)
"""Floor meets object; object meets floor and robots; robots meet object and each other, not the floor."""


def mean_friction(first: float, second: float) -> float:
    """PhysX averages two coefficients; MuJoCo takes the larger, so each geom gets its average with the smaller one."""
    return 0.5 * (first + second)


def build(config: SimConfig, body: ObjectBody, num_robots: int) -> Any:
    """The `mujoco.MjSpec` of one environment: object first, then the robots in order.

    Positions are those at the origin; every environment writes its own start. Frictions are those of the middle of
    the object's range; `friction_arrays` gives an environment's own.
    """
    import mujoco

    spec = mujoco.MjSpec()
    spec.modelname = "mapush"
    option = spec.option
    option.timestep = config.physics_dt
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    option.iterations = option.ls_iterations = config.solver_iterations
    option.tolerance = 1e-4
    # A simulation that diverges must be seen as such, not silently start again.
    option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0, 0, 0.1],
        friction=[FLOOR_FRICTION, 0.005, 0.0001],
        **FLOOR._asdict(),
    )
    friction = 0.5 * sum(body.friction)
    _add_object(spec, body, mean_friction(FLOOR_FRICTION, friction))
    contact = dict(ROBOT._asdict(), friction=[mean_friction(ROBOT_FRICTION, friction), 0.005, 0.0001])
    for index in range(num_robots):
        planar.add_to(spec, f"robot{index}", config, contact)
    return spec


def _add_object(spec: Any, body: ObjectBody, friction: float) -> None:
    import mujoco

    holder = spec.worldbody.add_body(name="object")
    holder.add_freejoint(name="object")
    mass, centre, inertia = combined_inertia(body)
    holder.mass, holder.ipos, holder.explicitinertial = mass, centre, True
    holder.fullinertia = [inertia[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    for number, part in enumerate(body.parts):
        round_part = part.shape == "cylinder"
        holder.add_geom(
            name=f"object{number}",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER if round_part else mujoco.mjtGeom.mjGEOM_BOX,
            size=half_sizes(part),
            pos=list(part.position),
            friction=[friction, 0.005, 0.0001],
            **OBJECT._asdict(),
        )


def half_sizes(part: PartConfig) -> list:
    """MuJoCo's `size` of a part: half lengths of a box; radius and half height of a cylinder."""
    if part.shape == "cylinder":
        return [part.size[0], 0.5 * part.size[1], 0.0]
    return [0.5 * length for length in part.size]


def combined_inertia(body: ObjectBody) -> tuple:
    """Mass (kg), centre of mass `[3]` (m) and inertia about it `[3, 3]` (kg m^2) of all parts together."""
    mass = sum(part.mass for part in body.parts)
    centre = sum(part.mass * np.array(part.position) for part in body.parts) / mass
    inertia = np.zeros((3, 3))
    for part in body.parts:
        offset = np.array(part.position) - centre
        inertia += np.diag(part.inertia) + part.mass * (offset @ offset * np.eye(3) - np.outer(offset, offset))
    return mass, centre, inertia


def friction_arrays(model: Any, friction: np.ndarray) -> np.ndarray:
    """Every geom's friction `[N, ngeom, 3]` for environments whose object has the coefficients `friction` `[N]`."""
    arrays = np.tile(model.geom_friction, (len(friction), 1, 1))
    for geom in range(model.ngeom):
        name = model.geom(geom).name
        if name != "floor":
            other = FLOOR_FRICTION if name.startswith("object") else ROBOT_FRICTION
            arrays[:, geom, 0] = mean_friction(other, friction)
    return arrays
