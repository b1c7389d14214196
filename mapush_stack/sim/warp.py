"""MuJoCo Warp: all copies stepped together on an NVIDIA GPU, tensors shared with torch and never copied to the host."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import torch
from torch import Tensor

from ..errors import UserError
from .engine import Engine, Path

_DERIVED = {"body_mass": ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0")}
"""Fields that MuJoCo derives from others, and that are each copy's own where those are."""


def import_warp() -> Tuple[Any, Any]:
    """The packages `warp` and `mujoco_warp`.

    Raises:
        UserError: one is absent.

    """
    try:
        import warp

        # Before anything of it runs: its banner would stand in the way of `--json`.
        warp.config.log_level = warp.LOG_WARNING
        import mujoco_warp
    except ImportError as error:
        raise UserError(
            f"the warp backend needs the package {error.name}, on Python 3.11+: pip install 'mapush_stack[warp]'"
        ) from None
    warp.init()
    return warp, mujoco_warp


class WarpEngine(Engine):
    """`mujoco_warp` over one model; on a GPU the physics steps of a control step are one captured CUDA graph."""

    def __init__(self, spec: Any, num_envs: int, device: torch.device, contacts: int, fields: Tuple[str, ...]) -> None:
        """Compile a `mujoco.MjSpec` for `device`.

        Args:
            spec: the scene of one environment.
            num_envs: number of copies.
            device: a CUDA device, or the CPU, which is slow and there for tests.
            contacts: room for so many contacts in a copy.
            fields: names of model fields that `set_field` will give every copy a value of its own.

        Raises:
            UserError: Warp or MuJoCo Warp is not installed.

        """
        self._warp, self._mjw = import_warp()
        import mujoco

        self.model, self.num_envs, self.device = spec.compile(), num_envs, device
        self._wp_device = self._warp.device_from_torch(device)
        self._graphs: Dict[int, Any] = {}
        own = [*fields, *(derived for name in fields for derived in _DERIVED.get(name, ()))]
        with self._warp.ScopedDevice(self._wp_device):
            self._m = self._mjw.put_model(self.model, batch_sizes=dict.fromkeys(own, num_envs))
            # Every contact of a pyramidal cone is four rows; every limited joint may add one.
            rows = 4 * contacts + int(self.model.jnt_limited.sum())
            self._d = self._mjw.put_data(
                self.model, mujoco.MjData(self.model), nworld=num_envs, nconmax=contacts, njmax=rows
            )
        share = self._warp.to_torch
        data = self._d
        self._qpos, self._qvel, self._ctrl = share(data.qpos), share(data.qvel), share(data.ctrl)
        self._wrench, self._warmstart = share(data.xfrc_applied), share(data.qacc_warmstart)
        self._rows, self._contacts = share(data.nefc), share(data.nacon)
        self._max_rows, self._max_contacts = rows, contacts * num_envs
        self._faulty = torch.zeros(num_envs, dtype=torch.bool, device=device)

    def write(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """See `Engine.write`."""
        self._qpos.index_copy_(0, env_ids, qpos)
        self._qvel.index_copy_(0, env_ids, qvel)
        for tensor in (self._ctrl, self._wrench, self._warmstart):
            tensor.index_fill_(0, env_ids, 0.0)
        self._faulty = self._faulty.index_fill(0, env_ids, False)

    def read(self) -> Tuple[Tensor, Tensor]:
        """See `Engine.read`."""
        return self._qpos.clone(), self._qvel.clone()

    def advance(self, control: Tensor, steps: int, substeps: int) -> Path:
        """See `Engine.advance`."""
        self._ctrl.copy_(control)
        states = []
        for _ in range(steps):
            self._run(substeps)
            self._faulty = self._faulty | (self._rows > self._max_rows) | (self._contacts > self._max_contacts)
            states.append(self.read())
        return Path(*(torch.stack(tensors) for tensors in zip(*states)))

    def _run(self, substeps: int) -> None:
        warp = self._warp
        with warp.ScopedDevice(self._wp_device):
            if self.device.type == "cpu":
                self._steps(substeps)
                return
            if substeps not in self._graphs:
                self._graphs[substeps] = self._capture(lambda: self._steps(substeps))
            warp.capture_launch(self._graphs[substeps], stream=warp.stream_from_torch(torch.cuda.current_stream()))

    def _steps(self, substeps: int) -> None:
        for _ in range(substeps):
            self._mjw.step(self._m, self._d)

    def _capture(self, work: Callable[[], None]) -> Any:
        """A CUDA graph of `work`, which is done once before, so that all kernels are compiled; the state is kept."""
        kept = [tensor.clone() for tensor in (self._qpos, self._qvel, self._warmstart)]
        torch.cuda.synchronize(self.device)
        work()
        with self._warp.ScopedCapture() as capture:
            work()
        self._warp.synchronize_device(self._wp_device)
        for tensor, value in zip((self._qpos, self._qvel, self._warmstart), kept):
            tensor.copy_(value)
        return capture.graph

    def faulty(self) -> Tensor:
        """See `Engine.faulty`; divergence shows as numbers that are not finite."""
        return self._faulty

    def set_field(self, name: str, values: Tensor) -> None:
        """See `Engine.set_field`; the field must be one of those named at the start."""
        tensor = self._warp.to_torch(getattr(self._m, name))
        tensor.copy_(values.reshape(tensor.shape))
        if name in _DERIVED:
            with self._warp.ScopedDevice(self._wp_device):
                self._mjw.set_const(self._m, self._d)

    def push(self, wrench: Tensor) -> None:
        """See `Engine.push`."""
        self._wrench.copy_(wrench.reshape(self._wrench.shape))

    def state_dict(self) -> Dict[str, Tensor]:
        """Joint states, controls, wrenches and solver warm starts."""
        return {
            "qpos": self._qpos.clone(),
            "qvel": self._qvel.clone(),
            "ctrl": self._ctrl.clone(),
            "wrench": self._wrench.clone(),
            "warmstart": self._warmstart.clone(),
            "unhealthy": self._faulty.clone(),
        }

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        names = {"qpos": self._qpos, "qvel": self._qvel, "ctrl": self._ctrl, "wrench": self._wrench}
        for name, tensor in (*names.items(), ("warmstart", self._warmstart)):
            tensor.copy_(state[name])
        self._faulty = state["unhealthy"].to(self.device)
