"""The actor network of OpenRL 0.2.0, as upstream publishes it (docs/task.md section 10), from its arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import UserError
from ..contract import TeamPolicy
from . import restricted_pickle as safe_pickle

_POLICY = "policy."
"""Start of the names of the actor's arrays in `model_state`."""
_CLASSES = {"tanh": "Tanh", "relu": "ReLU", "elu": "ELU"}
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
        self._left = {name: array for name, array in arrays.items() if not name.startswith("act.action_out.logstd")}
        layers: List[nn.Module] = [self._norm("base.feature_norm")] if "base.feature_norm.weight" in self._left else []
        hidden = ["base.mlp.fc1"]
        while f"base.mlp.fc2.{len(hidden) - 1}.0.weight" in self._left:
            hidden.append(f"base.mlp.fc2.{len(hidden) - 1}")
        for name in hidden:
            layers += [self._linear(f"{name}.0"), _ACTIVATIONS[activation](), self._norm(f"{name}.2")]
        layers += [self._linear("base.mlp.fc3.0"), self._norm("base.mlp.fc3.1"), self._linear("act.action_out.fc_mean")]
        # fc_h is the layer that OpenRL copies; it acts with the copies.
        unknown = [name for name in self._left if not name.startswith("base.mlp.fc_h.")]
        if unknown:
            raise UserError(f"the array {unknown[0]} belongs to no known part of an OpenRL MLP actor")
        del self._left
        self._check(layers)
        self.net = nn.Sequential(*layers)

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tensor:
        """See `TeamPolicy.act`."""
        actions: Tensor = self.net(observations)
        return actions

    def _check(self, layers: List[nn.Module]) -> None:
        """Raise `UserError` unless each layer takes as many numbers as the one before it gives."""
        self.observation_size = width = _inputs(layers[0], 0)
        for layer in layers:
            wanted = _inputs(layer, width)
            if wanted != width:
                raise UserError(f"the network's layers do not fit: one gives {width} numbers, the next takes {wanted}")
            width = layer.out_features if isinstance(layer, nn.Linear) else width
        if width != 3:
            raise UserError(f"the network gives {width} actions, not 3 (vx, vy, yaw rate)")

    def _linear(self, name: str) -> nn.Linear:
        weight, bias = self._take(f"{name}.weight", 2), self._take(f"{name}.bias", 1)
        if weight.shape[0] != bias.shape[0]:
            raise UserError(f"{name} has {weight.shape[0]} rows of weights but {bias.shape[0]} biases")
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        return layer

    def _norm(self, name: str) -> nn.LayerNorm:
        weight, bias = self._take(f"{name}.weight", 1), self._take(f"{name}.bias", 1)
        if weight.shape != bias.shape:
            raise UserError(f"{name} has {len(weight)} weights but {len(bias)} biases")
        layer = nn.LayerNorm(len(weight))
        layer.load_state_dict({"weight": weight, "bias": bias})
        return layer

    def _take(self, name: str, dimensions: int) -> Tensor:
        if name not in self._left:
            raise UserError(f"the array {name} of an OpenRL MLP actor is missing")
        array = self._left.pop(name)
        if array.dim() != dimensions or 0 in array.shape:
            raise UserError(f"the array {name} has shape {list(array.shape)}; it should have {dimensions} dimensions")
        if not bool(array.isfinite().all()):
            raise UserError(f"the array {name} holds numbers that are not finite")
        return array.to(torch.float32)


def _inputs(layer: nn.Module, width: int) -> int:
    """How many numbers a layer takes; `width` where it takes any."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    return layer.normalized_shape[0] if isinstance(layer, nn.LayerNorm) else width


def from_model_state(state: Dict[str, Tensor], activation: str) -> OpenRLActor:
    """The actor in the `model_state` of this project's OpenRL learner.

    Args:
        state: the tensors.
        activation: `learner.policy.network.activation`.

    Raises:
        UserError: it is not such an actor's.

    """
    arrays = {name[len(_POLICY) :]: array for name, array in state.items() if name.startswith(_POLICY)}
    return OpenRLActor(arrays, _CLASSES[activation])


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
