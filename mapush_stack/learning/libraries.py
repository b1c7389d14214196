"""What the learners of other libraries have in common: numbers on the host, and what a checkpoint holds."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Dict

import numpy as np
import torch
from torch import Tensor

from ..system.tensor_file import check_state
from .contract import Learner
from .vec_env import TeamEnv

_MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps of a parameter, beside its `step`."""


def scalar(value: Any, device: torch.device) -> Tensor:
    """A number, or the mean of several, as a tensor on the device."""
    return torch.as_tensor(value).detach().double().mean().to(device)


def not_finite(rewards: np.ndarray) -> bool:
    """Whether a rollout must not be learnt from; the training loop then says which reward term is not finite.

    The libraries would raise an error that does not say why.
    """
    return not bool(np.isfinite(rewards).all())


class LibraryLearner(Learner):
    """A learner whose library keeps arrays on the host and draws from torch's own generators."""

    env: TeamEnv
    generator: str
    """Name in a checkpoint of the state of torch's own generator on the CPU."""

    @abstractmethod
    def optimizers(self) -> Dict[str, torch.optim.Optimizer]:
        """Adam's, by owner."""

    @abstractmethod
    def rows(self) -> Dict[str, np.ndarray]:
        """Views of the buffers that the next rollout begins with, by name; to read and to write."""

    def training_state(self) -> Dict[str, Tensor]:
        """See `Learner.training_state`: Adam's moments and step counts, the rows, torch's own generators."""
        device = self.env.device
        state = {f"generator.{self.generator}": torch.get_rng_state()}
        if device.type == "cuda":
            state["generator.cuda"] = torch.cuda.get_rng_state(device)
        state.update({f"buffer.{name}": torch.from_numpy(row).clone() for name, row in self.rows().items()})
        for owner, optimizer in self.optimizers().items():
            for index, moments in optimizer.state_dict()["state"].items():
                for name, value in moments.items():
                    state[f"optimizer.{owner}.{index}.{name}"] = torch.as_tensor(value)
        return state

    def load_training_state(self, state: Dict[str, Tensor]) -> None:
        """See `Learner.load_training_state`."""
        torch.set_rng_state(state[f"generator.{self.generator}"])
        if self.env.device.type == "cuda":
            torch.cuda.set_rng_state(state["generator.cuda"], self.env.device)
        for name, row in self.rows().items():
            check_state("buffer.", {name: torch.from_numpy(row)}, {name: state[f"buffer.{name}"]})
            row[...] = state[f"buffer.{name}"].numpy()
        for owner, optimizer in self.optimizers().items():
            moments: Dict[int, Dict[str, Tensor]] = {}
            prefix = f"optimizer.{owner}."
            parameters = [one for group in optimizer.param_groups for one in group["params"]]
            owners = {str(index): parameter.shape for index, parameter in enumerate(parameters)}
            for key, value in state.items():
                if key.startswith(prefix):
                    index, _, name = key[len(prefix) :].partition(".")
                    if index not in owners or value.shape != (owners[index] if name in _MOMENTS else ()):
                        raise RuntimeError(f"{key} of the shape {list(value.shape)} belongs to no parameter")
                    moments.setdefault(int(index), {})[name] = value
            if any({*_MOMENTS, "step"} != set(found) for found in moments.values()):
                raise RuntimeError(f"{prefix[:-1]} lacks moments of a parameter")
            optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
