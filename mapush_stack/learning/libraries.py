"""What the learners of other libraries have in common: numbers on the host, and what a checkpoint holds."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

import numpy as np
import torch
from torch import Tensor


def scalar(value: Any, device: torch.device) -> Tensor:
    """A number, or the mean of several, as a tensor on the device."""
    return torch.as_tensor(value).detach().double().mean().to(device)


class TrainingState(NamedTuple):
    """What a checkpoint has to hold of such a learner's training."""

    optimizers: Dict[str, torch.optim.Optimizer]
    """Adam's, by owner."""
    rows: Dict[str, np.ndarray]
    """Views of its buffers that the next rollout begins with, by name; to read and to write."""
    generator: str
    """Name in the checkpoint of the state of torch's own generator on the CPU."""
    device: torch.device

    def saved(self) -> Dict[str, Tensor]:
        """Adam's moments and step counts, the rows, and torch's own generators (on a GPU its own too)."""
        state = {f"generator.{self.generator}": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["generator.cuda"] = torch.cuda.get_rng_state(self.device)
        state.update({f"buffer.{name}": torch.from_numpy(row).clone() for name, row in self.rows.items()})
        for owner, optimizer in self.optimizers.items():
            for index, moments in optimizer.state_dict()["state"].items():
                for name, value in moments.items():
                    state[f"optimizer.{owner}.{index}.{name}"] = torch.as_tensor(value)
        return state

    def restore(self, state: Dict[str, Tensor]) -> None:
        """Restore what `saved` returned."""
        torch.set_rng_state(state[f"generator.{self.generator}"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["generator.cuda"], self.device)
        for name, row in self.rows.items():
            row[...] = state[f"buffer.{name}"].numpy()
        for owner, optimizer in self.optimizers.items():
            moments: Dict[int, Dict[str, Tensor]] = {}
            prefix = f"optimizer.{owner}."
            for key, value in state.items():
                if key.startswith(prefix):
                    index, _, name = key[len(prefix) :].partition(".")
                    moments.setdefault(int(index), {})[name] = value
            optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
