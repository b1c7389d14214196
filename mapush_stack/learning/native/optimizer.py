"""Adam with a bound on the norm of the gradient."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

import torch
from torch import Tensor, nn

from ...device.process_group import ALONE, World


class ClippedAdam:
    """Adam (Kingma & Ba, ICLR 2015) on one network; a gradient that is not finite is left out instead of applied.

    The network's parameters become views of one vector, so that clipping and Adam are a handful of vector operations
    whatever the number of layers. Rate and step count lie on the device too, so that a step can be part of a CUDA
    graph. torch.optim.Adam computes the same (a test compares them), but its first use imports torch's compiler,
    which takes four seconds.
    """

    _BETA_1, _BETA_2 = 0.9, 0.999

    def __init__(self, network: nn.Module, lr: float, eps: float, max_grad_norm: float, world: World = ALONE) -> None:
        """Take over the parameters of `network`; gradients are means over the `world`."""
        self._parameters, self._world = list(network.parameters()), world
        self._vector = torch.cat([parameter.detach().flatten() for parameter in self._parameters])
        offset = 0
        for parameter in self._parameters:
            part = slice(offset, offset + parameter.numel())
            parameter.data = self._vector[part].view_as(parameter)
            offset = part.stop
        self._first, self._second = torch.zeros_like(self._vector), torch.zeros_like(self._vector)
        self._steps, self._rate = (torch.zeros((), dtype=torch.float64, device=self._vector.device) for _ in range(2))
        self.configure(lr, eps, max_grad_norm)

    def configure(self, lr: float, eps: float, max_grad_norm: float) -> None:
        """Go on with another rate, epsilon and bound; the moments stay."""
        self._lr, self._eps, self._max_norm = lr, eps, max_grad_norm
        self.set_lr_factor(1.0)

    def set_lr_factor(self, factor: float) -> None:
        """Set the learning rate to `factor` times the configured one."""
        self._rate.fill_(factor * self._lr)

    def step(self, loss: Tensor, live: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """One gradient step on a scalar loss; none where `live`, a bool on the device, is false.

        Returns:
            The gradient's norm as computed, and as applied: never above the bound; 0 where the step was left out.

        """
        parts = torch.autograd.grad(loss, self._parameters)
        gradient = self._world.mean(torch.cat([part.flatten() for part in parts]))
        before = torch.linalg.vector_norm(gradient)
        finite = before.isfinite()
        scale = (self._max_norm / before.clamp_min(1e-12)).clamp_max(1.0)
        # Multiplying by zero would keep NaN, so that a gradient that is not finite is replaced.
        self._apply(torch.where(finite, gradient * scale, torch.zeros_like(gradient)), live)
        return before, torch.where(finite, before * scale, torch.zeros_like(before))

    @torch.no_grad()
    def _apply(self, gradient: Tensor, live: Optional[Tensor]) -> None:
        """Algorithm 1 of the paper; in place if the step is certain."""

        def place(memory: Tensor) -> Optional[Tensor]:
            return memory if live is None else None

        steps = self._steps + 1
        first = torch.lerp(self._first, gradient, 1.0 - self._BETA_1, out=place(self._first))
        second = torch.mul(self._second, self._BETA_2, out=place(self._second))
        second.addcmul_(gradient, gradient, value=1.0 - self._BETA_2)
        correction_1, correction_2 = 1.0 - self._BETA_1**steps, 1.0 - self._BETA_2**steps
        spread = (second / correction_2).sqrt_().add_(self._eps)
        change = (self._rate / correction_1 * first).div_(spread)
        vector = torch.sub(self._vector, change, out=place(self._vector))
        if live is None:
            self._steps.copy_(steps)
            return
        news = {self._steps: steps, self._first: first, self._second: second, self._vector: vector}
        for memory, new in news.items():
            memory.copy_(torch.where(live, new, memory))

    def state_dict(self) -> Dict[str, Tensor]:
        """The moments and the step count."""
        return {"first": self._first.clone(), "second": self._second.clone(), "steps": self._steps.to(torch.int64)}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for memory, name in ((self._first, "first"), (self._second, "second"), (self._steps, "steps")):
            memory.copy_(state[name])
