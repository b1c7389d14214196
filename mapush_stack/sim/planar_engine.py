"""Planar robots: the whole scene stepped by one Warp kernel, instead of MuJoCo Warp's many, or MuJoCo on a CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, NamedTuple, Tuple

import torch
from torch import Tensor

from ..device.rows import overwrite
from ..system.machine import usable_cpus
from ..task.obstacles import HEIGHT
from . import gpu, work
from .contacts import OBSTACLE_FRICTION
from .engine import Engine, Path
from .family import FIELDS
from .obstacles import columns
from .rotation import rotate_by_quaternion
from .scene import compiled

OBJECT_BODY, ROBOT_BODY, OBJECT_DOFS = 1, 2, 6
CYLINDER = 5
"""MuJoCo's number of this shape of a geom."""


class _Object(NamedTuple):
    """What the kernel knows of the object of each world, or of all: W rows of P parts each."""

    size: Tensor
    """`[W, P, 3]` half lengths, m."""
    place: Tensor
    """`[W, P, 3]` centres of the parts, from the centre of mass, m."""
    turn: Tensor
    """`[W, P, 2]` cosine and sine of the parts' yaw."""
    mass: Tensor
    """`[W]` kg"""
    inertia: Tensor
    """`[W, 3, 3]` about the centre of mass, kg m^2."""
    centre: Tensor
    """`[W, 3]` centre of mass in the object's frame, m."""


class _Obstacles(NamedTuple):
    """Where the K obstacles of each world stand, seen from above, `[N, K, 2]`."""

    place: Tensor
    """Centres, m."""
    turn: Tensor
    """Cosine and sine of the yaw."""
    half: Tensor
    """Half the sides of boxes; the radius of cylinders, twice; m."""


_OBSTACLE_FIELDS = {"mocap_pos": "place", "mocap_quat": "turn", "geom_size": "half"}


class PlanarEngine(Engine):
    """`sim/planar_kernel.py` over one model of an object and planar robots.

    Without obstacles there is room for every contact that can be. It solves the same problem as MuJoCo; contacts of
    capsule and cylinder are those of the point of the capsule's axis that is nearest to the cylinder's, and those of
    the object with obstacles are found at the lower and the upper end of its parts.
    """

    def __init__(
        self,
        spec: Any,
        num_envs: int,
        device: torch.device,
        contacts: int = 0,
        fields: Tuple[str, ...] = ("geom_friction",),
        threads: int = 0,
    ) -> None:
        """See `Engine`; the fields that can be set are `geom_friction` and, together, those of `FIELDS`."""
        self._warp = gpu.import_warp_alone()
        from .planar_contacts import WIDTH
        from .planar_cost import types
        from .planar_kernel import stepper

        self.model, self.num_envs, self.device = compiled(spec), num_envs, device
        self._wp_device = self._warp.device_from_torch(device)
        self.masked_reset = device.type == "cuda"
        standing = [int(kind) == CYLINDER for kind in self.model.geom_type[columns(self.model)[2]]]
        self._capsule = int(self.model.body_geomadr[ROBOT_BODY] + self.model.body_geomnum[ROBOT_BODY] - 1)
        self._parts = [geom for geom in range(self.model.ngeom) if self.model.geom_bodyid[geom] == OBJECT_BODY]
        robots, parts = (self.model.nv - OBJECT_DOFS) // 3, len(self._parts)
        room = 4 * parts + 2 * parts * robots + robots * (robots - 1)
        room = max(room, contacts) if standing else room
        own = "body_mass" in fields
        self._kernel, self._types = stepper(robots, own, bool(standing)), types(robots)[1:]

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        self._memory = {
            "qpos": zeros(num_envs, self.model.nq),
            "qvel": zeros(num_envs, self.model.nv),
            "warmstart": zeros(num_envs, self.model.nv),
        }
        self._friction, self._control = zeros(num_envs, 3), zeros(num_envs, self.model.nu)
        # The threads of a GPU read one row of neighbouring worlds at a time, a thread of a CPU all rows of one world.
        self._table = zeros(room, WIDTH, num_envs)
        if device.type == "cpu":
            self._table = zeros(num_envs, room, WIDTH).permute(1, 2, 0)
        self._full = zeros(num_envs).int()
        self._overflows = zeros().long()
        self._around = _Obstacles(*(zeros(num_envs, len(standing), 2) for _ in _Obstacles._fields))
        self._fields = {name: torch.from_numpy(getattr(self.model, name)).unsqueeze(0) for name in FIELDS}
        worlds = num_envs if own else 1
        self._object = _Object(
            *(zeros(worlds, *shape) for shape in ((parts, 3), (parts, 3), (parts, 2), (), (3, 3), (3,)))
        )
        self._scene = self._scene_of(self.model, own, standing)
        self._scene.room, self._scene.full = room, self._warp.from_torch(self._full)
        self._load_object()
        self._threads = None
        if device.type == "cpu":
            self._threads = ThreadPoolExecutor(min(threads or usable_cpus(), num_envs))
        self._prepared: Dict[Tuple[int, int], Tuple[Path, List[Any]]] = {}
        self.set_field("geom_friction", torch.from_numpy(self.model.geom_friction).expand(num_envs, -1, -1))

    def _scene_of(self, model: Any, own: bool, standing: List[bool]) -> Any:
        """What the kernel needs of a model: all contacts in it are alike, and all robots but for their servos.

        `standing`: which obstacles are cylinders.
        """
        import mujoco

        from .planar_contacts import Scene

        warp, scene, robot, capsule = self._warp, Scene(), ROBOT_BODY, self._capsule
        turn = warp.quat_to_matrix(warp.quat(*model.body_iquat[OBJECT_BODY][[1, 2, 3, 0]]))
        inertia = turn * warp.diag(warp.vec3(*model.body_inertia[OBJECT_BODY])) * warp.transpose(turn)
        scene.dt, scene.gravity = model.opt.timestep, warp.vec3(*model.opt.gravity)
        scene.mass, scene.centre = model.body_mass[OBJECT_BODY], warp.vec3(*model.body_ipos[OBJECT_BODY])
        scene.inertia = inertia
        mass = model.body_mass[robot]
        scene.robot_mass = warp.vec3(mass, mass, model.body_inertia[robot][2])
        scene.height, scene.shift = model.body_pos[robot][2], model.geom_pos[capsule][0]
        scene.radius, scene.half_length = model.geom_size[capsule][:2]
        # The spring of a contact, as MuJoCo computes it from `solref` and `solimp`.
        low, high, width = model.geom_solimp[0][:3]
        time_constant, ratio = max(model.geom_solref[0][0], 2 * model.opt.timestep), model.geom_solref[0][1]
        scene.impedance = warp.vec3(low, high, width)
        scene.stiffness = 1 / (high * time_constant * ratio) ** 2
        scene.damping = 2 / (high * time_constant)
        scene.inverse_weight = model.body_invweight0[OBJECT_BODY][0]
        scene.robot_inverse_weight = model.body_invweight0[robot][0]
        scene.iterations = model.opt.iterations
        scene.tolerance = model.opt.tolerance * model.stat.meaninertia * model.nv
        box = mujoco.mjtGeom.mjGEOM_BOX
        with warp.ScopedDevice(self._wp_device):
            scene.is_box = warp.array([bool(model.geom_type[part] == box) for part in self._parts], dtype=warp.bool)
            scene.obstacle_round = warp.array(standing, dtype=warp.bool)
            scene.gain = warp.array(model.actuator_gainprm[:, 0].reshape(-1, 3), dtype=warp.vec3)
            scene.limit = warp.array(model.actuator_forcerange[:, 1].reshape(-1, 3), dtype=warp.vec3)
        scene.obstacle_height, scene.obstacle_friction = HEIGHT, OBSTACLE_FRICTION
        for name, tensor in self._around._asdict().items():
            setattr(scene, f"obstacle_{name}", warp.from_torch(tensor, dtype=warp.vec2))
        scene.stride, scene.turned = int(own), own or bool((model.geom_quat[self._parts, 3] != 0).any())
        share, thing = warp.from_torch, self._object
        scene.size, scene.place = share(thing.size, dtype=warp.vec3), share(thing.place, dtype=warp.vec3)
        scene.turn = share(thing.turn, dtype=warp.vec2)
        scene.masses, scene.inertias = share(thing.mass), share(thing.inertia, dtype=warp.mat33)
        scene.centres = share(thing.centre, dtype=warp.vec3)
        scene.table = share(self._table)
        return scene

    def _load_object(self) -> None:
        """Give the kernel the objects that the model's fields describe."""
        size, place, quaternion = (
            self._fields[name][:, self._parts] for name in ("geom_size", "geom_pos", "geom_quat")
        )
        mass, centre, axes, inertia = (self._fields[name][:, OBJECT_BODY] for name in FIELDS[3:])
        w, z = quaternion[..., 0], quaternion[..., 3]
        turn = rotate_by_quaternion(axes.unsqueeze(1), torch.eye(3, dtype=axes.dtype).unsqueeze(0)).transpose(1, 2)
        found = _Object(
            size=size,
            place=place - centre.unsqueeze(1),
            turn=torch.stack((w * w - z * z, 2 * w * z), dim=-1),
            mass=mass,
            inertia=turn @ torch.diag_embed(inertia) @ turn.transpose(1, 2),
            centre=centre,
        )
        for memory, value in zip(self._object, found):
            memory.copy_(value)

    def write(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor, mask: Tensor) -> None:
        """See `Engine.write`."""
        for name, value in (("qpos", qpos), ("qvel", qvel), ("warmstart", 0.0)):
            overwrite(self._memory[name], env_ids, mask, value)
        overwrite(self._full, env_ids, mask, 0)

    def read(self) -> Tuple[Tensor, Tensor]:
        """See `Engine.read`."""
        return self._memory["qpos"].clone(), self._memory["qvel"].clone()

    def advance(self, control: Tensor, steps: int, substeps: int) -> Path:
        """See `Engine.advance`; one launch, or on a CPU one a thread."""
        self._control.copy_(control)
        full = self._full.clone()
        key = (steps, substeps)
        if key not in self._prepared:
            self._prepared[key] = self._prepare(steps, substeps)
        path, launches = self._prepared[key]
        if self._threads is None:
            stream = torch.cuda.current_stream(self.device)
            launches[0].launch(self._warp.stream_from_torch(stream))
        else:
            list(self._threads.map(lambda launch: launch.launch(), launches))
        self._overflows += (self._full > full).sum()
        done = None if path.work is None else path.work.nan_to_num(0.0, 0.0, 0.0)
        return Path(path.qpos.clone(), path.qvel.clone(), done)

    def _prepare(self, steps: int, substeps: int) -> Tuple[Path, List[Any]]:
        """Where a call of `advance` leaves its path, and its launches, each for a part of the worlds."""
        share, memory, (pose, motion) = self._warp.from_torch, self._memory, self._types
        robots = len(work.sensors(self.model)) // work.NUMBERS
        sizes = (self.model.nq, self.model.nv, robots)
        path = Path(*(torch.zeros(steps, self.num_envs, size, device=self.device) for size in sizes))
        arrays = [
            share(self._friction, dtype=self._warp.vec3),
            share(self._control.view(self.num_envs, -1, 3), dtype=self._warp.vec3),
            share(memory["qpos"], dtype=pose),
            *(share(tensor, dtype=motion) for tensor in (memory["qvel"], memory["warmstart"])),
            share(path.qpos, dtype=pose),
            share(path.qvel, dtype=motion),
            share(path.work),
        ]
        parts = 1 if self._threads is None else self._threads._max_workers
        bounds = [self.num_envs * part // parts for part in range(parts + 1)]
        launches = [
            self._warp.launch(
                self._kernel,
                dim=end - first,
                inputs=[self._scene, first, substeps, *arrays],
                device=self._wp_device,
                block_dim=128,
                record_cmd=True,
            )
            for first, end in zip(bounds[:-1], bounds[1:])
        ]
        return path if robots else path._replace(work=None), launches

    def faulty(self) -> Tensor:
        """See `Engine.faulty`; divergence shows as numbers that are not finite."""
        return self._full > 0

    def overflows(self) -> Tensor:
        """See `Engine.overflows`."""
        return self._overflows.clone()

    def set_field(self, name: str, values: Tensor) -> None:
        """See `Engine.set_field`: MuJoCo takes the larger coefficient of two geoms."""
        if name in FIELDS:
            self._fields[name] = values
            self._load_object()
            return
        floor, thing, robot = (values[:, geom, 0] for geom in (0, 1, self._capsule))
        pairs = (torch.maximum(floor, thing), torch.maximum(robot, thing), robot)
        self._friction.copy_(torch.stack(pairs, dim=-1))

    def set_rows(self, name: str, env_ids: Tensor, columns: slice, values: Tensor, mask: Tensor) -> None:
        """See `Engine.set_rows`; only for all obstacles together."""
        if name == "mocap_quat":
            w, z = values[..., 0], values[..., 3]
            values = torch.stack((w * w - z * z, 2 * w * z), dim=-1)
        elif name == "geom_size":
            first, second = values[..., 0], torch.where(values[..., 2] > 0, values[..., 1], values[..., 0])
            values = torch.stack((first, second), dim=-1)
        overwrite(getattr(self._around, _OBSTACLE_FIELDS[name]), env_ids, mask, values[..., :2])

    def push(self, wrench: Tensor) -> None:
        """See `Engine.push`."""
        raise NotImplementedError("forces are applied to robots on legs only")

    def state_dict(self) -> Dict[str, Tensor]:
        """Joint states and the accelerations from which the solver starts."""
        return {name: tensor.clone() for name, tensor in self._memory.items()}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for name, tensor in self._memory.items():
            tensor.copy_(state[name])

    def close(self) -> None:
        """See `Engine.close`: the threads end."""
        if self._threads is not None:
            self._threads.shutdown()
