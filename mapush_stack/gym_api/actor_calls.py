"""The calls of `Gym` that read and write one actor by numpy, and its force sensors; tensors do it for all at once."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from .actor import Actors, Env
from .asset import Asset
from .rows import DofState, RigidBodyState
from .simulation import Handle, Simulation
from .types import CoordinateSpace, ForceSensorProperties, Transform, Vec3

_POS, _VEL = 1, 2
"""Bits of STATE_POS, STATE_VEL and STATE_ALL."""


class ActorCalls:
    """States, targets, efforts and pushes of a single actor or body; may be set before `prepare_sim`, too."""

    def get_actor_rigid_body_states(self, env: Env, actor: int, flags: int) -> np.ndarray:
        """A row of `RigidBodyState` for each body."""
        first = sum(len(one.bodies) for one in env.actors[:actor])
        return self.get_env_rigid_body_states(env, flags)[first : first + len(env.actors[actor].bodies)]

    def get_env_rigid_body_states(self, env: Env, flags: int) -> np.ndarray:
        """The rows of all bodies of an environment."""
        env = ready(env)
        layout = env.sim.layout_of(env)
        rows = layout.bodies()[layout.row(env.index)].cpu().numpy()
        return np.ascontiguousarray(rows).view(RigidBodyState.dtype)[:, 0]

    def get_sim_rigid_body_states(self, sim: Simulation, flags: int) -> np.ndarray:
        """The rows of all bodies."""
        return np.concatenate([self.get_env_rigid_body_states(env, flags) for env in sim.envs])

    def set_actor_rigid_body_states(self, env: Env, actor: int, states: np.ndarray, flags: int) -> bool:
        """Put the actor's root there; its other bodies follow by its joints."""
        if later(env, self.set_actor_rigid_body_states, env, actor, np.copy(states), flags):
            return True
        sim, index = env.sim, env.actors[actor].index
        row = np.ascontiguousarray(states).view(np.float32).reshape(-1, 13)[0]
        sim.refresh("roots")
        roots = sim.handles["roots"].tensor.clone()
        chosen = [slice(7), slice(7, 13)]
        for part in [part for bit, part in zip((_POS, _VEL), chosen) if flags & bit]:
            roots[index, part] = torch.from_numpy(row[part]).to(roots)
        sim.set_roots(roots, torch.tensor([index], device=roots.device))
        return True

    def get_actor_dof_states(self, env: Env, actor: int, flags: int) -> np.ndarray:
        """A row of `DofState` for each degree of freedom."""
        env = ready(env)
        env.sim.refresh("dofs")
        rows = env.sim.handles["dofs"].tensor[env.sim.dofs_of(env.actors[actor].index)].cpu().numpy()
        return np.array(rows, order="C").view(DofState.dtype)[:, 0]

    def set_actor_dof_states(self, env: Env, actor: int, states: np.ndarray, flags: int) -> bool:
        """Write positions, speeds or both."""
        if later(env, self.set_actor_dof_states, env, actor, np.copy(states), flags):
            return True
        sim, index = env.sim, env.actors[actor].index
        sim.refresh("dofs")
        dofs, own = sim.handles["dofs"].tensor.clone(), sim.dofs_of(index)
        for column in [column for bit, column in ((_POS, 0), (_VEL, 1)) if flags & bit]:
            values = np.ascontiguousarray(states["pos" if column == 0 else "vel"])
            dofs[own, column] = torch.from_numpy(values).to(dofs)
        sim.set_dofs(dofs, torch.tensor([index], device=dofs.device))
        return True

    def get_actor_dof_position_targets(self, env: Env, actor: int) -> np.ndarray:
        """Targets of position drives, rad or m."""
        return _targets(env, actor, "position")

    def get_actor_dof_velocity_targets(self, env: Env, actor: int) -> np.ndarray:
        """Targets of velocity drives, rad/s or m/s."""
        return _targets(env, actor, "velocity")

    def set_actor_dof_position_targets(self, env: Env, actor: int, targets: np.ndarray) -> bool:
        """Targets of position drives, rad or m."""
        return _set_targets(env, actor, "position", targets)

    def set_actor_dof_velocity_targets(self, env: Env, actor: int, targets: np.ndarray) -> bool:
        """Targets of velocity drives, rad/s or m/s."""
        return _set_targets(env, actor, "velocity", targets)

    def apply_actor_dof_efforts(self, env: Env, actor: int, efforts: np.ndarray) -> bool:
        """Forces on the degrees of freedom, N m or N, until they are set anew."""
        return _set_targets(env, actor, "force", efforts)

    def get_actor_dof_forces(self, env: Env, actor: int) -> np.ndarray:
        """Forces of drives and of the program, N m or N."""
        layout, own = env.sim.layout_of(env), env.sim.dofs_of(env.actors[actor].index)
        first = env.sim.first_dof[env.index]
        forces: Tensor = layout.joint_forces()[layout.row(env.index), own.start - first : own.stop - first]
        return forces.cpu().numpy()

    def get_rigid_transform(self, env: Env, body: int) -> Transform:
        """Where a body of the environment is."""
        return Transform.from_buffer(_row(env, body)[:7])

    def get_rigid_linear_velocity(self, env: Env, body: int) -> Vec3:
        """The velocity of a body's centre of mass, m/s."""
        return Vec3(*_row(env, body)[7:10])

    def get_rigid_angular_velocity(self, env: Env, body: int) -> Vec3:
        """The spin of a body, rad/s."""
        return Vec3(*_row(env, body)[10:])

    def get_actor_root_rigid_body_handle(self, env: Env, actor: int) -> int:
        """The number of an actor's first body in its environment."""
        return self.get_actor_rigid_body_handle(env, actor, 0)

    def get_actor_rigid_body_handle(self, env: Env, actor: int, body: int) -> int:
        """The number of an actor's body in its environment."""
        return body + sum(len(one.bodies) for one in env.actors[:actor])

    def apply_body_forces(
        self, env: Env, body: int, force: Any = None, torque: Any = None, space: Any = CoordinateSpace.ENV_SPACE
    ) -> bool:
        """A force and a torque on a body's centre of mass for the next step."""
        forces, torques = (_only(env, body, value) for value in (force, torque))
        env.sim.push(forces, torques, None, space == CoordinateSpace.LOCAL_SPACE)
        return True

    def create_asset_force_sensor(
        self, asset: Asset, body: int, place: Transform, properties: Optional[ForceSensorProperties] = None
    ) -> int:
        """A sensor of contact forces on a body; returns its number in the asset."""
        asset.sensors.append((int(body), deepcopy(place), bool(properties and properties.use_world_frame)))
        return len(asset.sensors) - 1

    def get_asset_force_sensor_count(self, asset: Asset) -> int:
        """Force sensors of an asset."""
        return len(asset.sensors)

    def get_actor_force_sensor_count(self, env: Env, actor: int) -> int:
        """Force sensors of an actor."""
        return len(env.actors[actor].asset.sensors)

    def get_sim_force_sensor_count(self, sim: Simulation) -> int:
        """Force sensors of the simulation."""
        return sum(len(actor.asset.sensors) for env in sim.envs for actor in env.actors)

    def acquire_force_sensor_tensor(self, sim: Simulation) -> Optional[Handle]:
        """`[sensors, 6]`: force, N, and torque, N m; None if there is none."""
        sim.check()
        return sim.handles["sensors"] if sim.num_sensors else None

    def refresh_force_sensor_tensor(self, sim: Simulation) -> bool:
        """Fill the tensor."""
        sim.refresh("sensors")
        return True


def later(env: Env, call: Any, *arguments: Any) -> bool:
    """Defer `call(env, ...)` until the simulation is prepared; False if it already is."""
    if env.sim.layouts:
        return False
    env.sim.later.append((env, call, arguments[1:]))
    return True


def ready(env: Env) -> Env:
    """`env` if it is prepared, else a prepared copy of it alone, to read from."""
    if env.sim.layouts:
        return env
    version = (len(env.actors), len(env.sim.later))
    if env.draft is None or env.draft[0] != version:
        alone = Simulation(env.sim.params, torch.device("cpu"))
        copied = Env(0, alone, env.origin, Actors(copy(actor) for actor in env.actors))
        for index, actor in enumerate(copied.actors):
            actor.index = index
        alone.envs, alone.num_actors = [copied], len(copied.actors)
        alone.later = [(copied, call, arguments) for one, call, arguments in env.sim.later if one is env]
        alone.prepare()
        env.draft = (version, copied)
    drafted: Env = env.draft[1]
    return drafted


def _owner(number: int, counts: List[int], what: str) -> Tuple[int, int]:
    """The actor of a body or degree of freedom of an environment, and its number there.

    Raises:
        IndexError: the environment has none of that number.

    """
    ends = np.cumsum(counts)
    if not 0 <= number < sum(counts):
        raise IndexError(f"{what} {number} is not there: this environment has {sum(counts)}, counted from 0")
    actor = int(np.searchsorted(ends, number, side="right"))
    return actor, int(number - (ends[actor] - counts[actor]))


def body_owner(env: Env, body: int) -> Tuple[int, int]:
    """The actor of a body, and its number there."""
    return _owner(body, [len(one.bodies) for one in env.actors], "body")


def dof_owner(env: Env, dof: int) -> Tuple[int, int]:
    """The actor of a degree of freedom, and its number there."""
    return _owner(dof, [len(one.dofs) for one in env.actors], "degree of freedom")


def _row(env: Env, body: int) -> np.ndarray:
    env = ready(env)
    body_owner(env, body)
    layout = env.sim.layout_of(env)
    row: Tensor = layout.bodies()[layout.row(env.index), body]
    return row.cpu().numpy()


def _only(env: Env, body: int, value: Any) -> Optional[Tensor]:
    """A row for each body of the simulation, zero but for one."""
    if value is None:
        return None
    env.sim.check()
    body_owner(env, body)
    rows = torch.zeros_like(env.sim.push_force)
    rows[env.sim.first_body[env.index] + body] = torch.tensor(tuple(value), dtype=rows.dtype, device=rows.device)
    return rows


def _targets(env: Env, actor: int, name: str) -> np.ndarray:
    env = ready(env)
    values: Tensor = getattr(env.sim, name)[env.sim.dofs_of(env.actors[actor].index)]
    return values.cpu().numpy().copy()


def _set_targets(env: Env, actor: int, name: str, values: np.ndarray) -> bool:
    if not later(env, _set_targets, env, actor, name, np.copy(values)):
        target: Tensor = getattr(env.sim, name)
        target[env.sim.dofs_of(env.actors[actor].index)] = torch.as_tensor(np.asarray(values)).to(target)
    return True
