"""Copies of one model on an NVIDIA GPU: MuJoCo Warp, in memory shared with torch."""

from __future__ import annotations

import sys
from typing import Any, Optional, Set

import numpy as np
import torch
from torch import Tensor

from ..device.replay import no_garbage_collection
from ..sim.warp import DERIVED, import_warp
from .engine import STATE, Engine, ask_for_forces


class WarpEngine(Engine):
    """`mujoco_warp`: float32; on a GPU a substep is a captured CUDA graph.

    Contacts and constraint rows have room for `contacts` a copy. A step that needs more drops some: that is told once.
    """

    float_type = torch.float32

    def __init__(self, spec: Any, num_envs: int, device: torch.device, contacts: int) -> None:
        """`device` is a CUDA device, or the CPU, which is slow and there for tests."""
        self._warp, self._mjw = import_warp()
        import mujoco

        ask_for_forces(spec)
        self.model, self.device, self._num_envs = spec.compile(), device, num_envs
        self._wp_device = self._warp.device_from_torch(device)
        limited = int(self.model.jnt_limited.sum()) + int((self.model.dof_frictionloss > 0).sum())
        self._room = (contacts * num_envs, 4 * contacts + limited)
        with self._warp.ScopedDevice(self._wp_device):
            self._m = self._mjw.put_model(self.model)
            self._m.opt.warn_overflow = 0
            self._d = self._mjw.put_data(
                self.model, mujoco.MjData(self.model), nworld=num_envs, nconmax=contacts, njmax=self._room[1]
            )
        share = self._warp.to_torch
        self.state = {name: share(getattr(self._d, name)) for name in STATE if getattr(self._d, name).size}
        for name in STATE:
            shape = (num_envs, *getattr(mujoco.MjData(self.model), name).shape)
            self.state.setdefault(name, torch.zeros(shape, device=device))
        self._cfrc, self._actuators = share(self._d.cfrc_ext), share(self._d.qfrc_actuator)
        self._rows, self._contacts = share(self._d.nefc), share(self._d.nacon)
        self._full = torch.zeros((), dtype=torch.int64, device=device)
        self._told, self._steps = False, 0
        self._own: Set[str] = set()
        """Fields with a value for each copy."""
        self._graph: Any = None

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
        values = share(getattr(self._m, name))
        return values

    def commit(self) -> None:
        """See `Engine.commit`."""
        with self._warp.ScopedDevice(self._wp_device):
            self._mjw.set_const(self._m, self._d)

    def step(self, substeps: int, fastest: Optional[Tensor]) -> None:
        """See `Engine.step`."""
        for _ in range(substeps):
            self._advance()
            self._full += (self._contacts[0] > self._room[0]) | (self._rows > self._room[1]).any()
            if fastest is not None:
                velocities = self.state["qvel"]
                torch.clamp(velocities, -fastest, fastest, out=velocities)
        self._steps += substeps
        if not self._told and self._steps % 1000 < substeps:
            self._tell_overflow()

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

    def _tell_overflow(self) -> None:
        if int(self._full):
            self._told = True
            print(
                f"isaacgym: contacts did not fit into their room in {int(self._full)} of {self._steps} steps; the "
                "environments in question were wrong then: set MAPUSH_GYM_CONTACTS to a larger number a environment",
                file=sys.stderr,
            )

    def forces(self) -> Tensor:
        """See `Engine.forces`."""
        return self._cfrc

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
