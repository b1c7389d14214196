"""Running normalisation of returns."""

from __future__ import annotations

from typing import Dict, Tuple

import torch
from torch import Tensor

from ...device.process_group import ALONE, World

_MIN_VARIANCE = 1e-2


class ValueNorm:
    """Debiased exponential moving mean and variance (van Hasselt et al., PopArt, 2016, without the rescaling).

    The arithmetic is that of HARL's ValueNorm.
    """

    def __init__(self, beta: float, device: torch.device, world: World = ALONE) -> None:
        """`beta` is the weight of the past at each update; moments are those of the whole `world`."""
        self._beta, self._world = beta, world
        self._sums = torch.zeros(3, device=device)
        """Moving mean, moving mean of squares, and the sum of the weights in both."""

    def update(self, values: Tensor) -> None:
        """Add `values` of any shape."""
        seen = torch.stack((values.mean(), (values**2).mean(), torch.ones_like(self._sums[2])))
        self._sums.copy_(self._beta * self._sums + (1.0 - self._beta) * self._world.mean(seen))

    def _moments(self) -> Tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
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


class NoNorm(ValueNorm):
    """Leaves values as they are."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(0.0, device)

    def update(self, values: Tensor) -> None:
        """Do nothing."""

    def normalize(self, values: Tensor) -> Tensor:
        """Returns as they are."""
        return values

    def denormalize(self, values: Tensor) -> Tensor:
        """Values as they are."""
        return values
