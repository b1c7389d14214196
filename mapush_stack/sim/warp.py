"""MuJoCo Warp: all copies stepped together on an NVIDIA GPU, in memory shared with torch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple, Type

import numpy as np
import torch
from torch import Tensor

from ..device.replay import no_garbage_collection
from ..device.rows import overwrite
from ..task.obstacle_config import ObstacleConfig
from . import gpu, work
from .config import ObjectBody, SimConfig
from .engine import Engine, Path
from .planar_engine import PlanarEngine
from .robots import ROBOTS
from .robots.planar import Planar, PlanarSettings
from .robots.variants import VARIANTS
from .scene import compiled
from .scene_simulator import SceneKind
from .simulator import Backend

_INVERSES = ("body_invweight0", "dof_invweight0", "actuator_acc0")
DERIVED = {
    "body_mass": ("body_subtreemass", *_INVERSES),
    "body_inertia": _INVERSES,
    "body_ipos": _INVERSES,
    "body_iquat": _INVERSES,
    "geom_size": ("geom_aabb", "geom_rbound"),
}
"""Fields that MuJoCo derives from others; they differ between copies if those do."""
SPARSE_ABOVE = 32
"""Degrees of freedom above which the Jacobian is sparse: few joints move a contact, and the dense Hessian of so many is
too large for one tile. On an H200 two Go1 (42) are 1.3 times as fast, three (60) 1.57 times."""


class _Record(NamedTuple):
    """What every physics step of a call of `advance` leaves behind, as Warp arrays."""

    qpos: Any
    """`[steps, N * nq]` after each control step."""
    qvel: Any
    """`[steps, N * nv]`"""
    rows: Any
    """`[steps * substeps, N]` constraint rows that each copy wanted."""
    contacts: Any
    """`[steps * substeps, 1]` contacts that all copies together wanted."""
    sensed: Any
    """`[steps * substeps, N * nsensordata]` of `work.work`, which needs the next two of every physics step too."""
    all_qpos: Any
    """`[steps * substeps, N * nq]`"""
    all_qvel: Any
    """`[steps * substeps, N * nv]`"""


class WarpEngine(Engine):
    """`mujoco_warp` over one model; on a GPU a call of `advance` is one captured CUDA graph.

    The buffers for contacts and constraint rows have a fixed size. A step that needs more is wrong, and its copies are
    `faulty` until they are written anew; if the shared contact buffer was full, all copies are.
    """

    masked_reset = True

    def __init__(
        self, spec: Any, num_envs: int, device: torch.device, contacts: int, fields: Tuple[str, ...], threads: int = 0
    ) -> None:
        """See `Engine`; `device` is a CUDA device, or the CPU, which is slow and there for tests."""
        self._warp, self._mjw = gpu.import_warp()
        import mujoco

        self.model, self.num_envs, self.device = compiled(spec), num_envs, device
        if self.model.nv > SPARSE_ABOVE:
            self.model.opt.jacobian = mujoco.mjtJacobian.mjJAC_SPARSE
        self._wp_device = self._warp.device_from_torch(device)
        self._records: Dict[Tuple[int, int], _Record] = {}
        self._fields: Dict[str, Tensor] = {}
        self._graphs: Dict[Tuple[int, int], Any] = {}
        own = [*fields, *(derived for name in fields for derived in DERIVED.get(name, ()))]
        with self._warp.ScopedDevice(self._wp_device):
            self._m = self._mjw.put_model(self.model, batch_sizes=dict.fromkeys(own, num_envs))
            # It would print overflows line by line, which `faulty` reports, and solvers that end on their last
            # iteration, which is no fault.
            self._m.opt.warn_overflow = 0
            # Every contact of a pyramidal cone is four rows; every limited joint may add one.
            rows = 4 * contacts + int(self.model.jnt_limited.sum())
            entries = 4 * contacts * most_moving(self.model) + int(self.model.jnt_limited.sum())
            self._d = self._mjw.put_data(
                self.model,
                mujoco.MjData(self.model),
                nworld=num_envs,
                nconmax=contacts,
                njmax=rows,
                njmax_nnz=entries,
            )
            if device.type == "cuda":
                self._compile()
        share = self._warp.to_torch
        data = self._d
        self._qpos, self._qvel, self._ctrl = share(data.qpos), share(data.qvel), share(data.ctrl)
        self._wrench, self._warmstart = share(data.xfrc_applied), share(data.qacc_warmstart)
        self._sensors = work.sensors(self.model)
        self._max_rows, self._max_contacts = rows, contacts * num_envs
        self._faulty = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self._overflows = torch.zeros((), dtype=torch.int64, device=device)
        self._memory = {"qpos": self._qpos, "qvel": self._qvel, "ctrl": self._ctrl, "wrench": self._wrench}
        self._memory.update(warmstart=self._warmstart, unhealthy=self._faulty)

    def write(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor, mask: Tensor) -> None:
        """See `Engine.write`."""
        overwrite(self._qpos, env_ids, mask, qpos)
        overwrite(self._qvel, env_ids, mask, qvel)
        for tensor in (self._ctrl, self._wrench, self._warmstart, self._faulty):
            overwrite(tensor, env_ids, mask, 0)

    def read(self) -> Tuple[Tensor, Tensor]:
        """See `Engine.read`."""
        return self._qpos.clone(), self._qvel.clone()

    def advance(self, control: Tensor, steps: int, substeps: int) -> Path:
        """See `Engine.advance`."""
        self._ctrl.copy_(control)
        key = (steps, substeps)
        if key not in self._records:
            self._records[key] = self._make_record(steps, substeps)
        record = self._records[key]
        self._run(record, steps, substeps)
        share = self._warp.to_torch
        full = (share(record.rows) > self._max_rows) | (share(record.contacts) > self._max_contacts)
        self._faulty.logical_or_(full.any(0))
        self._overflows += full.sum()
        shape = (steps, self.num_envs, -1)
        path = Path(share(record.qpos).view(shape).clone(), share(record.qvel).view(shape).clone())
        if not self._sensors:
            return path
        shape = (steps * substeps, self.num_envs, -1)
        sensed, qpos, qvel = (share(one).view(shape) for one in (record.sensed, record.all_qpos, record.all_qvel))
        return path._replace(work=work.work(sensed[..., self._sensors], qpos, qvel, self.model.opt.timestep, substeps))

    def _compile(self) -> None:
        """Compile the kernels of a physics step."""
        options = self._m.opt
        kept = options.graph_conditional, options.iterations
        options.graph_conditional, options.iterations = False, 1  # as a solver that does nothing would never end
        try:
            gpu.compile_together(self._warp, lambda: self._mjw.step(self._m, self._d))
        finally:
            options.graph_conditional, options.iterations = kept

    def _make_record(self, steps: int, substeps: int) -> _Record:
        warp, model, copies = self._warp, self.model, self.num_envs
        sensed = steps * substeps if self._sensors else 0
        with warp.ScopedDevice(self._wp_device):
            return _Record(
                qpos=warp.zeros((steps, copies * model.nq), dtype=float),
                qvel=warp.zeros((steps, copies * model.nv), dtype=float),
                rows=warp.zeros((steps * substeps, copies), dtype=int),
                contacts=warp.zeros((steps * substeps, 1), dtype=int),
                sensed=warp.zeros((sensed, copies * model.nsensordata), dtype=float),
                all_qpos=warp.zeros((sensed, copies * model.nq), dtype=float),
                all_qvel=warp.zeros((sensed, copies * model.nv), dtype=float),
            )

    def _run(self, record: _Record, steps: int, substeps: int) -> None:
        warp = self._warp
        with warp.ScopedDevice(self._wp_device):
            if self.device.type == "cpu":
                self._steps(record, steps, substeps)
                return
            key = (steps, substeps)
            if key not in self._graphs:
                self._graphs[key] = self._capture(lambda: self._steps(record, steps, substeps))
            stream = torch.cuda.current_stream(self.device)
            warp.capture_launch(self._graphs[key], stream=warp.stream_from_torch(stream))

    def _steps(self, record: _Record, steps: int, substeps: int) -> None:
        copy, data = self._warp.copy, self._d
        for step in range(steps):
            for substep in range(step * substeps, (step + 1) * substeps):
                self._mjw.step(self._m, data)
                copy(record.rows[substep], data.nefc)
                copy(record.contacts[substep], data.nacon)
                if self._sensors:
                    copy(record.sensed[substep], data.sensordata.flatten())
                    copy(record.all_qpos[substep], data.qpos.flatten())
                    copy(record.all_qvel[substep], data.qvel.flatten())
            copy(record.qpos[step], data.qpos.flatten())
            copy(record.qvel[step], data.qvel.flatten())

    def _capture(self, work: Callable[[], None]) -> Any:
        """A CUDA graph of `work`.

        `work` runs once before, so that all kernels are compiled; then the state is restored.
        """
        kept = [tensor.clone() for tensor in (self._qpos, self._qvel, self._warmstart)]
        torch.cuda.synchronize(self.device)
        work()
        with no_garbage_collection(), self._warp.ScopedCapture() as capture:
            work()
        self._warp.synchronize_device(self._wp_device)
        for tensor, value in zip((self._qpos, self._qvel, self._warmstart), kept):
            tensor.copy_(value)
        return capture.graph

    def faulty(self) -> Tensor:
        """See `Engine.faulty`; divergence shows as numbers that are not finite."""
        return self._faulty.clone()

    def overflows(self) -> Tensor:
        """See `Engine.overflows`."""
        return self._overflows.clone()

    def set_field(self, name: str, values: Tensor) -> None:
        """See `Engine.set_field`; the field must be one of those named at the start."""
        tensor = self._warp.to_torch(getattr(self._m, name))
        tensor.copy_(values.reshape(tensor.shape))
        if name in DERIVED:
            with self._warp.ScopedDevice(self._wp_device):
                self._mjw.set_const(self._m, self._d)

    def set_rows(self, name: str, env_ids: Tensor, columns: slice, values: Tensor, mask: Tensor) -> None:
        """See `Engine.set_rows`; a field of the model must be one of those named at the start."""
        if name not in self._fields:
            self._fields[name] = self._warp.to_torch(getattr(self._d if name.startswith("mocap") else self._m, name))
        tensor = self._fields[name]
        rows = tensor[env_ids]
        kept = rows[:, columns]
        written = mask.view(-1, *[1] * (kept.dim() - 1))
        rows[:, columns] = torch.where(written, values, kept)
        tensor.index_copy_(0, env_ids, rows)

    def push(self, wrench: Tensor) -> None:
        """See `Engine.push`."""
        self._wrench.copy_(wrench.reshape(self._wrench.shape))

    def state_dict(self) -> Dict[str, Tensor]:
        """Joint states, controls, wrenches and solver warm starts."""
        return {name: tensor.clone() for name, tensor in self._memory.items()}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for name, tensor in self._memory.items():
            tensor.copy_(state[name])


def most_moving(model: Any) -> int:
    """The most degrees of freedom that move the two bodies of a contact, in a `mujoco.MjModel`."""
    chain = [0] * model.nbody
    for body in range(1, model.nbody):
        chain[body] = chain[model.body_parentid[body]] + int(model.body_dofnum[body])
    moving = np.array(chain)[model.geom_bodyid]
    meet = (model.geom_contype[:, None] & model.geom_conaffinity) != 0
    meet[model.pair_geom1, model.pair_geom2] = True
    together: int = ((meet | meet.T) * (moving[:, None] + moving)).max()
    return together


def why_not(device: str) -> str:
    """Why MuJoCo Warp cannot run on what `device` means; empty if it can."""
    return gpu.why_not(device) or why_absent()


def why_absent() -> str:
    """That MuJoCo Warp is not installed; empty if it is."""
    return "" if find_spec("mujoco_warp") else "MuJoCo Warp is not installed (pip install 'mapush_stack[warp]')"


def _in_kernel(sim: SimConfig, kind: str) -> bool:
    """Whether `sim` asks for the kernel for planar robots of this kind."""
    settings = sim.of_kind(kind)
    if isinstance(settings, PlanarSettings):
        return ROBOTS[kind] is Planar and settings.fused
    return ROBOTS[kind] in VARIANTS and sim.fused_variants


class WarpKind(SceneKind):
    """MuJoCo Warp on an NVIDIA GPU, or on the CPU for tests."""

    engine = WarpEngine
    bytes_per_env = 80_000
    """As `benchmarks/training.py` measures it for legs (docs/benchmarks.md)."""

    def engine_type(
        self, sim: SimConfig, team: Sequence[str], body: ObjectBody, around: Optional[ObstacleConfig] = None
    ) -> Type[Engine]:
        """See `SceneKind.engine_type`.

        A kernel of its own for planar robots if `sim` asks for it, with boxes and cylinders.
        """
        return PlanarEngine if self.has_kernel(sim, team, body) else self.engine

    def has_kernel(self, sim: SimConfig, team: Sequence[str], body: ObjectBody) -> bool:
        """Whether the kernel for planar robots steps a team of these kinds and an object; it knows pyramids only."""
        planar = sim.cone == "pyramidal" and all(_in_kernel(sim, kind) for kind in team)
        return planar and all(part.shape != "prism" for part in body.parts)

    def instead_of_mujoco(self, sim: SimConfig, team: Sequence[str], body: ObjectBody) -> SimConfig:
        """`sim` on a CPU by the kernel for planar robots; unchanged for others, and where Warp is not installed."""
        if why_absent() or not self.has_kernel(sim, team, body):
            return sim
        return sim.model_copy(update={"backend": "warp", "device": "cpu"})

    def place(self, device: str) -> Backend:
        """See `SimulatorKind.place`."""
        return gpu.place("warp", device, why_not)
