"""What the learners of other libraries have in common: numbers on the host, and torch's own random generators."""

from __future__ import annotations

from typing import Any, Dict

import torch
from torch import Tensor


def scalar(value: Any, device: torch.device) -> Tensor:
    """A number, or the mean of several, as a tensor on the device."""
    return torch.as_tensor(value).detach().double().mean().to(device)


def global_generators(name: str, device: torch.device) -> Dict[str, Tensor]:
    """The state of the CPU's generator as `generator.<name>`, and on a GPU that of its own as `generator.cuda`."""
    states = {f"generator.{name}": torch.get_rng_state()}
    if device.type == "cuda":
        states["generator.cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_global_generators(name: str, device: torch.device, states: Dict[str, Tensor]) -> None:
    """Restore what `global_generators` returned."""
    torch.set_rng_state(states[f"generator.{name}"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["generator.cuda"], device)
