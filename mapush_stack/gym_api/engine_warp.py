"""Copies of one model on an NVIDIA GPU: MuJoCo Warp, in memory shared with torch."""

from __future__ import annotations

import sys
from typing import Any, Optional, Set

import numpy as np
import torch
from torch import Tensor

from ..device.replay import no_garbage_collection
from ..sim.gpu import import_warp
from ..sim.warp import DERIVED, most_moving
from .engine import STATE, Engine, compiled
from .kinematics import Kinematics, Motion

_CHECKS = (1, 10, 50, 100, 200, 300, 400, 500)
"""Steps after which the room for contacts is checked, and then every 500: a look waits for the GPU."""


class WarpEngine(Engine):
    """`mujoco_warp`: float32; on a GPU a substep is a captured CUDA graph.

    Contacts and constraint rows have limited room. When it was too small it is doubled, and that is told: the
    environments in question were wrong until then.
    """

    float_type = torch.float32

    def __init__(self, spec: Any, num_envs: int, device: torch.device, contacts: int) -> None:
        """`device` is a CUDA device, or the CPU, which is slow and there for tests."""
        self._warp, self._mjw = import_warp()
        self.model, self.device, self._num_envs = compiled(spec), device, num_envs
        self._wp_device = self._warp.device_from_torch(device)
        limited = int(self.model.jnt_limited.sum()) + int((self.model.dof_frictionloss > 0).sum())
        self._contacts, self._rows = contacts, 2 * contacts + limited
        self._own: Set[str] = set()
        """Fields with a value for each copy."""
        self._steps = 0
        with self._warp.ScopedDevice(self._wp_device):
            self._m = self._mjw.put_model(self.model)
        self._m.opt.warn_overflow = 0
        self._kinematics = Kinematics(self.model, device, self.float_type)
        self._make_data()

    def _make_data(self) -> None:
        """Memory of the copies, with the room that is wanted now; the state is kept."""
        import mujoco

        kept = getattr(self, "state", {})
        fresh = mujoco.MjData(self.model)
        entries = self._rows * most_moving(self.model)
        with self._warp.ScopedDevice(self._wp_device):
            self._d = self._mjw.put_data(
                self.model, fresh, nworld=self._num_envs, nconmax=self._contacts, njmax=self._rows, njmax_nnz=entries
            )
        share = self._warp.to_torch
        self.state = {}
        for name in STATE:
            array, shape = getattr(self._d, name), getattr(fresh, name).shape
            shared = share(array) if array.size else torch.zeros((self._num_envs, *shape), device=self.device)
            self.state[name] = shared.copy_(kept[name]) if name in kept else shared
        self._cfrc: Tensor
        self._actuators: Tensor
        self._cfrc, self._actuators = share(self._d.cfrc_ext), share(self._d.qfrc_actuator)
        self._overflow = share(self._d.overflow)
        self._graph: Any = None
        self.moved += 1

    def field(self, name: str) -> Tensor:
        """See `Engine.field`; the model is made anew with room for it, and the graph captured anew."""
        share = self._warp.to_torch
        if name.startswith("opt."):
            options: Tensor = share(getattr(self._m.opt, name[4:]))
            return options
        if name not in self._own:
            kept = {one: share(getattr(self._m, one)) for one in self._own}
            self._own |= {name, *DERIVED.get(name, ())}
            with self._warp.ScopedDevice(self._wp_device):
                self._m = self._mjw.put_model(self.model, batch_sizes=dict.fromkeys(self._own, self._num_envs))
            self._m.opt.warn_overflow = 0
            for one, values in kept.items():
                share(getattr(self._m, one)).copy_(values)
            self._graph = None
        field: Tensor = share(getattr(self._m, name))
        return field

    def commit(self) -> None:
        """See `Engine.commit`."""
        with self._warp.ScopedDevice(self._wp_device):
            self._mjw.set_const(self._m, self._d)

    def step(self, substeps: int, fastest: Optional[Tensor]) -> None:
        """See `Engine.step`."""
        for _ in range(substeps):
            self._advance()
            if fastest is not None:
                velocities = self.state["qvel"]
                torch.clamp(velocities, -fastest, fastest, out=velocities)
            self._steps += 1
            if self._steps in _CHECKS or self._steps % 500 == 0:
                self._check_room()

    def _advance(self) -> None:
        with self._warp.ScopedDevice(self._wp_device):
            if self.device.type == "cpu":
                self._mjw.step(self._m, self._d)
                return
            if self._graph is None:
                self._graph = self._capture()
            stream = torch.cuda.current_stream(self.device)
            self._warp.capture_launch(self._graph, stream=self._warp.stream_from_torch(stream))

    def _capture(self) -> Any:
        """The graph of one step; the step that compiles the kernels is taken back."""
        kept = {name: tensor.clone() for name, tensor in self.state.items()}
        torch.cuda.synchronize(self.device)
        self._mjw.step(self._m, self._d)
        with no_garbage_collection(), self._warp.ScopedCapture() as capture:
            self._mjw.step(self._m, self._d)
        self._warp.synchronize_device(self._wp_device)
        for name, tensor in kept.items():
            self.state[name].copy_(tensor)
        return capture.graph

    def _check_room(self) -> None:
        """Double the room that was too small, and say so."""
        kinds = self._mjw.OverflowType
        contacts = int(kinds.BROADPHASE | kinds.NARROWPHASE | kinds.CCD)
        short = [(self._overflow & mask != 0).sum() for mask in (contacts, int(kinds.NEFC | kinds.NJMAX_NNZ))]
        few_contacts, few_rows = torch.stack(short).tolist()
        if not few_contacts and not few_rows:
            return
        self._contacts *= 2 if few_contacts else 1
        self._rows *= 2 if few_rows else 1
        self._make_data()
        print(
            f"isaacgym: contacts did not fit into their room by step {self._steps}, and "
            f"{max(few_contacts, few_rows)} of {self._num_envs} environments were wrong for it; there is room for "
            f"{self._contacts} an environment now (MAPUSH_GYM_CONTACTS={self._contacts} starts with it)",
            file=sys.stderr,
        )

    def motion(self) -> Motion:
        """See `Engine.motion`."""
        return self._kinematics(self.state)

    def forces(self) -> Tensor:
        """See `Engine.forces`."""
        return self._cfrc

    def tree_centres(self) -> Tensor:
        """See `Engine.tree_centres`."""
        centres = self._warp.to_torch(self._d.subtree_com)
        found: Tensor = centres[:, self.model.body_rootid]
        return found

    def joint_forces(self) -> Tensor:
        """See `Engine.joint_forces`."""
        return self._actuators

    def data(self, env: int) -> Any:
        """See `Engine.data`."""
        import mujoco

        data = mujoco.MjData(self.model)
        for name in ("qpos", "qvel", "mocap_pos", "mocap_quat"):
            getattr(data, name)[:] = self.state[name][env].cpu().numpy().astype(np.float64)
        mujoco.mj_forward(self.model, data)
        return data
