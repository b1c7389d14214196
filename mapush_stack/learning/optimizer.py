"""Adam with a gradient norm that is truly bounded, and seen before and after."""

from __future__ import annotations

from typing import Dict, NamedTuple

import torch
from torch import Tensor, nn


class GradNorms(NamedTuple):
    """Norms of one gradient step."""

    before: Tensor
    """As computed."""
    after: Tensor
    """As applied: never above the bound; 0 where the step was left out."""


class ClippedAdam:
    """Adam (Kingma & Ba, ICLR 2015) on one network; a gradient that is not finite is left out instead of applied.

    The network's parameters become views of one vector, and their gradients of another, so that clipping and Adam
    are a handful of vector operations whatever the number of layers. torch.optim.Adam does the same sums (a test
    compares them), but takes its time: its first use imports torch's compiler, four seconds of every command.
    """

    _BETA_1, _BETA_2 = 0.9, 0.999

    def __init__(self, network: nn.Module, lr: float, eps: float, max_grad_norm: float) -> None:
        """Take over the parameters of `network`."""
        parameters = list(network.parameters())
        self._vector = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self._gradient = torch.zeros_like(self._vector)
        offset = 0
        for parameter in parameters:
            part = slice(offset, offset + parameter.numel())
            parameter.data = self._vector[part].view_as(parameter)
            parameter.grad = self._gradient[part].view_as(parameter)
            offset = part.stop
        self._first, self._second = torch.zeros_like(self._vector), torch.zeros_like(self._vector)
        self._steps, self._lr_factor = 0, 1.0
        self.configure(lr, eps, max_grad_norm)

    def configure(self, lr: float, eps: float, max_grad_norm: float) -> None:
        """Go on with another rate, epsilon and bound; the moments stay."""
        self._lr, self._eps, self._max_norm = lr, eps, max_grad_norm

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self._lr_factor * self._lr

    def set_lr_factor(self, factor: float) -> None:
        """Set the learning rate to `factor` times the configured one."""
        self._lr_factor = factor

    def step(self, loss: Tensor) -> GradNorms:
        """One gradient step on a scalar loss."""
        self._gradient.zero_()
        loss.backward()
        before = torch.linalg.vector_norm(self._gradient)
        finite = before.isfinite()
        scale = (self._max_norm / before.clamp_min(1e-12)).clamp_max(1.0)
        # Multiplying by zero would keep NaN, so that a gradient that is not finite is replaced.
        applied = torch.where(finite, self._gradient * scale, torch.zeros_like(self._gradient))
        self._gradient.copy_(applied)
        self._apply(applied)
        return GradNorms(before, torch.where(finite, before * scale, torch.zeros_like(before)))

    def _apply(self, gradient: Tensor) -> None:
        """Algorithm 1 of the paper."""
        self._steps += 1
        self._first.lerp_(gradient, 1.0 - self._BETA_1)
        self._second.mul_(self._BETA_2).addcmul_(gradient, gradient, value=1.0 - self._BETA_2)
        correction_1, correction_2 = 1.0 - self._BETA_1**self._steps, 1.0 - self._BETA_2**self._steps
        spread = (self._second / correction_2).sqrt_().add_(self._eps)
        self._vector.addcdiv_(self._first, spread, value=-self.lr / correction_1)

    def state_dict(self) -> Dict[str, Tensor]:
        """The moments and the step count."""
        return {"first": self._first, "second": self._second, "steps": torch.tensor(self._steps)}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._first.copy_(state["first"])
        self._second.copy_(state["second"])
        self._steps = int(state["steps"])
