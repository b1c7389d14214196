"""Running normalisation of returns."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

import torch
from torch import Tensor

from ...device.process_group import ALONE, World

_MIN_VARIANCE = 1e-2


class ValueNorm:
    """Debiased exponential moving mean and variance (van Hasselt et al., PopArt, 2016, without the rescaling).

    The arithmetic is that of HARL's ValueNorm.
    """

    def __init__(self, beta: Optional[float], device: torch.device, world: World = ALONE) -> None:
        """`beta` is the weight of the past at each update; moments are those of the whole `world`.

        Without `beta` values stay as they are.
        """
        self._beta, self._world = beta, world
        self._sums = torch.zeros(3, device=device)
        """Moving mean, moving mean of squares, and the sum of the weights in both."""

    def update(self, values: Tensor) -> None:
        """Add `values` of any shape."""
        if self._beta is None:
            return
        seen = torch.stack((values.mean(), (values**2).mean(), torch.ones_like(self._sums[2])))
        self._sums.copy_(self._beta * self._sums + (1.0 - self._beta) * self._world.mean(seen))

    def _moments(self) -> Tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
        if self._beta is None:
            return torch.zeros_like(self._sums[0]), torch.ones_like(self._sums[0])
        mean, square = (self._sums[:2] / self._sums[2].clamp_min(1e-5)).unbind()
        return mean, (square - mean**2).clamp_min(_MIN_VARIANCE).sqrt()

    def normalize(self, values: Tensor) -> Tensor:
        """Returns to the critic's units."""
        mean, deviation = self._moments()
        return (values - mean) / deviation

    def denormalize(self, values: Tensor) -> Tensor:
        """The critic's outputs to returns."""
        mean, deviation = self._moments()
        return values * deviation + mean

    def state_dict(self) -> Dict[str, Tensor]:
        """The running sums."""
        return {"sums": self._sums.clone()}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._sums.copy_(state["sums"])
