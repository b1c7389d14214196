"""MuJoCo on the CPU: all copies stepped together by MuJoCo's own batched rollout."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..system.machine import usable_cpus
from . import work
from .engine import Engine, Path
from .scene import compiled, import_mujoco
from .scene_simulator import SceneKind
from .simulator import Backend

STATE = "rows"
"""The name of the simulation's state in a checkpoint, which no other engine has."""


class MujocoEngine(Engine):
    """`mujoco.batch` over one model on a pool of threads; their number changes no result."""

    masked_reset = False

    def __init__(
        self, spec: Any, num_envs: int, device: torch.device, contacts: int, fields: Tuple[str, ...], threads: int = 0
    ) -> None:
        """See `Engine`; contacts have room as they need it, and every field can be set."""
        mujoco = import_mujoco()
        # A simulation that diverges is reported; MuJoCo would reset it silently.
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.model, self.num_envs, self.device = compiled(spec), num_envs, device
        threads = min(threads or usable_cpus(), num_envs)
        self.batch = mujoco.batch.Batch(self.model, nsim=num_envs, nthread=threads)
        self._qpos, self._qvel, self._ctrl, self._wrench = (
            self.batch.bind(name) for name in ("qpos", "qvel", "ctrl", "xfrc_applied")
        )
        self._mocap = [self.batch.bind(name) for name in ("mocap_pos", "mocap_quat")]
        self._records: Dict[int, Dict[str, Any]] = {}
        """Output arrays of the batched rollout by number of physics steps, made once."""
        self._sensors = work.sensors(self.model)
        self._faulty = np.zeros(num_envs, dtype=bool)

    def write(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor, mask: Tensor) -> None:
        """See `Engine.write`; forces, solver warm starts and time begin at zero."""
        ids = env_ids[mask].numpy()
        kept = [(field, field[ids]) for field in self._mocap]
        self.batch.state[ids] = 0.0
        for field, values in kept:
            field[ids] = values
        self._qpos[ids], self._qvel[ids] = qpos[mask].numpy(), qvel[mask].numpy()
        self._faulty[ids] = False

    def read(self) -> Tuple[Tensor, Tensor]:
        """See `Engine.read`."""
        qpos, qvel = (torch.from_numpy(rows).to(torch.float32) for rows in (self._qpos, self._qvel))
        return qpos, qvel

    def advance(self, control: Tensor, steps: int, substeps: int) -> Path:
        """See `Engine.advance`; one call of MuJoCo's batched rollout."""
        self._ctrl[:] = control.numpy()
        total = steps * substeps
        warned = self._warnings()
        wanted = ("qpos", "qvel", "sensordata") if self._sensors else ("qpos", "qvel")
        records = self.batch.rollout(total, record=wanted, out=self._records.get(total))
        self._records[total] = records
        self._faulty |= self._warnings() > warned
        last = slice(substeps - 1, None, substeps)
        path = Path(
            *(torch.from_numpy(records[name][:, last]).to(torch.float32).transpose(0, 1) for name in ("qpos", "qvel"))
        )
        if not self._sensors:
            return path
        qpos, qvel, sensed = (torch.from_numpy(records[name]).to(torch.float32).transpose(0, 1) for name in wanted)
        return path._replace(work=work.work(sensed[..., self._sensors], qpos, qvel, self.model.opt.timestep, substeps))

    def faulty(self) -> Tensor:
        """See `Engine.faulty`; MuJoCo warns of divergence and of a full contact buffer."""
        return torch.from_numpy(self._faulty)

    def overflows(self) -> Tensor:
        """See `Engine.overflows`; MuJoCo counts them as warnings."""
        import mujoco

        kinds = (mujoco.mjtWarning.mjWARN_CONTACTFULL, mujoco.mjtWarning.mjWARN_CNSTRFULL)
        return torch.tensor(int(sum(self.batch.warning[:, int(kind), 1].sum() for kind in kinds)))

    def set_field(self, name: str, values: Tensor) -> None:
        """See `Engine.set_field`."""
        self.batch.expand(name)[:] = values.double().numpy()
        if name in type(self.model)._setconst_inputs:
            self.batch.set_const()

    def set_rows(self, name: str, env_ids: Tensor, columns: slice, values: Tensor, mask: Tensor) -> None:
        """See `Engine.set_rows`."""
        field = self.batch.bind(name) if name.startswith("mocap") else self.batch.expand(name)
        field[env_ids[mask].numpy(), columns] = values[mask].double().numpy()

    def push(self, wrench: Tensor) -> None:
        """See `Engine.push`."""
        self._wrench[:] = wrench.numpy()

    def _warnings(self) -> np.ndarray:
        """Warnings of each copy so far `[N]`."""
        warnings: np.ndarray = self.batch.warning[:, :, 1].sum(axis=1)
        return warnings

    def state_dict(self) -> Dict[str, Tensor]:
        """MuJoCo's integration state of every copy, warm starts included, in float64."""
        return {
            STATE: torch.from_numpy(self.batch.state.copy()),
            "unhealthy": torch.from_numpy(self._faulty.copy()),
        }

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self.batch.state[:] = state[STATE].numpy()
        self._faulty[:] = state["unhealthy"].numpy()


class MujocoKind(SceneKind):
    """MuJoCo on the CPU."""

    engine = MujocoEngine
    bytes_per_env = 40_000

    def place(self, device: str) -> Backend:
        """See `SimulatorKind.place`."""
        if device not in ("auto", "cpu"):
            raise UserError(f"sim.device={device} is not allowed with sim.backend=mujoco, which runs on the CPU")
        return Backend("mujoco", torch.device("cpu"), "asked for")
