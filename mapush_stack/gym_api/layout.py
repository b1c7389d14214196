"""Environments with the same actors, as copies of one model, and their states in Isaac Gym's order.

Isaac Gym's states are of bodies' frames, with the velocity of the centre of mass; quaternions are (x, y, z, w).
MuJoCo's are (w, x, y, z), with the velocity of the frame, and spins in the body's axes.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..device.replay import Replay
from ..sim.rotation import conjugate, rotate_by_quaternion
from . import scene
from .actor import Actor, Env
from .engine import Engine
from .kinematics import multiply
from .types import DofDriveMode, RigidBodyProperties

T = TypeVar("T")


class Slots:
    """Addresses in the model of one layout's actors, degrees of freedom and bodies."""

    def __init__(self, made: scene.Scene, actors: Sequence[Actor], model: object, device: torch.device) -> None:
        free: List[int] = [slot for slot, actor in enumerate(actors) if not actor.asset.fixed]
        held: List[int] = [slot for slot, actor in enumerate(actors) if actor.asset.fixed]
        self.free, self.held = _longs(free, device), _longs(held, device)
        body, joint = model.body, model.joint  # type: ignore[attr-defined]
        roots = [made.bodies[slot][0] for slot in range(len(actors))]
        first_qpos = [int(joint(f"{roots[slot]}_free").qposadr[0]) for slot in free]
        first_qvel = [int(joint(f"{roots[slot]}_free").dofadr[0]) for slot in free]
        self.qpos = _longs([range(start, start + 7) for start in first_qpos], device).reshape(-1, 7)
        self.qvel = _longs([range(start, start + 6) for start in first_qvel], device).reshape(-1, 6)
        moved = [int(body(name).rootid[0]) for name in (roots[slot] for slot in held)]
        self.mocap = _longs([int(model.body_mocapid[number]) for number in moved], device)  # type: ignore[attr-defined]
        names = [name for row in made.joints for name in row]
        self.joint_qpos = _longs([int(joint(name).qposadr[0]) for name in names], device)
        self.joint_qvel = _longs([int(joint(name).dofadr[0]) for name in names], device)
        self.bodies = _longs([body(name).id for row in made.bodies for name in row], device)
        self.num_bodies = [len(row) for row in made.bodies]
        self.num_dofs = [len(row) for row in made.joints]


def _longs(values: Sequence[object], device: torch.device) -> Tensor:
    return torch.tensor([list(v) if isinstance(v, range) else v for v in values], dtype=torch.long, device=device)


def _numbers(body: RigidBodyProperties) -> List[float]:
    """Mass, centre and inertia: 13 numbers."""
    return [body.mass, *body.com, *body.inertia.x, *body.inertia.y, *body.inertia.z]


def _table(rows: List[List[T]], read: Callable[[T], Sequence[float]]) -> np.ndarray:
    """What `read` says of each object in each row; of one that occurs often it is asked once."""
    each = {id(one): one for row in rows for one in row}
    places = {number: place for place, number in enumerate(each)}
    return np.array([read(one) for one in each.values()])[[[places[id(one)] for one in row] for row in rows]]


def _principal(tensor: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Moments of inertia and the quaternion (w, x, y, z) of their axes."""
    moments, axes = np.linalg.eigh(tensor)
    axes[:, 0] *= np.sign(np.linalg.det(axes))
    return moments, np.array(scene.quaternion(axes))


class Layout:
    """`envs` with the same actors on one engine."""

    def __init__(self, envs: List[Env], made: scene.Scene, engine: Engine) -> None:
        """Actors are where they were created, joints at zero or at the nearest angle that is allowed."""
        self.envs, self.scene, self.engine = envs, made, engine
        self.actors = envs[0].actors
        self.slots = Slots(made, self.actors, engine.model, engine.device)
        self._rows = {env.index: row for row, env in enumerate(envs)}
        count = len(envs)
        bodies = sum(self.slots.num_bodies)
        self._com = torch.zeros(count, bodies, 3, dtype=engine.float_type, device=engine.device)
        """Centres of mass in the bodies' frames, m."""
        self._first = np.cumsum([0, *self.slots.num_bodies]).tolist()
        self._free_roots = _longs([self._first[slot] for slot in self.slots.free.tolist()], engine.device)
        self._free_of, self._held_of = (
            torch.full((len(self.actors),), -1, dtype=torch.long, device=engine.device) for _ in range(2)
        )
        for table, slots in ((self._free_of, self.slots.free), (self._held_of, self.slots.held)):
            table[slots] = torch.arange(len(slots), device=engine.device)
        driven = [self.dofs_of(actor).start + dof for actor, dof in made.driven]
        self._driven = _longs(driven, engine.device)
        self._gains = torch.zeros(2, count, len(driven), dtype=engine.float_type, device=engine.device)
        self._pushed: Optional[Tensor] = None
        """Forces of the program on the bodies in the last step `[N, B, 3]`, N."""
        self._compiled = np.concatenate([actor.dofs for actor in self.actors])
        self._own: Set[str] = set()
        """Fields of the model that have a value for each copy."""
        self._geoms = _longs([engine.model.geom(name).id for names in made.geoms for name in names], engine.device)
        self._pairs = self._listed_pairs()
        self._reads = Replay(self._read, engine.device)
        self._fastest = self._speeds()
        self.apply(range(count))
        self._start()

    def _speeds(self) -> Tensor:
        """The largest speeds of the free bodies `[N, nv]`, m/s and rad/s; joints follow in `apply`."""
        shape = (len(self.envs), int(self.engine.model.nv))
        fastest = torch.full(shape, torch.inf, dtype=self.engine.float_type, device=self.engine.device)
        for index, slot in enumerate(self.slots.free.tolist()):
            options, address = self.actors[slot].asset.options, self.slots.qvel[index]
            fastest[:, address[:3]] = float(options.max_linear_velocity)
            fastest[:, address[3:]] = float(options.max_angular_velocity)
        return fastest

    @property
    def fastest(self) -> Optional[Tensor]:
        """The largest speed of each degree of freedom `[N, nv]`, m/s and rad/s; None if nothing is bounded."""
        return self._fastest if self._bounded else None

    def _start(self) -> None:
        table = [
            [[*actor.pose.p, *actor.pose.r, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] for actor in env.actors] for env in self.envs
        ]
        roots = torch.tensor(table, dtype=self.engine.float_type, device=self.engine.device)
        rows = torch.arange(len(self.envs), device=self.engine.device).repeat_interleave(len(self.actors))
        slots = torch.arange(len(self.actors), device=self.engine.device).repeat(len(self.envs))
        self.set_roots(roots.reshape(-1, 13), rows, slots)
        if len(self.slots.joint_qpos):
            low = [max(float(row["lower"]), -1e9) for actor in self.actors for row in actor.dofs]
            high = [min(float(row["upper"]), 1e9) for actor in self.actors for row in actor.dofs]
            angles = torch.tensor(np.clip(0.0, low, high), dtype=self.engine.float_type, device=self.engine.device)
            self.engine.state["qpos"][:, self.slots.joint_qpos] = angles

    def apply(self, rows: Sequence[int]) -> None:
        """Give the copies `rows` the properties of their actors: frictions, masses, joints, drives."""
        chosen = [self.envs[row] for row in rows]
        numbers = _longs(list(rows), self.engine.device)
        self._apply_shapes(chosen, numbers)
        masses = self._apply_bodies(chosen, numbers)
        self._apply_joints(chosen, numbers)
        if masses:
            self.engine.commit()
        self._apply_damping(chosen, numbers)
        self._bounded = bool(torch.isfinite(self._fastest).any())

    def _write(self, name: str, where: Tuple[Tensor, ...], values: np.ndarray, compiled: Any) -> bool:
        """Write a field of the model, unless all copies have always had the compiled values; returns whether it did."""
        if name not in self._own and np.allclose(values, compiled, rtol=1e-6, atol=1e-12):
            return False
        self._own.add(name)
        field = self.engine.field(name)
        field[where] = torch.tensor(np.clip(values.astype(float), -1e30, 1e30), dtype=field.dtype, device=field.device)
        return True

    def _listed_pairs(self) -> np.ndarray:
        """Number in the model, and the two shapes, of every listed pair, `[3, pairs]`; the ground is the last shape."""
        first = np.cumsum([0, *(len(actor.shapes) for actor in self.actors)])
        pair = self.engine.model.pair
        rows = [(pair(name).id, first[a] + i, first[b] + j) for name, (a, i, b, j) in self.scene.pairs.items()]
        return np.array(rows, dtype=int).reshape(-1, 3).T

    def _apply_shapes(self, envs: List[Env], rows: Tensor) -> None:
        if not envs or not any(actor.shapes for actor in self.actors):
            return
        self._apply_sizes(envs, rows)
        engine, geoms, (ids, one, two) = self.engine, self._geoms, self._pairs
        ground = self.scene.surface
        per_env: List[List[Any]] = [
            [shape for actor in env.actors for shape in actor.shapes] + [ground] for env in envs
        ]
        friction, bounce = np.moveaxis(_table(per_env, lambda shape: (shape.friction, shape.restitution)), -1, 0)
        kind = engine.float_type
        floor = torch.tensor(0.5 * (friction[:, :-1] + ground.friction), dtype=kind, device=engine.device)
        engine.field("geom_friction")[rows[:, None], geoms[None, :], 0] = floor
        if len(ids):
            mean = torch.tensor(0.5 * (friction[:, one] + friction[:, two]), dtype=kind, device=engine.device)
            numbers = _longs(ids.tolist(), engine.device)
            pair = engine.field("pair_friction")
            for column in range(2):
                pair[rows[:, None], numbers[None, :], column] = mean
        both, step = _longs([0, 1], engine.device), float(engine.model.opt.timestep)
        springs = scene.bounce_reference(0.5 * (bounce[:, :-1] + ground.restitution), step)
        self._write("geom_solref", (rows[:, None, None], geoms[None, :, None], both), springs, scene.NO_BOUNCE)
        if len(ids):
            springs = scene.bounce_reference(0.5 * (bounce[:, one] + bounce[:, two]), step)
            self._write("pair_solref", (rows[:, None, None], numbers[None, :, None], both), springs, scene.NO_BOUNCE)

    def _apply_sizes(self, envs: List[Env], rows: Tensor) -> None:
        """Write the sizes and places of shapes of copies that are scaled."""
        own = [actor.scale for actor in self.actors for _ in actor.shapes]
        size = np.array([[actor.scale for actor in env.actors for _ in actor.shapes] for env in envs]) / own
        if (size == 1.0).all() and "geom_size" not in self._own:
            return
        model, geoms = self.engine.model, self._geoms.cpu().numpy()
        for name in ("geom_size", "geom_pos", "geom_rbound", "geom_aabb"):
            compiled = getattr(model, name)[geoms]
            self._write(name, (rows[:, None], self._geoms[None, :]), _times(size, compiled), compiled)

    def _apply_bodies(self, envs: List[Env], rows: Tensor) -> bool:
        """Masses, centres and inertias; returns whether a field was written."""
        given = _table([[body for actor in env.actors for body in actor.bodies] for env in envs], _numbers)
        assets = [inertia for actor in self.actors for inertia in actor.asset.masses]
        own = np.array([[inertia.mass, *inertia.centre, *inertia.tensor.flatten()] for inertia in assets])
        self._com[rows] = torch.tensor(given[..., 1:4], dtype=self._com.dtype, device=self._com.device)
        model, bodies = self.engine.model, self.slots.bodies.cpu().numpy()
        traces = [np.trace(rows[..., 4:].reshape(*rows.shape[:-1], 3, 3), axis1=-2, axis2=-1) for rows in (given, own)]
        still = traces[1] == 0  # a file may give a mass and no inertia; MuJoCo has then its least one
        scales = np.where(still, 1.0, traces[0] / np.where(still, 1.0, traces[1]))
        moments = model.body_inertia[bodies] * scales[..., None]
        turns = np.repeat(model.body_iquat[None, bodies], len(envs), axis=0)
        for row, body in np.argwhere(~np.isclose(given[..., 4:], own[:, 4:] * scales[..., None], rtol=1e-4).all(-1)):
            moments[row, body], turns[row, body] = _principal(given[row, body, 4:].reshape(3, 3))
        where = (rows[:, None], self.slots.bodies[None, :])
        return any(
            [
                self._write("body_mass", where, given[..., 0], model.body_mass[bodies]),
                self._write("body_ipos", where, given[..., 1:4], model.body_ipos[bodies]),
                self._write("body_inertia", where, moments, model.body_inertia[bodies]),
                self._write("body_iquat", where, turns, model.body_iquat[bodies]),
            ]
        )

    def _apply_joints(self, envs: List[Env], rows: Tensor) -> None:
        if not len(self.slots.joint_qvel):
            return
        table, base = np.stack([np.concatenate([actor.dofs for actor in env.actors]) for env in envs]), self._compiled
        kind, device = self.engine.float_type, self.engine.device

        def numbers(values: np.ndarray) -> Tensor:
            return torch.tensor(np.clip(values.astype(float), -1e30, 1e30), dtype=kind, device=device)

        where = (rows[:, None], self.slots.joint_qvel[None, :])
        joints = _longs([self.engine.model.joint(name).id for row in self.scene.joints for name in row], device)
        driven = np.isin(table["driveMode"], [int(mode) for mode in scene.DRIVEN])
        if len(self._driven):
            to_place = table["driveMode"] != int(DofDriveMode.DOF_MODE_VEL)
            for gains, values in zip(self._gains, (table["stiffness"] * to_place, table["damping"])):
                gains[rows] = numbers(values)[:, self._driven]
            bias = self.engine.field("actuator_biasprm")
            bias[rows, :, 1], bias[rows, :, 2] = -self._gains[0][rows], -self._gains[1][rows]
            efforts = [scene.effort_range(rows_of[..., self._driven.cpu().numpy()]) for rows_of in (table, base)]
            self._write("actuator_forcerange", (rows,), *efforts)
        self._write("dof_armature", where, table["armature"], base["armature"])
        self._write("dof_frictionloss", where, table["friction"], base["friction"])
        self._write(
            "jnt_stiffness", (rows[:, None], joints[None, :]), *(scene.springs(rows_of) for rows_of in (table, base))
        )
        self._passive = np.where(driven, 0.0, table["damping"])
        limits = [np.stack((rows_of["lower"], rows_of["upper"]), axis=-1) for rows_of in (table, base)]
        self._write("jnt_range", (rows[:, None], joints[None, :]), *limits)
        self._fastest[where] = numbers(table["velocity"])

    def _apply_damping(self, envs: List[Env], rows: Tensor) -> None:
        """Damping of joints, and of free bodies against the air: a share of speed per second, times the inertia."""
        values = np.zeros((len(envs), int(self.engine.model.nv)))
        if len(self.slots.joint_qvel):
            values[:, self.slots.joint_qvel.cpu().numpy()] = self._passive
        for address, slot in zip(self.slots.qvel.cpu().numpy(), self.slots.free.tolist()):
            options, assets = self.actors[slot].asset.options, [env.actors[slot].asset for env in envs]
            share = np.repeat([float(options.linear_damping), float(options.angular_damping)], 3)
            wholes = {asset: asset.whole() for asset in set(assets)}
            for row, (env, asset) in enumerate(zip(envs, assets)):
                mass, spin = wholes[asset]
                heavier = sum(body.mass for body in env.actors[slot].bodies) / mass
                values[row, address] = heavier * share * np.concatenate((np.full(3, mass), spin))
        self._write("dof_damping", (rows,), values, self.engine.model.dof_damping)

    def read(self, name: str) -> Tensor:
        """`roots`, `dofs` or `bodies`; on a GPU as a CUDA graph, whose next call overwrites the result."""
        values: Tensor = self._reads(name, self.engine.moved)
        return values

    def _read(self, name: str, moved: int) -> Tensor:
        del moved
        values: Tensor = getattr(self, name)()
        return values

    def roots(self) -> Tensor:
        """The actors' states `[N, A, 13]`: position, quaternion (x, y, z, w), velocity, spin."""
        state, slots = self.engine.state, self.slots
        count = len(self.envs)
        out = torch.zeros(count, len(self.actors), 13, dtype=torch.float32, device=self.engine.device)
        if len(slots.free):
            qpos, qvel = state["qpos"][:, slots.qpos], state["qvel"][:, slots.qvel]
            turn = qpos[..., 3:]
            spin = rotate_by_quaternion(turn, qvel[..., 3:])
            arm = rotate_by_quaternion(turn, self._com[:, self._free_roots])
            speed = qvel[..., :3] + torch.cross(spin, arm, dim=-1)
            out[:, slots.free] = torch.cat((qpos[..., :3], turn.roll(-1, -1), speed, spin), dim=-1).float()
        if len(slots.held):
            places = (state["mocap_pos"][:, slots.mocap], state["mocap_quat"][:, slots.mocap].roll(-1, -1))
            out[:, slots.held, :7] = torch.cat(places, dim=-1).float()
        return out

    def set_roots(self, values: Tensor, rows: Tensor, slots: Tensor) -> None:
        """Write the states `[K, 13]` of actors `slots` `[K]` in copies `rows` `[K]`."""
        state, kind = self.engine.state, self.engine.float_type
        values = values.to(kind)
        place, turn = values[:, :3], values[:, 3:7].roll(1, -1)
        turn = turn / turn.norm(dim=-1, keepdim=True).clamp_min(1e-9)
        free, held = self._free_of[slots], self._held_of[slots]
        chosen = (free >= 0).nonzero().flatten()
        if len(chosen):
            row, number, rotation, spin = rows[chosen], free[chosen], turn[chosen], values[chosen, 10:13]
            arm = rotate_by_quaternion(rotation, self._com[row, self._free_roots[number]])
            speed = values[chosen, 7:10] - torch.cross(spin, arm, dim=-1)
            local = rotate_by_quaternion(conjugate(rotation), spin)
            state["qpos"][row[:, None], self.slots.qpos[number]] = torch.cat((place[chosen], rotation), dim=-1)
            state["qvel"][row[:, None], self.slots.qvel[number]] = torch.cat((speed, local), dim=-1)
            state["qacc_warmstart"][row] = 0.0
        if len(self.slots.held):
            chosen = (held >= 0).nonzero().flatten()
            number = self.slots.mocap[held[chosen]]
            state["mocap_pos"][rows[chosen], number] = place[chosen]
            state["mocap_quat"][rows[chosen], number] = turn[chosen]

    def dofs(self) -> Tensor:
        """Angles and speeds of the degrees of freedom `[N, D, 2]`."""
        state, slots = self.engine.state, self.slots
        parts = (_of(state["qpos"], slots.joint_qpos), _of(state["qvel"], slots.joint_qvel))
        return torch.stack(parts, dim=-1)

    def set_dofs(self, values: Tensor, rows: Tensor, slots: Tensor) -> None:
        """Write `[N, D, 2]` into actors `slots` `[K]` of copies `rows` `[K]`; the other actors' rows are not read."""
        state, kind = self.engine.state, self.engine.float_type
        for slot, count in enumerate(self.slots.num_dofs):
            chosen = rows[slots == slot]
            if not count or not len(chosen):
                continue
            own = self.dofs_of(slot)
            given = values[chosen, own].to(kind)
            state["qpos"][chosen[:, None], self.slots.joint_qpos[own][None, :]] = given[..., 0]
            state["qvel"][chosen[:, None], self.slots.joint_qvel[own][None, :]] = given[..., 1]
            state["qacc_warmstart"][chosen] = 0.0

    def drive(self, forces: Tensor, positions: Tensor, velocities: Tensor) -> None:
        """Set what drives the degrees of freedom in the next step, each `[N, D]`."""
        state, kind = self.engine.state, self.engine.float_type
        if len(self.slots.joint_qvel):
            state["qfrc_applied"].index_copy_(1, self.slots.joint_qvel, forces.to(kind))
        if len(self._driven):
            position, velocity = (target[:, self._driven].to(kind) for target in (positions, velocities))
            state["ctrl"][:] = self._gains[0] * position + self._gains[1] * velocity

    def push(self, forces: Optional[Tensor], torques: Optional[Tensor]) -> None:
        """Forces and torques `[N, B, 3]` on the bodies' centres of mass in the next step, in the world's axes."""
        kind = self.engine.float_type
        self._pushed = None if forces is None else forces.to(kind)
        if forces is not None and torques is not None:
            self.engine.state["xfrc_applied"][:, self.slots.bodies] = torch.cat((forces, torques), dim=-1).to(kind)

    def bodies(self) -> Tensor:
        """The bodies' states `[N, B, 13]`, as `roots`."""
        motion, ids = self.engine.motion(), self.slots.bodies
        pos, turn, vel, spin = (_of(values, ids) for values in motion)
        speed = vel + torch.cross(spin, rotate_by_quaternion(turn, self._com), dim=-1)
        return torch.cat((pos, turn.roll(-1, -1), speed, spin), dim=-1).float()

    def frames(self) -> Tensor:
        """The bodies' positions, quaternions (w, x, y, z) and centres of mass in the world `[N, B, 10]`, m."""
        motion, ids = self.engine.motion(), self.slots.bodies
        pos, turn = _of(motion.pos, ids), _of(motion.quat, ids)
        return torch.cat((pos, turn, pos + rotate_by_quaternion(turn, self._com)), dim=-1).float()

    def contact_forces(self) -> Tensor:
        """Net forces of contacts on the bodies in the last substep `[N, B, 3]`, N, in the world's axes."""
        forces = _of(self.engine.forces(), self.slots.bodies)[..., 3:]  # MuJoCo counts the program's own among them
        return (forces if self._pushed is None else forces - self._pushed).float()

    def sensors(self) -> Tensor:
        """Forces and torques of contacts at the force sensors `[N, S, 6]`, N and N m, in each sensor's axes."""
        wrench = self.engine.forces()[:, self.slots.bodies].float()
        force, torque, frames = self.contact_forces(), wrench[..., :3], self.frames()
        centres = self.engine.tree_centres()[:, self.slots.bodies].float()
        if self._pushed is not None:
            centre = frames[..., 7:]
            torque = torque - torch.cross(centre - centres, self._pushed.float(), dim=-1)
        out = []
        for slot, actor in enumerate(self.actors):
            for body, place, of_the_world in actor.asset.sensors:
                number = self._first[slot] + body
                pos, turn = frames[:, number, :3], frames[:, number, 3:7]
                spot = pos + rotate_by_quaternion(turn, turn.new_tensor(tuple(place.p)).expand_as(pos))
                own = multiply(turn, turn.new_tensor(tuple(place.r)).roll(1).expand_as(turn))
                arm = torch.cross(centres[:, number] - spot, force[:, number], dim=-1)
                parts = (force[:, number], torque[:, number] + arm)
                back = conjugate(own)
                out.append(torch.cat(parts if of_the_world else [rotate_by_quaternion(back, one) for one in parts], -1))
        return torch.stack(out, dim=1)

    def joint_forces(self) -> Tensor:
        """Forces of drives and of the program on the degrees of freedom `[N, D]`."""
        applied = self.engine.joint_forces() + self.engine.state["qfrc_applied"]
        return applied[:, self.slots.joint_qvel].float()

    def first_body(self, slot: int) -> int:
        """The place of an actor's first body among those of an environment."""
        return int(self._first[slot])

    def dofs_of(self, slot: int) -> slice:
        """The places of an actor's degrees of freedom among those of an environment."""
        first = sum(self.slots.num_dofs[:slot])
        return slice(first, first + self.slots.num_dofs[slot])

    def model_of(self, row: int) -> Any:
        """A `mujoco.MjModel` of one copy, with its own frictions, masses and joints."""
        model = copy(self.engine.model)
        model.opt.gravity[:] = list(self.envs[0].sim.params.gravity)
        for name in (*self._own, "geom_friction", "pair_friction"):
            getattr(model, name)[:] = self.engine.field(name)[row].cpu().numpy()
        return model

    def has(self, env: int) -> bool:
        """True if this environment is one of the copies."""
        return env in self._rows

    def row(self, env: int) -> int:
        """The copy that is this environment."""
        return self._rows[env]


def _times(size: np.ndarray, compiled: np.ndarray) -> np.ndarray:
    """Compiled values `[shapes, ...]` times each copy's scale, `[N, shapes, ...]`."""
    values: np.ndarray = size.reshape(*size.shape, *[1] * (compiled.ndim - 1)) * compiled
    return values


def _of(values: Tensor, columns: Tensor) -> Tensor:
    """`values[:, columns]` of `[N, B, ...]`, in a third of its time."""
    return values.index_select(1, columns)


def tables(layouts: List[Layout], count: int, device: torch.device) -> Dict[str, Tensor]:
    """For each actor of the simulation: the number of its layout, its copy and its place there."""
    found = np.zeros((3, count), dtype=int)
    for number, layout in enumerate(layouts):
        for row, env in enumerate(layout.envs):
            for slot, actor in enumerate(env.actors):
                found[:, actor.index] = number, row, slot
    return {name: torch.tensor(values, device=device) for name, values in zip(("layout", "row", "slot"), found)}
