"""Isaac Gym's `Gym`: the calls that programs make. Those that it lacks are refused by name."""

from __future__ import annotations

import time
from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import torch
from torch import Tensor

from . import activation, mjcf, terrain, urdf
from .actor import Actor, Env
from .actor_calls import ActorCalls
from .asset import Asset, copies, kept, primitive
from .camera import CameraCalls
from .contact_calls import ContactCalls
from .handle_calls import HandleCalls
from .matrices import MatrixCalls
from .simulation import Handle, Simulation
from .support import IGNORED, Refused, UnsupportedError, ignore
from .types import (
    ActuatorProperties,
    AssetOptions,
    CoordinateSpace,
    IndexDomain,
    Mat33,
    RigidBodyProperties,
    RigidShapeProperties,
    SimParams,
    SimType,
    Vec3,
)


class Gym(ActorCalls, HandleCalls, ContactCalls, CameraCalls, MatrixCalls):
    """The one object that `acquire_gym` returns."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in IGNORED:
            return _Nothing(name)
        return Refused(f"gym.{name}")  # not yet: programs put calls that they never make into tables

    # Simulation

    def create_sim(self, compute_device: int = 0, graphics_device: int = 0, type: Any = 0, params: Any = None) -> Any:
        """An empty simulation."""
        del graphics_device
        if type not in (SimType.SIM_PHYSX, None):
            raise UnsupportedError("SIM_FLEX", "use SIM_PHYSX")
        params = params or SimParams()
        on_warp, on_gpu = activation.engine() == "warp", torch.cuda.is_available()
        if on_warp and on_gpu and not params.use_gpu_pipeline:
            raise UnsupportedError("the CPU pipeline with MAPUSH_GYM=warp", "use --pipeline gpu, or MAPUSH_GYM=mujoco")
        if not on_warp and on_gpu and params.use_gpu_pipeline:
            raise UnsupportedError("the GPU pipeline with MAPUSH_GYM=mujoco", "use MAPUSH_GYM=warp, or --pipeline cpu")
        device = torch.device(f"cuda:{compute_device}" if on_warp and on_gpu else "cpu")
        return Simulation(params, device, on_warp)

    def destroy_sim(self, sim: Simulation) -> None:
        """Forget the copies; the tensors that a program holds stay as they are."""
        sim.layouts.clear()
        sim.destroyed = True

    def get_sim_params(self, sim: Simulation) -> Any:
        """A copy of the parameters; `set_sim_params` writes them."""
        return deepcopy(sim.params)

    def set_sim_params(self, sim: Simulation, params: Any) -> None:
        """Take another gravity; a running simulation keeps its time step."""
        sim.params.gravity = deepcopy(params.gravity)
        for layout in sim.layouts:
            gravity = layout.engine.field("opt.gravity")
            gravity[:] = torch.tensor(tuple(params.gravity), dtype=gravity.dtype, device=gravity.device)

    def prepare_sim(self, sim: Simulation) -> bool:
        """Make the models of all environments."""
        sim.prepare()
        return True

    def simulate(self, sim: Simulation) -> None:
        """Advance by dt."""
        sim.simulate()

    def fetch_results(self, sim: Simulation, wait: bool = True) -> bool:
        """Nothing to wait for."""
        del sim, wait
        return True

    def get_sim_time(self, sim: Simulation) -> float:
        """Simulated seconds."""
        return sim.frames * float(sim.params.dt)

    def get_elapsed_time(self, sim: Simulation) -> float:
        """Seconds on the clock since `create_sim`."""
        return time.monotonic() - sim.started

    def get_frame_count(self, sim: Simulation) -> int:
        """Calls of `simulate`."""
        return sim.frames

    def get_version(self) -> str:
        """What stands in for Isaac Gym."""
        from .. import __version__

        return f"mapush_stack {__version__}"

    # Ground

    def add_ground(self, sim: Simulation, params: Any) -> None:
        """A plane."""
        sim.pieces.append(terrain.from_plane(params))

    def add_triangle_mesh(self, sim: Simulation, vertices: Any, triangles: Any, params: Any) -> None:
        """A mesh that is a box, or over a grid."""
        sim.pieces += terrain.from_mesh(vertices, triangles, params)

    def add_heightfield(self, sim: Simulation, heights: Any, params: Any) -> None:
        """Heights over a grid."""
        sim.pieces += terrain.from_heights(heights, params)

    # Assets

    def load_asset(self, sim: Simulation, rootpath: str, filename: str, options: Any = None) -> Asset:
        """A URDF file, or an MJCF file (.xml)."""
        path, options = Path(rootpath) / filename, options or AssetOptions()
        asset: Asset = (mjcf if path.suffix.lower() in (".xml", ".mjcf") else urdf).load(path, options)
        asset.key = (str(path.resolve()), path.stat().st_mtime_ns, repr(options))
        return asset

    load_urdf = load_asset

    def load_mjcf(self, sim: Simulation, rootpath: str, filename: str, options: Any = None) -> Asset:
        """An MJCF file."""
        return mjcf.load(Path(rootpath) / filename, options or AssetOptions())

    def create_box(self, sim: Simulation, width: float, height: float, depth: float, options: Any = None) -> Asset:
        """A box of these sides, m."""
        return primitive("box", (0.5 * width, 0.5 * height, 0.5 * depth), options)

    def create_sphere(self, sim: Simulation, radius: float, options: Any = None) -> Asset:
        """A ball, m."""
        return primitive("sphere", (float(radius),), options)

    def create_capsule(self, sim: Simulation, radius: float, length: float, options: Any = None) -> Asset:
        """A capsule along its x axis; `length` is that of its straight part, m."""
        asset = primitive("capsule", (float(radius), 0.5 * float(length)), options)
        asset.shapes[0].pose.rot = urdf.rotation(0.0, 0.5 * np.pi, 0.0)
        return asset

    def get_asset_dof_count(self, asset: Asset) -> int:
        """Degrees of freedom."""
        return len(asset.joints)

    def get_asset_dof_names(self, asset: Asset) -> List[str]:
        """Names, in order."""
        return list(asset.dof_names)

    def get_asset_dof_name(self, asset: Asset, index: int) -> str:
        """A name."""
        return asset.dof_names[index]

    def get_asset_dof_dict(self, asset: Asset) -> Dict[str, int]:
        """Numbers by name."""
        return {name: number for number, name in enumerate(asset.dof_names)}

    def get_asset_dof_properties(self, asset: Asset) -> np.ndarray:
        """A row for each degree of freedom."""
        return asset.dof_properties()

    def find_asset_dof_index(self, asset: Asset, name: str) -> int:
        """A number; -1 if there is none of that name."""
        return _index(asset.dof_names, name)

    def get_asset_rigid_body_count(self, asset: Asset) -> int:
        """Bodies."""
        return len(asset.links)

    def get_asset_rigid_body_names(self, asset: Asset) -> List[str]:
        """Names, in order."""
        return list(asset.body_names)

    def get_asset_rigid_body_name(self, asset: Asset, index: int) -> str:
        """A name."""
        return asset.body_names[index]

    def get_asset_rigid_body_dict(self, asset: Asset) -> Dict[str, int]:
        """Numbers by name."""
        return {name: number for number, name in enumerate(asset.body_names)}

    def find_asset_rigid_body_index(self, asset: Asset, name: str) -> int:
        """A number; -1 if there is none of that name."""
        return _index(asset.body_names, name)

    def get_asset_rigid_shape_count(self, asset: Asset) -> int:
        """Shapes that collide."""
        return len(asset.shapes)

    def get_asset_joint_count(self, asset: Asset) -> int:
        """Joints, also those that fix a body to another."""
        return len(asset.joint_names)

    def get_asset_joint_names(self, asset: Asset) -> List[str]:
        """Their names, in order."""
        return asset.joint_names

    def get_actor_joint_count(self, env: Env, actor: int) -> int:
        """Joints of an actor."""
        return len(env.actors[actor].asset.joint_names)

    def get_actor_joint_names(self, env: Env, actor: int) -> List[str]:
        """Names of an actor's joints."""
        return env.actors[actor].asset.joint_names

    def get_actor_joint_dict(self, env: Env, actor: int) -> Dict[str, int]:
        """Their numbers by name."""
        return {name: number for number, name in enumerate(env.actors[actor].asset.joint_names)}

    def get_asset_actuator_count(self, asset: Asset) -> int:
        """Motors of an MJCF file."""
        return len(asset.actuators)

    def get_asset_actuator_properties(self, asset: Asset) -> List[ActuatorProperties]:
        """The motors, as the file has them; they drive nothing."""
        return deepcopy(asset.actuators)

    def get_asset_actuator_name(self, asset: Asset, index: int) -> str:
        """The name of a motor."""
        return str(asset.actuators[index].name)

    def get_asset_actuator_joint_name(self, asset: Asset, index: int) -> str:
        """The joint of a motor."""
        return str(asset.actuators[index].joint)

    def get_asset_rigid_shape_properties(self, asset: Asset) -> List[RigidShapeProperties]:
        """Copies; `set_asset_rigid_shape_properties` writes them."""
        return asset.copies_of_shapes()

    def set_asset_rigid_shape_properties(self, asset: Asset, properties: List[RigidShapeProperties]) -> None:
        """For the actors that are created from now on."""
        asset.shape_properties = copies(_as_many(properties, asset.shapes, "shapes"))

    # Environments and actors

    def create_env(self, sim: Simulation, lower: Any, upper: Any, num_per_row: int) -> Env:
        """An environment; its tensors are in its own frame, as Isaac Gym's are, and its ground is the same as all have.

        Isaac Gym puts environments on a grid of this spacing. Here each is a world of its own.
        """
        if sim.layouts:
            raise RuntimeError("create_env must be called before prepare_sim")
        row, column = divmod(len(sim.envs), max(1, int(num_per_row)))
        env = Env(len(sim.envs), sim, ((upper.x - lower.x) * column, (upper.y - lower.y) * row, 0.0))
        sim.envs.append(env)
        return env

    def get_env_origin(self, env: Env) -> Vec3:
        """Where the environment would be on Isaac Gym's grid."""
        return Vec3(*env.origin)

    def get_env_count(self, sim: Simulation) -> int:
        """Environments."""
        return len(sim.envs)

    def get_env(self, sim: Simulation, index: int) -> Env:
        """An environment."""
        return sim.envs[index]

    def create_actor(
        self,
        env: Env,
        asset: Asset,
        pose: Any,
        name: str = "",
        group: int = 0,
        filter: int = 0,
        segmentationId: int = 0,
    ) -> int:
        """An asset in an environment; returns its number there."""
        sim = env.sim
        if sim.layouts:
            raise RuntimeError("create_actor must be called before prepare_sim")
        made = Actor(asset, pose, name, int(group), int(filter), sim.num_actors)
        made.number = int(segmentationId)
        env.actors.append(made)
        sim.num_actors += 1
        return len(env.actors) - 1

    def get_actor_count(self, env: Env) -> int:
        """Actors of an environment."""
        return len(env.actors)

    def get_actor_name(self, env: Env, actor: int) -> str:
        """The name given to it."""
        return env.actors[actor].name

    def get_actor_handle(self, env: Env, index: int) -> int:
        """The same number."""
        return index

    def find_actor_handle(self, env: Env, name: str) -> int:
        """The actor of that name; -1 if there is none."""
        return _index([actor.name for actor in env.actors], name)

    def get_actor_index(self, env: Env, actor: int, domain: Any) -> int:
        """The number of an actor in its environment or in the simulation."""
        return env.actors[actor].index if domain == IndexDomain.DOMAIN_SIM else actor

    def find_actor_index(self, env: Env, name: str, domain: Any) -> int:
        """The number of the actor of that name."""
        found = self.find_actor_handle(env, name)
        return found if found < 0 else self.get_actor_index(env, found, domain)

    def get_actor_asset(self, env: Env, actor: int) -> Asset:
        """What the actor was made of."""
        return env.actors[actor].asset

    def set_actor_scale(self, env: Env, actor: int, scale: float) -> bool:
        """Scale an actor: lengths by `scale`, masses by its cube; only before `prepare_sim`."""
        size = float(np.asarray(scale).reshape(-1)[0])
        if size == env.actors[actor].scale:
            return True
        if not 0.0 < size < float("inf"):
            raise ValueError(f"set_actor_scale: {scale} is no size; give a number above 0")
        if env.sim.layouts:
            raise UnsupportedError("set_actor_scale after prepare_sim", "set it before")
        env.actors[actor].resize(size)
        return True

    def get_actor_scale(self, env: Env, actor: int) -> float:
        """An actor's scale; 1 is its size in the file."""
        return env.actors[actor].scale

    def get_actor_dof_count(self, env: Env, actor: int) -> int:
        """Degrees of freedom of an actor."""
        return len(env.actors[actor].dofs)

    def get_actor_dof_names(self, env: Env, actor: int) -> List[str]:
        """Their names."""
        return list(env.actors[actor].asset.dof_names)

    def get_actor_dof_dict(self, env: Env, actor: int) -> Dict[str, int]:
        """Their numbers by name."""
        return self.get_asset_dof_dict(env.actors[actor].asset)

    def get_actor_dof_properties(self, env: Env, actor: int) -> np.ndarray:
        """A copy of their rows."""
        return env.actors[actor].dofs.copy()

    def set_actor_dof_properties(self, env: Env, actor: int, properties: np.ndarray) -> bool:
        """Limits, drives, damping and friction of an actor's degrees of freedom; drive modes before `prepare_sim`."""
        given = np.array(properties, dtype=env.actors[actor].dofs.dtype)
        own = env.actors[actor]
        _as_many(given, own.dofs, "degrees of freedom")
        for name in ("driveMode", "hasLimits") if env.sim.layouts else ():
            if np.any(given[name] != own.dofs[name]):
                raise UnsupportedError(f"another {name} after prepare_sim", "set it before")
        own.dofs = given
        env.sim.dirty[env.index] = None
        return True

    def find_actor_dof_handle(self, env: Env, actor: int, name: str) -> int:
        """The number of a degree of freedom in its environment."""
        found = _index(env.actors[actor].asset.dof_names, name)
        return found if found < 0 else found + sum(len(one.dofs) for one in env.actors[:actor])

    def find_actor_dof_index(self, env: Env, actor: int, name: str, domain: Any) -> int:
        """The number of a degree of freedom in its actor, environment or simulation."""
        found = _index(env.actors[actor].asset.dof_names, name)
        before = sum(len(one.dofs) for one in env.actors[:actor])
        return _in_domain(found, before, env, "first_dof", domain)

    def get_actor_rigid_body_count(self, env: Env, actor: int) -> int:
        """Bodies of an actor."""
        return len(env.actors[actor].bodies)

    def get_actor_rigid_body_names(self, env: Env, actor: int) -> List[str]:
        """Their names."""
        return list(env.actors[actor].asset.body_names)

    def get_actor_rigid_body_dict(self, env: Env, actor: int) -> Dict[str, int]:
        """Their numbers by name."""
        return self.get_asset_rigid_body_dict(env.actors[actor].asset)

    def find_actor_rigid_body_handle(self, env: Env, actor: int, name: str) -> int:
        """The number of a body in its environment; -1 if there is none of that name."""
        return self.find_actor_rigid_body_index(env, actor, name, IndexDomain.DOMAIN_ENV)

    def find_actor_rigid_body_index(self, env: Env, actor: int, name: str, domain: Any) -> int:
        """The number of a body in its actor, environment or simulation."""
        found = _index(env.actors[actor].asset.body_names, name)
        before = sum(len(one.bodies) for one in env.actors[:actor])
        return _in_domain(found, before, env, "first_body", domain)

    def get_actor_rigid_body_index(self, env: Env, actor: int, body: int, domain: Any) -> int:
        """The number of an actor's body in its actor, environment or simulation."""
        before = sum(len(one.bodies) for one in env.actors[:actor])
        return _in_domain(body, before, env, "first_body", domain)

    def get_env_rigid_body_count(self, env: Env) -> int:
        """Bodies of an environment."""
        return sum(len(actor.bodies) for actor in env.actors)

    def get_env_dof_count(self, env: Env) -> int:
        """Degrees of freedom of an environment."""
        return sum(len(actor.dofs) for actor in env.actors)

    def get_sim_actor_count(self, sim: Simulation) -> int:
        """Actors of the simulation."""
        return sim.num_actors

    def get_sim_dof_count(self, sim: Simulation) -> int:
        """Degrees of freedom of the simulation."""
        return sum(self.get_env_dof_count(env) for env in sim.envs)

    def get_sim_rigid_body_count(self, sim: Simulation) -> int:
        """Bodies of the simulation."""
        return sum(self.get_env_rigid_body_count(env) for env in sim.envs)

    def get_actor_rigid_body_properties(self, env: Env, actor: int) -> List[RigidBodyProperties]:
        """Copies of masses, centres and inertias; `set_actor_rigid_body_properties` writes them."""
        return copies(env.actors[actor].bodies)

    def set_actor_rigid_body_properties(
        self, env: Env, actor: int, properties: List[RigidBodyProperties], recomputeInertia: bool = False
    ) -> bool:
        """Masses and centres of an actor's bodies; with `recomputeInertia` their inertias grow with the masses."""
        own = env.actors[actor]
        own.bodies = kept(own.bodies, _as_many(properties, own.bodies, "bodies"))
        for body, first, inertia in zip(own.bodies, own.asset.bodies, own.asset.masses) if recomputeInertia else ():
            if body is not first:
                body.inertia = Mat33.of(inertia.tensor * (body.mass / inertia.mass))
        env.sim.dirty[env.index] = None
        return True

    def get_actor_rigid_shape_count(self, env: Env, actor: int) -> int:
        """Shapes of an actor."""
        return len(env.actors[actor].shapes)

    def get_actor_rigid_shape_properties(self, env: Env, actor: int) -> List[RigidShapeProperties]:
        """Copies; `set_actor_rigid_shape_properties` writes them."""
        return copies(env.actors[actor].shapes)

    def set_actor_rigid_shape_properties(self, env: Env, actor: int, properties: List[RigidShapeProperties]) -> bool:
        """Friction and restitution of an actor's shapes, also while it runs; `filter` before `prepare_sim`."""
        own = env.actors[actor]
        given = kept(own.shapes, _as_many(properties, own.shapes, "shapes"))
        if env.sim.layouts and any(int(a.filter) != int(b.filter) for a, b in zip(given, own.shapes)):
            raise UnsupportedError("another filter of a shape after prepare_sim", "set it before")
        own.shapes = given
        env.sim.dirty[env.index] = None
        return True

    # Tensors

    def acquire_actor_root_state_tensor(self, sim: Simulation) -> Handle:
        """`[actors, 13]`: position, quaternion (x, y, z, w), velocity of the centre of mass, spin."""
        return _handle(sim, "roots")

    def acquire_dof_state_tensor(self, sim: Simulation) -> Handle:
        """`[degrees of freedom, 2]`: position and speed."""
        return _handle(sim, "dofs")

    def acquire_rigid_body_state_tensor(self, sim: Simulation) -> Handle:
        """`[bodies, 13]`, as the roots."""
        return _handle(sim, "bodies")

    def acquire_net_contact_force_tensor(self, sim: Simulation) -> Handle:
        """`[bodies, 3]`, N, in the world's axes."""
        return _handle(sim, "contacts")

    def acquire_dof_force_tensor(self, sim: Simulation) -> Handle:
        """`[degrees of freedom]`, N m or N."""
        return _handle(sim, "dof_forces")

    def refresh_actor_root_state_tensor(self, sim: Simulation) -> bool:
        """Fill the tensor."""
        sim.refresh("roots")
        return True

    def refresh_dof_state_tensor(self, sim: Simulation) -> bool:
        """Fill the tensor."""
        sim.refresh("dofs")
        return True

    def refresh_rigid_body_state_tensor(self, sim: Simulation) -> bool:
        """Fill the tensor."""
        sim.refresh("bodies")
        return True

    def refresh_net_contact_force_tensor(self, sim: Simulation) -> bool:
        """Fill the tensor."""
        sim.refresh("contacts")
        return True

    def refresh_dof_force_tensor(self, sim: Simulation) -> bool:
        """Fill the tensor."""
        sim.refresh("dof_forces")
        return True

    def enable_actor_dof_force_sensors(self, env: Env, actor: int) -> bool:
        """They are always on."""
        del env, actor
        return True

    def set_actor_root_state_tensor(self, sim: Simulation, states: Tensor) -> bool:
        """Write all actors' states."""
        sim.set_roots(states, None)
        return True

    def set_actor_root_state_tensor_indexed(self, sim: Simulation, states: Tensor, actors: Tensor, count: int) -> bool:
        """Write the states of the first `count` of these actors."""
        sim.set_roots(states, actors.reshape(-1)[:count])
        return True

    def set_dof_state_tensor(self, sim: Simulation, states: Tensor) -> bool:
        """Write all degrees of freedom."""
        sim.set_dofs(states, None)
        return True

    def set_dof_state_tensor_indexed(self, sim: Simulation, states: Tensor, actors: Tensor, count: int) -> bool:
        """Write the degrees of freedom of the first `count` of these actors."""
        sim.set_dofs(states, actors.reshape(-1)[:count])
        return True

    def set_dof_actuation_force_tensor(self, sim: Simulation, forces: Tensor) -> bool:
        """Forces on the degrees of freedom, N m or N, until they are set anew."""
        sim.set_targets("force", forces, None)
        return True

    def set_dof_actuation_force_tensor_indexed(
        self, sim: Simulation, forces: Tensor, actors: Tensor, count: int
    ) -> bool:
        """The same for some actors."""
        sim.set_targets("force", forces, actors.reshape(-1)[:count])
        return True

    def set_dof_position_target_tensor(self, sim: Simulation, targets: Tensor) -> bool:
        """Targets of position drives, rad or m."""
        sim.set_targets("position", targets, None)
        return True

    def set_dof_position_target_tensor_indexed(
        self, sim: Simulation, targets: Tensor, actors: Tensor, count: int
    ) -> bool:
        """The same for some actors."""
        sim.set_targets("position", targets, actors.reshape(-1)[:count])
        return True

    def set_dof_velocity_target_tensor(self, sim: Simulation, targets: Tensor) -> bool:
        """Targets of velocity drives, rad/s or m/s."""
        sim.set_targets("velocity", targets, None)
        return True

    def set_dof_velocity_target_tensor_indexed(
        self, sim: Simulation, targets: Tensor, actors: Tensor, count: int
    ) -> bool:
        """The same for some actors."""
        sim.set_targets("velocity", targets, actors.reshape(-1)[:count])
        return True

    def apply_rigid_body_force_tensors(
        self, sim: Simulation, forces: Optional[Tensor] = None, torques: Optional[Tensor] = None, space: Any = 0
    ) -> bool:
        """Forces and torques `[bodies, 3]` on centres of mass for the next step."""
        sim.push(forces, torques, None, space == CoordinateSpace.LOCAL_SPACE)
        return True

    def apply_rigid_body_force_at_pos_tensors(
        self, sim: Simulation, forces: Tensor, positions: Optional[Tensor] = None, space: Any = 0
    ) -> bool:
        """Forces `[bodies, 3]` at places `[bodies, 3]` for the next step."""
        sim.push(forces, None, positions, space == CoordinateSpace.LOCAL_SPACE)
        return True

    # Pictures

    def create_viewer(self, sim: Simulation, properties: Any) -> None:
        """No window: None, which programs take as headless."""
        ignore("viewer")


class _Nothing:
    """A call without effect."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_: Any, **__: Any) -> None:
        ignore(self._name)


def _index(names: List[str], name: str) -> int:
    return names.index(name) if name in names else -1


def _in_domain(found: int, before: int, env: Env, first: str, domain: Any) -> int:
    if found < 0 or domain == IndexDomain.DOMAIN_ACTOR:
        return found
    if domain == IndexDomain.DOMAIN_ENV:
        return found + before
    if env.sim.layouts:
        return found + before + int(getattr(env.sim, first)[env.index])
    parts = "bodies" if first == "first_body" else "dofs"  # of the environments that are there by now
    return found + before + sum(len(getattr(actor, parts)) for one in env.sim.envs[: env.index] for actor in one.actors)


def _as_many(given: Any, own: Any, what: str) -> Any:
    if len(given) != len(own):
        raise ValueError(f"this actor has {len(own)} {what}, and {len(given)} properties were given")
    return given


def _handle(sim: Simulation, name: str) -> Handle:
    sim.check()
    return sim.handles[name]
