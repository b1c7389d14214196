"""Places and velocities of all bodies from the state, in torch.

MuJoCo would do it with contacts and all, in nearly the time of a step, and only for the state before it.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple

import torch
from torch import Tensor

from ..sim.rotation import rotate_by_quaternion

_FREE, _SLIDE = 0, 2
"""Of mjtJoint."""


class _Joint(NamedTuple):
    """The k-th joint of the bodies of a level that have one."""

    which: Tensor
    """`[j]` places in the level."""
    qpos: Tensor
    qvel: Tensor
    axis: Tensor
    """`[j, 3]`"""
    pos: Tensor
    slides: Tensor
    """`[j, 1]` 1 for a slide, 0 for a hinge."""


class _Level(NamedTuple):
    """Bodies with parents in the levels before."""

    bodies: Tensor
    parents: Tensor
    pos: Tensor
    quat: Tensor
    joints: List[_Joint]


class Motion(NamedTuple):
    """Of every body of the model `[N, nbody, ...]`, in the world's axes."""

    pos: Tensor
    quat: Tensor
    """(w, x, y, z)"""
    vel: Tensor
    """m/s, of the body's frame."""
    spin: Tensor
    """rad/s"""


class Kinematics:
    """The tree of a model whose root bodies are free, held (mocap) or fixed."""

    def __init__(self, model: Any, device: torch.device, kind: torch.dtype) -> None:
        """`kind` is the type of the numbers."""
        self._count, self._device, self._kind = int(model.nbody), device, kind
        free = [(b, model.body_jntadr[b]) for b in range(model.nbody) if _is_free(model, b)]
        self._free = self._longs([body for body, _ in free])
        self._qpos = self._longs([range(model.jnt_qposadr[j], model.jnt_qposadr[j] + 7) for _, j in free]).view(-1, 7)
        self._qvel = self._longs([range(model.jnt_dofadr[j], model.jnt_dofadr[j] + 6) for _, j in free]).view(-1, 6)
        held = [body for body in range(model.nbody) if model.body_mocapid[body] >= 0]
        self._held = self._longs(held)
        self._mocap = self._longs([model.body_mocapid[body] for body in held])
        roots = {0, *held, *(body for body, _ in free)}
        depth: Dict[int, int] = dict.fromkeys(roots, 0)
        for body in range(model.nbody):
            if body not in roots:
                depth[body] = depth[int(model.body_parentid[body])] + 1
        levels = range(1, max(depth.values()) + 1)
        self._levels = [self._level(model, [b for b in depth if depth[b] == number]) for number in levels]

    def _longs(self, values: Any) -> Tensor:
        rows = [list(map(int, value)) if isinstance(value, range) else int(value) for value in values]
        return torch.tensor(rows, dtype=torch.long, device=self._device)

    def _numbers(self, values: Any) -> Tensor:
        return torch.tensor(values, dtype=self._kind, device=self._device)

    def _level(self, model: Any, bodies: List[int]) -> _Level:
        bodies = sorted(bodies)
        joints = []
        for number in range(max(int(model.body_jntnum[body]) for body in bodies)):
            which = [place for place, body in enumerate(bodies) if model.body_jntnum[body] > number]
            ids = [int(model.body_jntadr[bodies[place]]) + number for place in which]
            joints.append(
                _Joint(
                    self._longs(which),
                    self._longs(model.jnt_qposadr[ids]),
                    self._longs(model.jnt_dofadr[ids]),
                    self._numbers(model.jnt_axis[ids]),
                    self._numbers(model.jnt_pos[ids]),
                    self._numbers(model.jnt_type[ids] == _SLIDE).unsqueeze(-1),
                )
            )
        parents = self._longs(model.body_parentid[bodies])
        pos, quat = self._numbers(model.body_pos[bodies]), self._numbers(model.body_quat[bodies])
        return _Level(self._longs(bodies), parents, pos, quat, joints)

    def __call__(self, state: Dict[str, Tensor]) -> Motion:
        """The motion for `qpos`, `qvel`, `mocap_pos` and `mocap_quat`."""
        qpos, qvel = state["qpos"], state["qvel"]
        pos = torch.zeros(len(qpos), self._count, 3, dtype=self._kind, device=self._device)
        quat = torch.zeros(len(qpos), self._count, 4, dtype=self._kind, device=self._device)
        quat[..., 0] = 1.0
        motion = Motion(pos, quat, torch.zeros_like(pos), torch.zeros_like(pos))
        if len(self._free):
            rows, speeds = qpos[:, self._qpos], qvel[:, self._qvel]
            pos[:, self._free], quat[:, self._free] = rows[..., :3], rows[..., 3:]
            motion.vel[:, self._free] = speeds[..., :3]
            motion.spin[:, self._free] = rotate_by_quaternion(rows[..., 3:], speeds[..., 3:])
        if len(self._held):
            pos[:, self._held] = state["mocap_pos"][:, self._mocap]
            quat[:, self._held] = state["mocap_quat"][:, self._mocap]
        for level in self._levels:
            self._descend(level, motion, qpos, qvel)
        return motion

    def _descend(self, level: _Level, motion: Motion, qpos: Tensor, qvel: Tensor) -> None:
        above = [values[:, level.parents] for values in motion]
        place = above[0] + rotate_by_quaternion(above[1], level.pos.expand_as(above[0]))
        turn = multiply(above[1], level.quat.expand_as(above[1]))
        spin, moved = above[3].clone(), []
        for joint in level.joints:
            own, angle, speed = turn[:, joint.which], qpos[:, joint.qpos, None], qvel[:, joint.qvel, None]
            axis = rotate_by_quaternion(own, joint.axis.expand(len(own), -1, -1))
            anchor = place[:, joint.which] + rotate_by_quaternion(own, joint.pos.expand(len(own), -1, -1))
            half = 0.5 * angle * (1 - joint.slides)
            own = multiply(own, torch.cat((torch.cos(half), torch.sin(half) * joint.axis), dim=-1))
            turn[:, joint.which] = own
            back = rotate_by_quaternion(own, joint.pos.expand(len(own), -1, -1))
            place[:, joint.which] = anchor - back + joint.slides * angle * axis
            spin[:, joint.which] += (1 - joint.slides) * speed * axis
            moved.append((joint, axis, anchor, speed))
        vel = above[2] + torch.cross(above[3], place - above[0], dim=-1)
        for joint, axis, anchor, speed in moved:
            arm = torch.cross(axis, place[:, joint.which] - anchor, dim=-1)
            vel[:, joint.which] += speed * (joint.slides * axis + (1 - joint.slides) * arm)
        for values, new in zip(motion, (place, turn, vel, spin)):
            values[:, level.bodies] = new


def multiply(one: Tensor, other: Tensor) -> Tensor:
    """The product of quaternions `[..., 4]` (w, x, y, z): first `other`, then `one`."""
    w, x, y, z = one.unbind(-1)
    a, b, c, d = other.unbind(-1)
    return torch.stack(
        (w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c, w * c - x * d + y * a + z * b,
         w * d + x * c - y * b + z * a),
        dim=-1,
    )  # fmt: skip


def _is_free(model: Any, body: int) -> bool:
    return bool(model.body_jntnum[body]) and int(model.jnt_type[model.body_jntadr[body]]) == _FREE
