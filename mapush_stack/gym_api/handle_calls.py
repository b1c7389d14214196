"""Calls of `Gym` for one joint or body, by its number in the environment."""

from __future__ import annotations

from typing import Any, List, Tuple

import torch
from torch import Tensor

from ..sim.rotation import rotate_by_quaternion
from .actor import Env
from .actor_calls import body_owner, dof_owner, later, ready
from .asset import Asset
from .rows import DofFrame, IndexRange
from .simulation import Given, Simulation, rows_of
from .support import UnsupportedError
from .types import DofType, JointType, Transform, Vec3


class HandleCalls:
    """Numbers are those of `find_actor_dof_handle` and `find_actor_rigid_body_handle`."""

    def get_asset_dof_type(self, asset: Asset, index: int) -> DofType:
        """Whether it turns or slides."""
        return DofType.DOF_TRANSLATION if asset.joints[index].kind == "slide" else DofType.DOF_ROTATION

    def get_dof_type_string(self, kind: Any) -> str:
        """A kind in words."""
        return ("Invalid", "Rotation", "Translation")[int(kind)]

    def get_asset_joint_name(self, asset: Asset, index: int) -> str:
        """The name of a joint, also of one that fixes a body."""
        return asset.joint_names[index]

    def get_asset_joint_type(self, asset: Asset, index: int) -> JointType:
        """Whether it turns, slides or is fixed."""
        name = asset.joint_names[index]
        kinds = {joint.name: joint.kind for joint in asset.joints}
        slides, turns, fixed = JointType.JOINT_PRISMATIC, JointType.JOINT_REVOLUTE, JointType.JOINT_FIXED
        return {"slide": slides, "hinge": turns}.get(kinds.get(name, ""), fixed)

    def get_joint_type_string(self, kind: Any) -> str:
        """A kind in words."""
        return JointType(int(kind)).name[len("JOINT_") :].capitalize()

    def get_asset_rigid_body_shape_indices(self, asset: Asset) -> List[IndexRange]:
        """For each body, which shapes of the asset are its own."""
        found = []
        for number, link in enumerate(asset.links):
            own = IndexRange()
            own.start, own.count = sum(len(one.shapes) for one in asset.links[:number]), len(link.shapes)
            found.append(own)
        return found

    def get_actor_rigid_body_shape_indices(self, env: Env, actor: int) -> List[IndexRange]:
        """The same for an actor."""
        return self.get_asset_rigid_body_shape_indices(env.actors[actor].asset)

    def get_actor_dof_handle(self, env: Env, actor: int, index: int) -> int:
        """The number in the environment of an actor's degree of freedom."""
        return int(index) + sum(len(one.dofs) for one in env.actors[:actor])

    def get_dof_position(self, env: Env, dof: int) -> float:
        """Position of a degree of freedom, rad or m."""
        return float(_dof(env, dof)[0])

    def get_dof_velocity(self, env: Env, dof: int) -> float:
        """Speed of a degree of freedom, rad/s or m/s."""
        return float(_dof(env, dof)[1])

    def get_dof_frame(self, env: Env, dof: int) -> DofFrame:
        """Where a joint is in the environment, and its axis there."""
        actor, own = dof_owner(env, dof)
        links = env.actors[actor].asset.links
        link = next(n for n in range(len(links)) if sum(len(one.joints) for one in links[: n + 1]) > own)
        joint = env.actors[actor].asset.joints[own]
        env = ready(env)
        layout = env.sim.layout_of(env)
        frame = layout.frames()[layout.row(env.index), layout.first_body(actor) + link]
        pos, axis = (rotate_by_quaternion(frame[3:7], frame.new_tensor(one)) for one in (joint.pos, joint.axis))
        found = DofFrame()
        found.origin, found.axis = Vec3(*(frame[:3] + pos).tolist()), Vec3(*axis.tolist())
        return found

    def get_dof_target_position(self, env: Env, dof: int) -> float:
        """Target of a position drive, rad or m."""
        return float(_target(env, "position", dof))

    def get_dof_target_velocity(self, env: Env, dof: int) -> float:
        """Target of a velocity drive, rad/s or m/s."""
        return float(_target(env, "velocity", dof))

    def set_dof_target_position(self, env: Env, dof: int, target: float) -> bool:
        """Set the target of a position drive, rad or m."""
        return _set_target(env, "position", dof, target)

    def set_dof_target_velocity(self, env: Env, dof: int, target: float) -> bool:
        """Set the target of a velocity drive, rad/s or m/s."""
        return _set_target(env, "velocity", dof, target)

    def apply_dof_effort(self, env: Env, dof: int, effort: float) -> bool:
        """A force on a degree of freedom, N m or N, until it is set anew."""
        return _set_target(env, "force", dof, effort)

    def get_rigid_handle(self, env: Env, actor: str, body: str) -> int:
        """A body's number in the environment by the names of actor and body; -1 if absent."""
        for number, one in enumerate(env.actors):
            if one.name == actor and body in one.asset.body_names:
                return one.asset.body_names.index(body) + sum(len(other.bodies) for other in env.actors[:number])
        return -1

    def get_rigid_name(self, env: Env, body: int) -> str:
        """The name of a body."""
        actor, own = body_owner(env, body)
        return env.actors[actor].asset.body_names[own]

    def set_rigid_transform(self, env: Env, body: int, place: Transform) -> bool:
        """Put an actor there by its first body."""
        return _set_root(env, body, slice(7), (*place.p, *place.r), "set_rigid_transform")

    def set_rigid_linear_velocity(self, env: Env, body: int, velocity: Vec3) -> bool:
        """The velocity of an actor's first body, m/s."""
        return _set_root(env, body, slice(7, 10), tuple(velocity), "set_rigid_linear_velocity")

    def set_rigid_angular_velocity(self, env: Env, body: int, spin: Vec3) -> bool:
        """The spin of an actor's first body, rad/s."""
        return _set_root(env, body, slice(10, 13), tuple(spin), "set_rigid_angular_velocity")

    def set_rigid_body_state_tensor(self, sim: Simulation, states: Given) -> bool:
        """Set each actor's root to its first body's row of `[bodies, 13]`; joints stay."""
        sim.check()
        sim.set_roots(rows_of(states, sim.num_bodies, 13)[sim.root_bodies], None)
        return True


def _dof(env: Env, dof: int) -> Tensor:
    """Position and speed of a degree of freedom."""
    dof_owner(env, dof)
    env = ready(env)
    env.sim.refresh("dofs")
    row: Tensor = env.sim.handles["dofs"].tensor[env.sim.first_dof[env.index] + dof]
    return row


def _target(env: Env, name: str, dof: int) -> Tensor:
    """`force`, `position` or `velocity` that a degree of freedom is to have, live."""
    dof_owner(env, dof)
    env = ready(env)
    values: Tensor = getattr(env.sim, name)
    return values[env.sim.first_dof[env.index] + dof]


def _set_target(env: Env, name: str, dof: int, value: float) -> bool:
    dof_owner(env, dof)
    if not later(env, _set_target, env, name, dof, value):
        _target(env, name, dof).fill_(float(value))
    return True


def _set_root(env: Env, body: int, part: slice, values: Tuple[float, ...], call: str) -> bool:
    number, own = body_owner(env, body)
    if own:
        raise UnsupportedError(f"{call} of a body that hangs on another", "set its actor's first body, or its joints")
    if later(env, _set_root, env, body, part, values, call):
        return True
    env.sim.refresh("roots")
    index, roots = env.actors[number].index, env.sim.handles["roots"].tensor.clone()
    roots[index, part] = roots.new_tensor(values)
    env.sim.set_roots(roots, torch.tensor([index], device=roots.device))
    return True
