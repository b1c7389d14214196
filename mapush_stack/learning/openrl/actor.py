"""The actor network of OpenRL 0.2.0, as upstream publishes it (docs/task.md section 10), from its arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Dict

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import UserError
from ..contract import TeamPolicy
from . import restricted_pickle as safe_pickle

_ACTIVATIONS = {"Tanh": nn.Tanh, "ReLU": nn.ReLU, "LeakyReLU": nn.LeakyReLU, "ELU": nn.ELU}


class OpenRLActor(nn.Module, TeamPolicy):
    """input -> (Linear, activation, LayerNorm) x n -> Linear, LayerNorm -> Linear mean, shared by all robots.

    The layer before the head has no activation. Only the mean is kept: the protocol acts deterministically.
    """

    observation_size: int
    """Numbers in a robot's observation."""

    def __init__(self, arrays: Dict[str, Tensor], activation: str = "ReLU") -> None:
        """From arrays by their state-dict names.

        Raises:
            UserError: an array is missing, unknown, or of a shape that does not fit.

        """
        super().__init__()
        # fc_h is the layer that OpenRL copies; it acts with the copies.
        unused = ("act.action_out.logstd", "base.mlp.fc_h.")
        given = {name: array for name, array in arrays.items() if not name.startswith(unused)}
        first = given.get("base.mlp.fc1.0.weight", torch.zeros(0))
        if first.dim() != 2 or not first.numel():
            raise UserError("the array base.mlp.fc1.0.weight of an OpenRL MLP actor is missing or has not 2 dimensions")
        width, self.observation_size = first.shape
        hidden = ["base.mlp.fc1"]
        while f"base.mlp.fc2.{len(hidden) - 1}.0.weight" in given:
            hidden.append(f"base.mlp.fc2.{len(hidden) - 1}")
        layers: Dict[str, nn.Module] = {}
        if "base.feature_norm.weight" in given:
            layers["base.feature_norm"] = nn.LayerNorm(self.observation_size)
        for number, name in enumerate(hidden):
            layers[f"{name}.0"] = nn.Linear(width if number else self.observation_size, width)
            layers[f"{name}.1"], layers[f"{name}.2"] = _ACTIVATIONS[activation](), nn.LayerNorm(width)
        layers["base.mlp.fc3.0"], layers["base.mlp.fc3.1"] = nn.Linear(width, width), nn.LayerNorm(width)
        layers["act.action_out.fc_mean"] = nn.Linear(width, 3)  # vx, vy, yaw rate
        for name, layer in layers.items():
            for part, own in layer.state_dict().items():
                own.copy_(_taken(given, f"{name}.{part}", own.shape))
        if given:
            raise UserError(f"the array {next(iter(given))} belongs to no known part of an OpenRL MLP actor")
        self.net = nn.Sequential(*layers.values())

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tensor:
        """See `TeamPolicy.act`."""
        actions: Tensor = self.net(observations)
        return actions


def _taken(arrays: Dict[str, Tensor], name: str, shape: torch.Size) -> Tensor:
    """Take the array of this name out of `arrays`; raise `UserError` if it is missing or does not fit."""
    if name not in arrays:
        raise UserError(f"the array {name} of an OpenRL MLP actor is missing")
    array = arrays.pop(name)
    if array.shape != shape:
        raise UserError(f"the array {name} has shape {list(array.shape)}; it should have {list(shape)}")
    if not bool(array.isfinite().all()):
        raise UserError(f"the array {name} holds numbers that are not finite")
    return array


def read_npz(path: Path) -> OpenRLActor:
    """An actor from an .npz of its arrays; nothing pickled in it is read.

    Raises:
        UserError: the file is missing, damaged or something else.

    """
    try:
        with np.load(str(path), allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(np.array(file[name], dtype=np.float32)) for name in file.files}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (ValueError, OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as arrays: {' '.join(str(error).split())}") from None
    return _build(path, arrays, "ReLU")


def read_module(path: Path) -> OpenRLActor:
    """An actor from the `module.pt` that OpenRL saves, without running what is pickled in it.

    Raises:
        UserError: the file is missing, damaged, hostile or something else.

    """
    root = safe_pickle.load(path)
    models = root.state.get("models") if isinstance(root, safe_pickle.Opaque) and isinstance(root.state, dict) else None
    policy = models.get("policy") if isinstance(models, dict) else None
    if not isinstance(policy, safe_pickle.Opaque):
        raise UserError(f"{path} is not an OpenRL module: it has no models['policy']")
    return _build(path, safe_pickle.tensors(policy), _activation(policy))


def _build(path: Path, arrays: Dict[str, Tensor], activation: str) -> OpenRLActor:
    try:
        return OpenRLActor(arrays, activation)
    except UserError as error:
        raise UserError(f"{path} is not an actor that can be evaluated: {error}") from None


def _activation(policy: safe_pickle.Opaque) -> str:
    """Class name of the activation after the first layer; ReLU where the file does not say."""
    node: Any = policy
    for name in ("base", "mlp", "fc1", "1"):
        state = node.state if isinstance(node, safe_pickle.Opaque) and isinstance(node.state, dict) else {}
        node = (state.get("_modules") or {}).get(name)
    found = type(node).__name__
    return found if found in _ACTIVATIONS else "ReLU"
