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
    """Adam on one network; a gradient that is not finite is left out instead of applied.

    The network's parameters become views of one vector, and their gradients of another, so that clipping and Adam
    are a handful of vector operations whatever the number of layers.
    """

    def __init__(self, network: nn.Module, lr: float, eps: float, max_grad_norm: float) -> None:
        """Take over the parameters of `network`."""
        self._lr, self._max_norm = lr, max_grad_norm
        parameters = list(network.parameters())
        with torch.no_grad():
            self._vector = nn.Parameter(torch.cat([parameter.flatten() for parameter in parameters]))
            self._vector.grad = torch.zeros_like(self._vector)
            offset = 0
            for parameter in parameters:
                part = slice(offset, offset + parameter.numel())
                parameter.data = self._vector.data[part].view_as(parameter)
                parameter.grad = self._vector.grad[part].view_as(parameter)
                offset = part.stop
        self._adam = torch.optim.Adam([self._vector], lr=lr, eps=eps)

    def configure(self, lr: float, eps: float, max_grad_norm: float) -> None:
        """Go on with another rate, epsilon and bound; the moments stay."""
        self._lr, self._max_norm = lr, max_grad_norm
        self._adam.param_groups[0]["eps"] = eps

    def set_lr_factor(self, factor: float) -> None:
        """Set the learning rate to `factor` times the configured one."""
        self._adam.param_groups[0]["lr"] = factor * self._lr

    def step(self, loss: Tensor) -> GradNorms:
        """One gradient step on a scalar loss."""
        gradient = self._vector.grad
        gradient.zero_()
        loss.backward()
        before = torch.linalg.vector_norm(gradient)
        finite = before.isfinite()
        scale = (self._max_norm / before.clamp_min(1e-12)).clamp_max(1.0)
        # Multiplying by zero would keep NaN, so that a gradient that is not finite is replaced.
        torch.where(finite, gradient * scale, torch.zeros_like(gradient), out=gradient)
        self._adam.step()
        return GradNorms(before, torch.where(finite, before * scale, torch.zeros_like(before)))

    def state_dict(self) -> Dict[str, Tensor]:
        """Adam's moments and step count."""
        return dict(self._adam.state.get(self._vector, {}))

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._adam.state[self._vector] = {name: value.clone() for name, value in state.items()}
