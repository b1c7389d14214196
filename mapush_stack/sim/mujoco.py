"""The embedded MuJoCo: all environments stepped together on the CPU by MuJoCo's own batched rollout."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..machine import usable_cpus
from ..task.config import CONTROL_DT
from ..task.state import SimState
from . import scene
from .base import Simulator
from .config import ObjectBody, SimConfig
from .robots import planar
from .rotation import conjugate, quaternion_from_rpy, rotate_by_quaternion, rpy_from_quaternion

_OBJECT_QPOS, _OBJECT_QVEL = 7, 6
_MAX_SPEED = 100.0
"""A body faster than this (m/s or rad/s) is a simulation gone wrong: commands are below 1 m/s."""


def import_mujoco() -> Any:
    """The `mujoco` package with `mujoco.batch`.

    Raises:
        UserError: it is absent or too old.

    """
    try:
        import mujoco
        import mujoco.batch
    except ImportError:
        raise UserError(
            "the mujoco backend needs MuJoCo 4.0 or newer on Python 3.11 or newer: pip install 'mapush_stack[mujoco]'"
        ) from None
    return mujoco


class MujocoSimulator(Simulator):
    """`mujoco.batch` over one model; each environment has its own friction and state row."""

    def __init__(self, config: SimConfig, body: ObjectBody, num_robots: int, friction: Tensor) -> None:
        """Build the scene; `friction` `[N]` is each environment's object friction coefficient.

        Raises:
            UserError: MuJoCo is not installed.

        """
        mujoco = import_mujoco()
        self.num_envs, self.num_robots = len(friction), num_robots
        self.device, self.control_dt = torch.device("cpu"), CONTROL_DT
        self.model = scene.build(config, body, num_robots).compile()
        self._substeps = config.substeps
        threads = min(config.threads or usable_cpus(), self.num_envs)
        self._batch = mujoco.batch.Batch(self.model, nsim=self.num_envs, nthread=threads)
        self._batch.expand("geom_friction")[:] = scene.friction_arrays(self.model, friction.double().numpy())
        self._qpos, self._qvel, self._ctrl = (self._batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._records: Dict[int, dict] = {}
        """Output arrays of the batched rollout by number of control steps, made once."""
        self._unhealthy = np.zeros(self.num_envs, dtype=bool)

    def reset(self, env_ids: Tensor, start: SimState) -> None:
        """See `Simulator.reset`; forces, solver warm starts and time begin at zero."""
        ids = env_ids.numpy()
        if len(ids) == 0:
            return
        robot_qpos, robot_qvel = planar.write(start)
        object_quaternion = quaternion_from_rpy(start.object_rpy)
        row = self._batch.state
        row[ids] = 0.0
        self._qpos[ids] = torch.cat((start.object_pos, object_quaternion, robot_qpos.flatten(1)), dim=-1).numpy()
        spin = rotate_by_quaternion(conjugate(object_quaternion), start.object_ang_vel)
        self._qvel[ids] = torch.cat((start.object_lin_vel, spin, robot_qvel.flatten(1)), dim=-1).numpy()
        self._unhealthy[ids] = False

    def step(self, commands: Tensor, repeat: int = 1) -> SimState:
        """See `Simulator.step`; one call of MuJoCo's batched rollout."""
        self._ctrl[:] = commands.flatten(1).numpy()
        records = self._records.get(repeat)
        warned = self._warnings()
        records = self._batch.rollout(repeat * self._substeps, record=("qpos", "qvel"), out=records)
        self._records[repeat] = records
        self._unhealthy |= self._warnings() > warned
        last = slice(self._substeps - 1, None, self._substeps)
        qpos, qvel = (
            torch.from_numpy(records[name][:, last]).to(torch.float32).transpose(0, 1) for name in ("qpos", "qvel")
        )
        return self._read(qpos, qvel)

    def state(self) -> SimState:
        """See `Simulator.state`."""
        return self._read(*(torch.from_numpy(rows).to(torch.float32) for rows in (self._qpos, self._qvel)))

    def _warnings(self) -> np.ndarray:
        """Warnings of each environment so far `[N]`: divergence, or a full contact buffer."""
        return self._batch.warning[:, :, 1].sum(axis=1)

    def _read(self, qpos: Tensor, qvel: Tensor) -> SimState:
        believable = qpos.isfinite().all(-1) & (qvel.abs() < _MAX_SPEED).all(-1)
        qpos, qvel = qpos.nan_to_num(0.0, 0.0, 0.0), qvel.nan_to_num(0.0, 0.0, 0.0)
        quaternion = qpos[..., 3:_OBJECT_QPOS]
        robots = (self.num_robots, planar.JOINTS)
        pos, rpy, lin_vel, ang_vel = planar.read(
            qpos[..., _OBJECT_QPOS:].unflatten(-1, robots), qvel[..., _OBJECT_QVEL:].unflatten(-1, robots)
        )
        return SimState(
            robot_pos=pos,
            robot_rpy=rpy,
            robot_lin_vel=lin_vel,
            robot_ang_vel=ang_vel,
            object_pos=qpos[..., :3],
            object_rpy=rpy_from_quaternion(quaternion),
            object_lin_vel=qvel[..., :3],
            object_ang_vel=rotate_by_quaternion(quaternion, qvel[..., 3:_OBJECT_QVEL]),
            healthy=believable & ~torch.from_numpy(self._unhealthy),
        )

    def state_dict(self) -> Dict[str, Tensor]:
        """MuJoCo's integration state of every environment, warm starts included, in float64."""
        return {
            "rows": torch.from_numpy(self._batch.state.copy()),
            "unhealthy": torch.from_numpy(self._unhealthy.copy()),
        }

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._batch.state[:] = state["rows"].numpy()
        self._unhealthy[:] = state["unhealthy"].numpy()
