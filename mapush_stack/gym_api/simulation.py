"""A simulation: environments grouped by layout, and the tensors that a program sees of them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ..sim.rotation import rotate_by_quaternion
from . import activation, scene, terrain
from .actor import Env
from .engine import CpuEngine, Engine
from .layout import Layout, tables
from .support import UnsupportedError, tell_ignored
from .types import SimParams

_TILE = 100
"""Squares along a side of a height field on a GPU."""


class Handle:
    """A tensor that its `refresh_` call keeps up to date; what nobody looks at is not computed."""

    def __init__(self, tensor: Tensor, fill: Optional[Callable[[], None]] = None) -> None:
        """`fill` computes the tensor; without it somebody else does in every case."""
        self.tensor, self._fill, self.seen = tensor, fill, fill is None
        # What a program may ask of Isaac Gym's own kind of tensor.
        self.shape, self.ndim = tuple(tensor.shape), tensor.ndim
        self.device = -1 if tensor.device.type == "cpu" else tensor.device.index

    def wrap(self) -> Tensor:
        """The tensor, as `gymtorch.wrap_tensor` gives it to the program: its first use counts as a look."""
        if self.seen:
            return self.tensor
        unread = Tensor._make_subclass(_Unread, self.tensor)
        unread.handle = self
        return unread

    def look(self) -> Tensor:
        """The tensor; it is computed now, from the state as it is, and then by each `refresh_` call."""
        if not self.seen and self._fill is not None:
            self.seen = True
            self._fill()
        return self.tensor

    def fill(self) -> None:
        """Compute the tensor."""
        if self._fill is not None:
            self._fill()


class _Unread(Tensor):
    """A program's tensor that it may never use: MAPush holds the states of all bodies, and reads none."""

    handle: Handle

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Optional[Dict[str, Any]] = None
    ) -> Any:
        del types
        looked = [one.handle.look() if isinstance(one, cls) else one for one in args]
        if all(one is other for one, other in zip(looked, args)):  # it is deeper, as in torch.cat([...])
            looked, kwargs = tree_map(lambda one: one.handle.look() if isinstance(one, cls) else one, (looked, kwargs))
        return function(*looked, **(kwargs or {}))

    __torch_dispatch__ = __torch_function__  # type: ignore[assignment]
    """For TorchScript, whose functions do not ask the first."""


Given = Union[Tensor, Handle]
"""What setters take: programs also give back what `acquire_..._tensor` returned."""


class Simulation:
    """What `create_sim` returns."""

    def __init__(self, params: SimParams, device: torch.device, on_warp: bool = False) -> None:
        """An empty world, to be stepped by MuJoCo on the CPU or by MuJoCo Warp."""
        self.params, self.device, self.on_warp = params, device, on_warp
        self.envs: List[Env] = []
        self.pieces: List[terrain.Piece] = []
        self.layouts: List[Layout] = []
        self.num_actors, self.destroyed = 0, False
        self.dirty: Dict[int, None] = {}
        """Environments whose properties were changed since the last step."""
        self.frames, self.started = 0, time.monotonic()
        self.matrices: Dict[Tuple[str, int], Handle] = {}
        """By kind and actor, see `matrices`."""
        self.pictures: List[Handle] = []
        """Tensors of cameras, see `camera`."""
        self.later: List[Tuple[Env, Callable[..., object], Tuple[Any, ...]]] = []
        """What the program set before the simulation was prepared: of which environment, the call and the rest."""

    def check(self) -> None:
        """Prepare, if the program has not; Isaac Gym's CPU pipeline needs no `prepare_sim`."""
        if not self.layouts:
            self.prepare()

    def prepare(self) -> None:
        """Make the models, once; no actor can be added after it.

        Raises:
            RuntimeError: `destroy_sim` was called.
            UnsupportedError: the grounds differ in friction.
            ValueError: there is no environment, or one without actors.

        """
        if self.layouts:
            return
        if self.destroyed:
            raise RuntimeError("this simulation was destroyed; make another by create_sim")
        if not self.envs or any(not env.actors for env in self.envs):
            raise ValueError("prepare_sim needs at least one environment, and an actor in each")
        pieces = terrain.simplify(self.pieces)
        if self.on_warp:
            # Its float32 has too few digits for contacts far from a height field's centre: robots were thrown away.
            split = [scene.tiles(piece, _TILE) if isinstance(piece, terrain.Field) else [piece] for piece in pieces]
            pieces = [piece for some in split for piece in some]
        if any(any(env.origin) for env in self.envs) and not all(isinstance(piece, terrain.Plane) for piece in pieces):
            raise UnsupportedError("a spacing of environments on a ground that is not flat", "create_env with zeros")
        if len({piece.surface for piece in pieces}) > 1:
            raise UnsupportedError("a ground of several frictions", "give all its parts the same static_friction")
        grouped: Dict[object, List[Env]] = {}
        for env in self.envs:
            grouped.setdefault(env.layout(), []).append(env)
        for envs in grouped.values():
            made = scene.build(envs[0], pieces, self.params)
            self.layouts.append(Layout(envs, made, self._engine(made, len(envs))))
        self._tables = tables(self.layouts, self.num_actors, self.device)
        self._make_tensors()
        self.dirty.clear()
        for env, call, arguments in self.later:
            call(env, *arguments)
        tell_ignored()

    def _engine(self, made: scene.Scene, count: int) -> Engine:
        if self.on_warp:
            from .engine_warp import WarpEngine

            return WarpEngine(made.spec, count, self.device, contact_room(made))
        return CpuEngine(made.spec, count, int(self.params.physx.num_threads))

    def _make_tensors(self) -> None:
        bodies = {env.index: sum(len(actor.bodies) for actor in env.actors) for env in self.envs}
        dofs = {env.index: sum(len(actor.dofs) for actor in env.actors) for env in self.envs}
        self.first_body = dict(zip(bodies, np.cumsum([0, *bodies.values()]).tolist()))
        self.first_dof = dict(zip(dofs, np.cumsum([0, *dofs.values()]).tolist()))
        sensors = {env.index: sum(len(actor.asset.sensors) for actor in env.actors) for env in self.envs}
        first_sensor = dict(zip(sensors, np.cumsum([0, *sensors.values()]).tolist()))
        self.num_sensors = sum(sensors.values())
        self._sensor_rows = [_rows(layout, first_sensor, sensors, self.device) for layout in self.layouts]
        self.num_bodies, self.num_dofs = sum(bodies.values()), sum(dofs.values())
        self._body_rows = [_rows(layout, self.first_body, bodies, self.device) for layout in self.layouts]
        self._dof_rows = [_rows(layout, self.first_dof, dofs, self.device) for layout in self.layouts]
        owners = [[actor.index] * len(actor.dofs) for env in self.envs for actor in env.actors]
        self._actor_of_dof = torch.tensor([one for row in owners for one in row], dtype=torch.long, device=self.device)
        self._actor_rows = [
            torch.tensor([[actor.index for actor in env.actors] for env in layout.envs], device=self.device)
            for layout in self.layouts
        ]
        self.root_bodies = torch.zeros(self.num_actors, dtype=torch.long, device=self.device)
        """Each actor's first body."""
        for layout, bodies_of, actors in zip(self.layouts, self._body_rows, self._actor_rows):
            self.root_bodies[actors] = bodies_of[:, [layout.first_body(slot) for slot in range(actors.shape[1])]]

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float32, device=self.device)

        sizes = {"bodies": (self.num_bodies, 13), "contacts": (self.num_bodies, 3), "dof_forces": (self.num_dofs,)}
        sizes["sensors"] = (self.num_sensors, 6)
        self.handles = {name: Handle(zeros(*size), partial(self._fill, name)) for name, size in sizes.items()}
        self.handles.update(roots=Handle(zeros(self.num_actors, 13)), dofs=Handle(zeros(self.num_dofs, 2)))
        self.force, self.position, self.velocity = zeros(self.num_dofs), zeros(self.num_dofs), zeros(self.num_dofs)
        self.push_force, self.push_torque = zeros(self.num_bodies, 3), zeros(self.num_bodies, 3)
        self.pushed = False
        self.refresh("roots")
        self.refresh("dofs")

    def refresh(self, name: str) -> None:
        """Fill one of the tensors from the state as it is, if somebody looks at it."""
        self.check()
        if self.handles[name].seen:
            self._fill(name)

    def _fill(self, name: str) -> None:
        handle = self.handles[name]
        by_name: Dict[str, Callable[[Layout], Tensor]] = {
            "contacts": Layout.contact_forces,
            "dof_forces": Layout.joint_forces,
            "sensors": Layout.sensors,
        }
        rows = {"roots": self._actor_rows, "bodies": self._body_rows, "contacts": self._body_rows}
        rows["sensors"] = self._sensor_rows
        for layout, where in zip(self.layouts, rows.get(name, self._dof_rows)):
            values = by_name[name](layout) if name in by_name else layout.read(name)
            if len(self.layouts) == 1 and values.numel() == handle.tensor.numel():
                handle.tensor.copy_(values.reshape(handle.tensor.shape))
            else:
                handle.tensor[where.flatten()] = values.flatten(0, 1).to(handle.tensor)

    def set_roots(self, values: Given, actors: Optional[Tensor]) -> None:
        """Write actors' states from `values` `[all actors, 13]`; `actors` are their indices, None for all."""
        self.check()
        given = rows_of(values, self.num_actors, 13)
        chosen = torch.arange(self.num_actors, device=self.device) if actors is None else actors.long()
        for number, layout in enumerate(self.layouts):
            own = chosen if len(self.layouts) == 1 else chosen[self._tables["layout"][chosen] == number]
            if len(own):
                layout.set_roots(given[own], self._tables["row"][own], self._tables["slot"][own])

    def set_dofs(self, values: Given, actors: Optional[Tensor]) -> None:
        """Write the degrees of freedom of actors from `values` `[all, 2]`; None for all actors."""
        self.check()
        given = rows_of(values, self.num_dofs, 2)
        chosen = torch.arange(self.num_actors, device=self.device) if actors is None else actors.long()
        for number, layout in enumerate(self.layouts):
            own = chosen if len(self.layouts) == 1 else chosen[self._tables["layout"][chosen] == number]
            if len(own):
                layout.set_dofs(given[self._dof_rows[number]], self._tables["row"][own], self._tables["slot"][own])

    def set_targets(self, name: str, values: Given, actors: Optional[Tensor]) -> None:
        """Set `force`, `position` or `velocity` of degrees of freedom from `values` `[all]`; None for all actors."""
        self.check()
        target: Tensor = getattr(self, name)
        values = rows_of(values, self.num_dofs, 1)[:, 0].to(target)
        if actors is not None:
            chosen = torch.zeros(self.num_actors, dtype=torch.bool, device=self.device)
            chosen[actors.long()] = True
            values = torch.where(chosen[self._actor_of_dof], values, target)
        target.copy_(values)

    def dofs_of(self, actor: int) -> slice:
        """The rows of an actor's degrees of freedom."""
        layout = self.layouts[int(self._tables["layout"][actor])]
        env = layout.envs[int(self._tables["row"][actor])]
        slot = int(self._tables["slot"][actor])
        own, first = layout.dofs_of(slot), self.first_dof[env.index]
        return slice(first + own.start, first + own.stop)

    def push(
        self, forces: Optional[Tensor], torques: Optional[Tensor], places: Optional[Tensor] = None, local: bool = False
    ) -> None:
        """Add forces and torques on bodies `[all bodies, 3]` for the next step, in the axes of the world or the bodies.

        Forces act at `places`, or at the centres of mass.
        """
        self.check()
        forces, torques, places = (
            None if one is None else rows_of(one, self.num_bodies, 3) for one in (forces, torques, places)
        )
        if places is not None or local:
            pos, turn, centre = self._frames().tensor_split((3, 7), dim=-1)
            if local:
                forces, torques = (
                    None if one is None else rotate_by_quaternion(turn, one) for one in (forces, torques)
                )
                places = None if places is None else pos + rotate_by_quaternion(turn, places)
            if places is not None and forces is not None:
                torques = torch.cross(places - centre, forces, dim=-1)
        for given, kept in ((forces, self.push_force), (torques, self.push_torque)):
            if given is not None:
                kept += given
        self.pushed = True

    def simulate(self) -> None:
        """Advance by `dt`; a program that uses no tensors need not prepare."""
        if not self.layouts:
            self.prepare()
        self._apply_changes()
        for layout, rows in zip(self.layouts, self._dof_rows):
            layout.drive(*(self._of(values, rows) for values in (self.force, self.position, self.velocity)))
        for layout, rows in zip(self.layouts, self._body_rows):
            layout.push(*((self.push_force[rows], self.push_torque[rows]) if self.pushed else (None, None)))
        for layout in self.layouts:
            layout.engine.step(max(1, int(self.params.substeps)), layout.fastest)
        if self.pushed:
            self.push_force.zero_(), self.push_torque.zero_()
            for layout in self.layouts:
                layout.engine.state["xfrc_applied"].zero_()
            self.pushed = False
        self.frames += 1

    def _of(self, values: Tensor, rows: Tensor) -> Tensor:
        """A layout's share of `values`, `[N, ...]`."""
        return values.view(len(rows), -1, *values.shape[1:]) if len(self.layouts) == 1 else values[rows]

    def _apply_changes(self) -> None:
        for layout in self.layouts if self.dirty else []:
            rows = [layout.row(env.index) for env in layout.envs if env.index in self.dirty]
            if rows:
                layout.apply(rows)
        self.dirty.clear()

    def layout_of(self, env: Env) -> Layout:
        """The layout of which the environment is a copy."""
        self.check()
        return next(layout for layout in self.layouts if layout.has(env.index))

    def _frames(self) -> Tensor:
        """The frames of all bodies `[bodies, 10]`, see `Layout.frames`."""
        found = torch.zeros(self.num_bodies, 10, device=self.device)
        for layout, rows in zip(self.layouts, self._body_rows):
            found[rows.flatten()] = layout.frames().flatten(0, 1)
        return found


def rows_of(values: Given, count: int, columns: int) -> Tensor:
    """The numbers that a setter was given, `[count, columns]`.

    Raises:
        ValueError: there are more or fewer.

    """
    tensor = values.look() if isinstance(values, Handle) else values
    if tensor.numel() != count * columns:
        raise ValueError(
            f"a setter needs the values of the whole simulation, {count} x {columns} numbers, also to set a few of "
            f"them; this tensor has the shape {tuple(tensor.shape)}"
        )
    return tensor.reshape(count, columns)


def contact_room(made: scene.Scene) -> int:
    """Contacts of a copy that have room on a GPU: MAPUSH_GYM_CONTACTS, or by the number of bodies with shapes."""
    # Pairs whose bounding spheres meet need room too, and a robot's own shapes often do.
    return activation.contacts() or 16 + 2 * sum(map(len, made.geoms)) + len(made.pairs) // 4


def _rows(layout: Layout, first: Dict[int, int], sizes: Dict[int, int], device: torch.device) -> Tensor:
    """Where each copy's values are in a tensor of all environments, `[N, values]`."""
    size = sizes[layout.envs[0].index]
    starts: Sequence[int] = [first[env.index] for env in layout.envs]
    return torch.tensor(starts, device=device)[:, None] + torch.arange(size, device=device)[None, :]
