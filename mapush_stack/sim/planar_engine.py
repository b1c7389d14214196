"""Planar robots: the whole scene stepped by one Warp kernel, instead of MuJoCo Warp's many, or MuJoCo on a CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor

from ..system.machine import usable_cpus
from . import gpu, work
from .engine import Engine, Path

OBJECT_BODY, OBJECT_DOFS = 1, 6


class PlanarEngine(Engine):
    """`sim/planar_kernel.py` over one model of an object and planar robots.

    There is room for every contact that can be, so that no step overflows. It solves the same problem as MuJoCo;
    contacts of capsule and cylinder are those of the point of the capsule's axis that is nearest to the cylinder's.
    """

    masked_reset = True

    def __init__(
        self,
        spec: Any,
        num_envs: int,
        device: torch.device,
        contacts: int = 0,
        fields: Tuple[str, ...] = ("geom_friction",),
        threads: int = 0,
    ) -> None:
        """See `Engine`; the only field that can be set is `geom_friction`."""
        self._warp, _ = gpu.import_warp()
        from .planar_contacts import WIDTH
        from .planar_kernel import stepper
        from .planar_solver import types

        self.model, self.num_envs, self.device = spec.compile(), num_envs, device
        self._wp_device = self._warp.device_from_torch(device)
        robots, parts = (self.model.nv - OBJECT_DOFS) // 3, int((self.model.geom_bodyid == OBJECT_BODY).sum())
        room = 4 * parts + 2 * parts * robots + robots * (robots - 1)
        self._kernel, self._types = stepper(robots), types(robots)[2:]

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        self._memory = {
            "qpos": zeros(num_envs, self.model.nq),
            "qvel": zeros(num_envs, self.model.nv),
            "warmstart": zeros(num_envs, self.model.nv),
        }
        self._friction, self._control = zeros(num_envs, 3), zeros(num_envs, self.model.nu)
        self._table = zeros(WIDTH * room, num_envs)
        self._scene = self._scene_of(self.model)
        self._threads = None
        if device.type == "cpu":
            self._threads = ThreadPoolExecutor(min(threads or usable_cpus(), num_envs))
        self._prepared: Dict[Tuple[int, int], Tuple[Path, List[Any]]] = {}
        self.set_field("geom_friction", torch.from_numpy(self.model.geom_friction).expand(num_envs, -1, -1))

    def _scene_of(self, model: Any) -> Any:
        """What the kernel needs of a model: all robots and all contacts in it are alike."""
        import mujoco

        from .planar_contacts import Scene

        warp, scene, robot, capsule = self._warp, Scene(), model.nbody - 1, model.ngeom - 1
        parts = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] == OBJECT_BODY]
        turn = warp.quat_to_matrix(warp.quat(*model.body_iquat[OBJECT_BODY][[1, 2, 3, 0]]))
        inertia = turn * warp.diag(warp.vec3(*model.body_inertia[OBJECT_BODY])) * warp.transpose(turn)
        scene.dt, scene.gravity = model.opt.timestep, warp.vec3(*model.opt.gravity)
        scene.mass, scene.centre = model.body_mass[OBJECT_BODY], warp.vec3(*model.body_ipos[OBJECT_BODY])
        scene.inertia = inertia
        mass = model.body_mass[robot]
        scene.robot_mass = warp.vec3(mass, mass, model.body_inertia[robot][2])
        scene.gain = warp.vec3(*model.actuator_gainprm[-3:, 0])
        scene.limit = warp.vec3(*model.actuator_forcerange[-3:, 1])
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
            scene.is_box = warp.array([bool(model.geom_type[part] == box) for part in parts], dtype=warp.bool)
            scene.size = warp.array(model.geom_size[parts], dtype=warp.vec3)
            scene.place = warp.array(model.geom_pos[parts] - model.body_ipos[OBJECT_BODY], dtype=warp.vec3)
        scene.table = warp.from_torch(self._table)
        return scene

    def write(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor, mask: Tensor) -> None:
        """See `Engine.write`."""
        written = mask.unsqueeze(-1)
        for name, value in (("qpos", qpos), ("qvel", qvel), ("warmstart", torch.zeros_like(qvel))):
            tensor = self._memory[name]
            tensor.index_copy_(0, env_ids, torch.where(written, value, tensor[env_ids]))

    def read(self) -> Tuple[Tensor, Tensor]:
        """See `Engine.read`."""
        return self._memory["qpos"].clone(), self._memory["qvel"].clone()

    def advance(self, control: Tensor, steps: int, substeps: int) -> Path:
        """See `Engine.advance`; one launch, or on a CPU one a thread."""
        self._control.copy_(control)
        key = (steps, substeps)
        if key not in self._prepared:
            self._prepared[key] = self._prepare(steps, substeps)
        path, launches = self._prepared[key]
        if self._threads is None:
            stream = torch.cuda.current_stream(self.device)
            launches[0].launch(self._warp.stream_from_torch(stream))
        else:
            list(self._threads.map(lambda launch: launch.launch(), launches))
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
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def overflows(self) -> Tensor:
        """See `Engine.overflows`: none."""
        return torch.zeros((), dtype=torch.int64, device=self.device)

    def set_field(self, name: str, values: Tensor) -> None:
        """See `Engine.set_field`: MuJoCo takes the larger coefficient of two geoms."""
        floor, thing, robot = (values[:, geom, 0] for geom in (0, 1, -1))
        pairs = (torch.maximum(floor, thing), torch.maximum(robot, thing), robot)
        self._friction.copy_(torch.stack(pairs, dim=-1))

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
