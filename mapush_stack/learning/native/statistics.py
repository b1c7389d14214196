"""What is measured of an update."""

from __future__ import annotations

from typing import Dict, List, Tuple

import torch
from torch import Tensor

from ...device.process_group import World
from ..contract import Metrics


class StepMeans:
    """Means over gradient steps, kept on the device until the end of the update."""

    def __init__(self) -> None:
        self._live: List[Tensor] = []
        self._values: Dict[str, List[Tensor]] = {}

    def __len__(self) -> int:
        return len(self._live)

    def add(self, live: Tensor, norms: Tuple[Tensor, Tensor], **values: Tensor) -> None:
        """Add a step with the norms of its gradient, before and after the bound; it counts if `live`."""
        self._live.append(live)
        for name, value in dict(values, grad_norm=norms[0], grad_norm_clipped=norms[1]).items():
            self._values.setdefault(name, []).append(value.detach())

    def live_share(self) -> Tensor:
        """Share of the steps that counted."""
        return torch.stack(self._live).to(torch.float32).mean()

    def means(self, owner: str, kind: str, world: World) -> Metrics:
        """Metrics `<owner>/<name>`; gradient norms carry `kind`, as in HARL's `agent0/actor_grad_norm`."""
        live = torch.stack(self._live)
        values = torch.stack([torch.stack(steps) for steps in self._values.values()])
        counted = torch.where(live, values, torch.zeros_like(values))
        means = world.mean(counted.sum(1) / live.sum())
        labels = [f"{kind}_{name}" if name.startswith("grad_norm") else name for name in self._values]
        result = {f"{owner}/{label}": mean for label, mean in zip(labels, means.unbind())}
        largest = counted[list(self._values).index("grad_norm_clipped")].max()
        return {**result, f"{owner}/{kind}_grad_norm_clipped_max": largest}


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 - Var[return - value] / Var[return]: 1 for a perfect critic, 0 for a constant one."""
    variance = returns.var()
    share = 1.0 - (returns - values).var() / variance
    return torch.where(variance > 0, share, torch.zeros_like(share))
