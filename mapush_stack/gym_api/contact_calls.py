"""Calls of `Gym` that list contacts; on a GPU each copies the environment's state."""

from __future__ import annotations

from typing import Dict, List

import numpy as np

from .actor import Env
from .layout import Layout
from .rows import RigidContact
from .simulation import Simulation
from .types import Vec3


class ContactCalls:
    """Contacts of the state as it is, with the forces that hold it."""

    def get_env_rigid_contacts(self, env: Env) -> np.ndarray:
        """A row of `RigidContact` for each place where two bodies of an environment touch."""
        layout = env.sim.layout_of(env)
        return _contacts(layout, layout.row(env.index), env)

    def get_rigid_contacts(self, sim: Simulation) -> np.ndarray:
        """The rows of all environments."""
        sim.check()
        return np.concatenate([self.get_env_rigid_contacts(env) for env in sim.envs])

    def get_env_rigid_contact_forces(self, env: Env) -> np.ndarray:
        """The net force of contacts on each body `[bodies]` of Vec3, N, in the world's axes."""
        layout = env.sim.layout_of(env)
        rows = layout.contact_forces()[layout.row(env.index)].cpu().numpy()
        return np.ascontiguousarray(rows).view(Vec3.dtype)[:, 0]

    def get_rigid_contact_forces(self, sim: Simulation) -> np.ndarray:
        """The same for all environments."""
        sim.check()
        return np.concatenate([self.get_env_rigid_contact_forces(env) for env in sim.envs])


def _contacts(layout: Layout, row: int, env: Env) -> np.ndarray:
    import mujoco

    model, data = layout.model_of(row), layout.engine.data(row)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    mujoco.mj_forward(model, data)
    bodies: Dict[int, int] = {int(number): place for place, number in enumerate(layout.slots.bodies.tolist())}
    found: List[np.ndarray] = []
    for number in range(data.ncon):
        contact, force = data.contact[number], np.zeros(6)
        if contact.dist > 0:
            continue
        mujoco.mj_contactForce(model, data, number, force)
        owners = [int(model.geom_bodyid[geom]) for geom in contact.geom]
        line = np.zeros((), dtype=RigidContact.dtype)
        for side, owner in enumerate(owners):
            known = owner in bodies
            line[f"env{side}"], line[f"body{side}"] = (env.index, bodies[owner]) if known else (-1, -1)
            turn = data.xmat[owner].reshape(3, 3) if known else np.eye(3)
            place = turn.T @ (contact.pos - (data.xpos[owner] if known else 0.0))
            line[f"localPos{side}"] = tuple(place)
        line["normal"], line["lambda"] = tuple(contact.frame[:3]), force[0]
        line["lambdaFriction"], line["friction"] = force[1:3], contact.friction[0]
        line["initialOverlap"] = contact.dist
        found.append(line)
    return np.array(found, dtype=RigidContact.dtype)
