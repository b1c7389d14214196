"""The scene as a MuJoCo model: floor, object, team (docs/task.md sections 1, 3 and 12)."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..task.obstacle_config import ObstacleConfig
from . import obstacles, work
from .config import ObjectBody, PartConfig
from .contacts import FLOOR, FLOOR_FRICTION, OBJECT, ROBOT_FRICTION, friction, mean_friction
from .inertia import Inertia, combine
from .opengl import triton_before_osmesa
from .team import Team


def import_mujoco() -> Any:
    """The `mujoco` package with `mujoco.batch`.

    Raises:
        UserError: it is absent or too old, or MUJOCO_GL is wrong.

    """
    triton_before_osmesa()
    try:
        import mujoco
        import mujoco.batch
    except ImportError:
        raise UserError(
            "the mujoco backend needs MuJoCo 4.0 or newer on Python 3.11 or newer: pip install 'mapush_stack[mujoco]'"
        ) from None
    except RuntimeError as error:
        raise UserError(f"MuJoCo cannot be imported: {error}; unset MUJOCO_GL to have it chosen") from None
    logs = mujoco.MjLogConfig.get()
    logs.logto_file = False  # else MUJOCO_LOG.TXT, in whatever folder this process was started in
    mujoco.MjLogConfig.set(logs)
    return mujoco


def build(
    body: ObjectBody,
    team: Team,
    solver_iterations: int = 30,
    measure_work: bool = False,
    around: Optional[ObstacleConfig] = None,
    cone: str = "pyramidal",
) -> Any:
    """The `mujoco.MjSpec` of one environment: the object, then the robots as `Team` orders them.

    Positions are those at the origin; every environment writes its own start. Frictions are those of the middle of
    the object's range; `friction_arrays` gives an environment's own. `measure_work` adds the sensors of
    `work`, and `around` obstacles.

    Raises:
        UserError: MuJoCo is not installed.

    """
    mujoco = import_mujoco()
    spec = mujoco.MjSpec()
    spec.modelname = "mapush"
    spec.compiler.degree = False
    option = spec.option
    option.timestep = team.physics_dt
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.cone = mujoco.mjtCone.__members__[f"mjCONE_{cone.upper()}"]
    option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    option.iterations = option.ls_iterations = solver_iterations
    option.tolerance = 1e-4
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0, 0, 0.1],
        friction=friction(FLOOR_FRICTION),
        **FLOOR._asdict(),
    )
    middle = 0.5 * sum(body.friction)
    holder = spec.worldbody.add_body(name="object")
    holder.add_freejoint(name="object")
    combined_inertia(body).assign(holder)
    kinds = {"box": "BOX", "cylinder": "CYLINDER", "prism": "MESH"}
    for number, part in enumerate(body.parts):
        holder.add_geom(
            name=f"object{number}",
            type=mujoco.mjtGeom.__members__[f"mjGEOM_{kinds[part.shape]}"],
            **_shape(spec, part, number),
            pos=list(part.position),
            euler=[0.0, 0.0, np.radians(part.yaw)],
            friction=friction(mean_friction(FLOOR_FRICTION, middle)),
            **OBJECT._asdict(),
        )
    team.add_to(spec, middle)
    if around is not None:
        obstacles.add_to(spec, around)
    if measure_work:
        work.add_sensors(spec, len(team))
    return spec


def compiled(spec: Any) -> Any:
    """The `mujoco.MjModel` of a scene that `build` made.

    Raises:
        UserError: MuJoCo cannot make it.

    """
    try:
        return spec.compile()
    except ValueError as error:
        reason = str(error).split("\n")[0].replace("Error: ", "")
        raise UserError(f"MuJoCo cannot make the scene: {reason}; change mass or inertia in object.body") from None


def _shape(spec: Any, part: PartConfig, number: int) -> Dict[str, Any]:
    """What says the shape of a part's geom; the mesh of a prism is added to the `mujoco.MjSpec`."""
    if part.shape != "prism":
        return {"size": half_sizes(part)}
    return {"meshname": prism_mesh(spec, f"prism{number}", part.vertices, 0.5 * part.size[0])}


def prism_mesh(spec: Any, name: str, vertices: Sequence[Tuple[float, float]], half_height: float) -> str:
    """Add a mesh: the outline `vertices` from below to above the origin; returns its name."""
    corners = [(x, y, z) for z in (-half_height, half_height) for x, y in vertices]
    spec.add_mesh(name=name, uservert=np.array(corners).flatten())
    return name


def half_sizes(part: PartConfig) -> List[float]:
    """MuJoCo's `size` of a part: half lengths of a box; radius and half height of a cylinder."""
    if part.shape == "cylinder":
        return [part.size[0], 0.5 * part.size[1], 0.0]
    return [0.5 * length for length in part.size]


def combined_inertia(body: ObjectBody) -> Inertia:
    """All parts of an object together."""
    return combine([Inertia(part.mass, np.array(part.position), _turned_inertia(part)) for part in body.parts])


def _turned_inertia(part: PartConfig) -> np.ndarray:
    """A part's inertia about its centre along the object's axes, `[3, 3]`."""
    if part.yaw == 0:
        return np.diag(part.inertia)
    cos, sin = np.cos(np.radians(part.yaw)), np.sin(np.radians(part.yaw))
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    turned: np.ndarray = turn @ np.diag(part.inertia) @ turn.T
    return turned


def friction_arrays(model: Any, coefficients: Tensor, own: Sequence[str]) -> Tensor:
    """Every geom's friction `[N, ngeom, 3]` for the objects' `coefficients` `[N]`.

    That of the floor, of obstacles and of the geoms named in `own` does not depend on the object.
    """
    arrays = torch.from_numpy(np.tile(model.geom_friction, (len(coefficients), 1, 1)))
    for geom in range(model.ngeom):
        name = model.geom(geom).name
        if name != "floor" and name not in own and not name.startswith(obstacles.NAME):
            other = FLOOR_FRICTION if name.startswith("object") else ROBOT_FRICTION
            arrays[:, geom, 0] = mean_friction(other, coefficients.double())
    return arrays
