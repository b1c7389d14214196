"""The contract of an engine: physics of many copies of one MuJoCo model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor


class Path(NamedTuple):
    """Joint states over some control steps."""

    qpos: Tensor
    """`[T, N, nq]` float32"""
    qvel: Tensor
    """`[T, N, nv]` float32"""
    work: Optional[Tensor] = None
    """`[T, N, A]` J, see `work.work`; None if the model has no sensors for it."""


class Engine(ABC):
    """`num_envs` independent copies of `model`, stepped together.

    An engine knows joints and controls; `sim/robots` knows what they mean.
    """

    @abstractmethod
    def __init__(
        self, spec: Any, num_envs: int, device: torch.device, contacts: int, fields: Tuple[str, ...], threads: int = 0
    ) -> None:
        """Compile a `mujoco.MjSpec`.

        Args:
            spec: the scene of one environment.
            num_envs: number of copies.
            device: where the tensors live.
            contacts: room for so many contacts in a copy, where it is limited.
            fields: names of model fields that `set_field` will give every copy a value of its own.
            threads: of an engine on the CPU; 0 for one a CPU.

        Raises:
            UserError: it is not installed.

        """

    model: Any
    """The `mujoco.MjModel` that every copy started from."""
    num_envs: int
    """Number of copies N."""
    device: torch.device
    """Where the tensors live."""
    masked_reset: bool
    """See `Simulator.masked_reset`."""

    @abstractmethod
    def write(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor, mask: Tensor) -> None:
        """Put copies `env_ids` `[n]` into joint states `[n, nq]` and `[n, nv]`.

        Everything else of them is cleared. Those where `mask` `[n]` is false are left alone.
        """

    @abstractmethod
    def read(self) -> Tuple[Tensor, Tensor]:
        """Present joint positions `[N, nq]` and velocities `[N, nv]`, float32."""

    @abstractmethod
    def advance(self, control: Tensor, steps: int, substeps: int) -> Path:
        """Hold `control` `[N, nu]` for `steps` times `substeps` physics steps.

        Returns the state after each of `steps`.
        """

    @abstractmethod
    def faulty(self) -> Tensor:
        """`[N]` bool: copies that diverged or ran out of contacts since they were last written."""

    @abstractmethod
    def overflows(self) -> Tensor:
        """How many physics steps of a copy had no room for its contacts or constraints, `[]` int64.

        Such a copy is `faulty`, because its step was wrong.
        """

    @abstractmethod
    def set_field(self, name: str, values: Tensor) -> None:
        """Give the model's field `name` its own value in each copy, `[N, ...]`."""

    def set_rows(self, name: str, env_ids: Tensor, columns: slice, values: Tensor, mask: Tensor) -> None:
        """Set the `columns` of the field `name` in copies `env_ids` `[n]` where `mask` `[n]` is true.

        The field is one of the model, or `mocap_pos` or `mocap_quat`, which `write` leaves alone.

        `values` are `[n, columns, ...]`. Constants that MuJoCo derives from the field stay as they are.
        """
        raise NotImplementedError("this engine has no fields of which parts can be set")

    @abstractmethod
    def push(self, wrench: Tensor) -> None:
        """Apply forces (N) and torques (N m) `[N, nbody, 6]` at the centres of mass from now on."""

    @abstractmethod
    def state_dict(self) -> Dict[str, Tensor]:
        """Everything that the next step depends on."""

    @abstractmethod
    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""

    def close(self) -> None:  # noqa: B027 - most engines have nothing to release
        """Release what the engine holds; may be called twice."""
