"""Copies of one model on an engine, as live tensors: MuJoCo's batch on the CPU."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any, Dict, Optional

import numpy as np
import torch
from torch import Tensor

from ..sim.scene import import_mujoco
from ..sim.warp import SPARSE_ABOVE
from ..system.machine import usable_cpus
from .kinematics import Motion

STATE = ("qpos", "qvel", "ctrl", "qfrc_applied", "xfrc_applied", "mocap_pos", "mocap_quat", "qacc_warmstart")
"""Fields that may be written between steps."""


class Engine:
    """N copies of a model; `state` holds the tensors of `STATE`, `[N, ...]`, which are live."""

    device: torch.device
    model: Any
    state: Dict[str, Tensor]
    float_type: torch.dtype
    moved: int = 0
    """How often the tensors of `state` have moved in memory."""

    def field(self, name: str) -> Tensor:
        """A field of the model with a value for each copy, `[N, ...]`, live; after writing, call `commit`."""
        raise NotImplementedError

    def commit(self) -> None:
        """Make what MuJoCo derives from the model's fields follow them."""
        raise NotImplementedError

    def step(self, substeps: int, fastest: Optional[Tensor]) -> None:
        """Advance; after each substep velocities are kept within `fastest`, `[nv]` or None."""
        raise NotImplementedError

    def motion(self) -> Motion:
        """Places and velocities of all bodies for the state as it is."""
        raise NotImplementedError

    def forces(self) -> Tensor:
        """Forces and torques of contacts on the bodies in the last substep, `[N, bodies, 6]`: torque, force."""
        raise NotImplementedError

    def tree_centres(self) -> Tensor:
        """Centres of mass of the bodies' whole trees, about which `forces` are, in the last substep `[N, B, 3]`."""
        raise NotImplementedError

    def joint_forces(self) -> Tensor:
        """Forces of actuators on the degrees of freedom in the last substep, `[N, nv]`."""
        raise NotImplementedError

    def data(self, env: int) -> Any:
        """One copy's `mujoco.MjData`, to be drawn."""
        raise NotImplementedError


class CpuEngine(Engine):
    """`mujoco.batch`: float64, on a pool of threads whose number changes no result."""

    def __init__(self, spec: Any, num_envs: int, threads: int) -> None:
        """`threads` 0 takes all cores that this process may use."""
        mujoco = import_mujoco()
        # A simulation that diverges stays so, as with Isaac Gym; MuJoCo would reset it silently.
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.model, self.device, self.float_type = compiled(spec), torch.device("cpu"), torch.float64
        usable = usable_cpus()
        self._size = {"nsim": num_envs, "nthread": min(threads or usable, usable, num_envs)}
        self._batch = mujoco.batch.Batch(self.model, **self._size)
        self.state = {name: torch.from_numpy(self._batch.bind(name)) for name in STATE}
        self._outputs = {name: _live(self._batch.bind(name)) for name in ("cfrc_ext", "qfrc_actuator")}

    def field(self, name: str) -> Tensor:
        """See `Engine.field`."""
        return torch.from_numpy(self._batch.expand(name))

    def commit(self) -> None:
        """See `Engine.commit`."""
        self._batch.set_const()

    def step(self, substeps: int, fastest: Optional[Tensor]) -> None:
        """See `Engine.step`."""
        if fastest is None:
            self._batch.step(nstep=substeps)
            return
        velocities = self.state["qvel"]
        for _ in range(substeps):
            self._batch.step()
            torch.clamp(velocities, -fastest, fastest, out=velocities)

    @cached_property
    def _places(self) -> Any:
        """Copies without contacts, which find places and velocities in a seventh of a step's time."""
        import mujoco

        model, off = copy.copy(self.model), mujoco.mjtDisableBit
        model.opt.disableflags |= off.mjDSBL_CONTACT | off.mjDSBL_CONSTRAINT | off.mjDSBL_SENSOR
        return mujoco.batch.Batch(model, **self._size)

    def motion(self) -> Motion:
        """See `Engine.motion`."""
        import mujoco

        batch = self._places
        pos, quat, moving, centres = (_live(batch.bind(name)) for name in ("xpos", "xquat", "cvel", "subtree_com"))
        for name in ("qpos", "qvel", "mocap_pos", "mocap_quat"):
            batch.bind(name)[:] = self._batch.bind(name)
        batch.forward(stage=mujoco.mjtStage.mjSTAGE_VEL.value)
        spin, vel = moving[..., :3], moving[..., 3:]  # of the centre of mass of the whole tree
        return Motion(pos, quat, vel + torch.cross(spin, pos - centres[:, self.model.body_rootid], dim=-1), spin)

    def forces(self) -> Tensor:
        """See `Engine.forces`."""
        return self._outputs["cfrc_ext"]

    def tree_centres(self) -> Tensor:
        """See `Engine.tree_centres`."""
        return _live(self._batch.bind("subtree_com"))[:, self.model.body_rootid]

    def joint_forces(self) -> Tensor:
        """See `Engine.joint_forces`."""
        return self._outputs["qfrc_actuator"]

    def data(self, env: int) -> Any:
        """See `Engine.data`."""
        import mujoco

        data = self._batch.get_data(env)
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_camlight(self.model, data)
        return data


def compiled(spec: Any) -> Any:
    """The model; with it MuJoCo computes the forces on bodies, `cfrc_ext`, in every step."""
    import mujoco

    # One sensor that needs them does it.
    spec.worldbody.add_site(name="world")
    kind, site = mujoco.mjtSensor.mjSENS_FORCE, mujoco.mjtObj.mjOBJ_SITE
    spec.add_sensor(name="forces", type=kind, objtype=site, objname="world")
    model = spec.compile()
    if model.nv > SPARSE_ABOVE:
        model.opt.jacobian = mujoco.mjtJacobian.mjJAC_SPARSE
    return model


def _live(array: np.ndarray) -> Tensor:
    """A tensor over MuJoCo's output array, which is marked read-only because writing it would mean nothing."""
    array.flags.writeable = True
    tensor = torch.from_numpy(array)
    array.flags.writeable = False
    return tensor
