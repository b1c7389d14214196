"""The actor network of OpenRL 0.2.0, as upstream publishes it (docs/task.md section 10), from its arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import UserError
from ...system.array_file import read_arrays, write_arrays
from ..contract import TeamPolicy
from . import restricted_pickle as safe_pickle

_ACTIVATION = "activation"
"""Array of an .npz that names the activation; files without it have ReLU."""
_ACTIVATIONS = {"Tanh": nn.Tanh, "ReLU": nn.ReLU, "LeakyReLU": nn.LeakyReLU, "ELU": nn.ELU}


class OpenRLActor(nn.Module, TeamPolicy):
    """input -> (Linear, activation, LayerNorm) x n -> Linear, LayerNorm -> Linear mean, shared by all robots.

    The layer before the head has no activation. Only the mean is kept: the protocol acts deterministically.
    """

    observation_size: int
    """Numbers in a robot's observation."""

    def __init__(self, arrays: Dict[str, Tensor], activation: str = "ReLU", actions: int = 3) -> None:
        """From arrays by their state-dict names; `actions` numbers come out.

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
        layers: List[nn.Module] = []
        if "base.feature_norm.weight" in given:
            layers.append(_layer(nn.LayerNorm, given, "base.feature_norm", self.observation_size))
        for number, name in enumerate(hidden):
            inputs = width if number else self.observation_size
            layers += [_layer(nn.Linear, given, f"{name}.0", width, inputs), _ACTIVATIONS[activation]()]
            layers.append(_layer(nn.LayerNorm, given, f"{name}.2", width))
        layers.append(_layer(nn.Linear, given, "base.mlp.fc3.0", width, width))
        layers.append(_layer(nn.LayerNorm, given, "base.mlp.fc3.1", width))
        layers.append(_layer(nn.Linear, given, "act.action_out.fc_mean", actions, width))
        if given:
            raise UserError(f"the array {next(iter(given))} belongs to no known part of an OpenRL MLP actor")
        self.net = nn.Sequential(*layers)

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tensor:
        """See `TeamPolicy.act`."""
        actions: Tensor = self.net(observations)
        return actions

    def network(self, robot: int) -> nn.Module:
        """See `TeamPolicy.network`."""
        return self.net


def _layer(kind: Callable[..., nn.Module], arrays: Dict[str, Tensor], name: str, *shape: int) -> nn.Module:
    """A layer with its weight of this shape and its bias; both are taken, and checked before there is room for them."""
    state = {"weight": _taken(arrays, f"{name}.weight", shape), "bias": _taken(arrays, f"{name}.bias", shape[:1])}
    layer = kind(*reversed(shape))
    layer.load_state_dict(state)
    return layer


def _taken(arrays: Dict[str, Tensor], name: str, shape: Tuple[int, ...]) -> Tensor:
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
    arrays = {}
    for name, array in read_arrays(path, "arrays").items():
        with np.errstate(all="ignore"):  # what is too large for float32 becomes infinite, and is refused
            arrays[name] = torch.from_numpy(array.astype(np.float32, order="C"))
    codes = arrays.pop(_ACTIVATION, None)
    activation = "ReLU" if codes is None else "".join(chr(int(code) % 128) for code in codes.flatten()[:20])
    if activation not in _ACTIVATIONS:
        raise UserError(f"{path} is not an actor that can be evaluated: its activation is {activation}")
    return _build(path, arrays, activation)


def write_npz(path: Path, arrays: Dict[str, Tensor], activation: str) -> None:
    """Write an actor's arrays for `read_npz`, with the activation as an array of ASCII codes.

    Raises:
        OSError: it cannot be written.

    """
    codes = np.frombuffer(activation.encode(), np.uint8)
    write_arrays(path, {**{name: array.numpy() for name, array in arrays.items()}, _ACTIVATION: codes})


def read_module(path: Path, actions: int = 3) -> OpenRLActor:
    """An actor from the `module.pt` that OpenRL saves, without running what is pickled in it.

    `actions` numbers come out: vx, vy and yaw rate of a robot.

    Raises:
        UserError: the file is missing, damaged, hostile or something else.

    """
    return _build(path, *module_arrays(path), actions)


def module_arrays(path: Path) -> Tuple[Dict[str, Tensor], str]:
    """The arrays of a `module.pt` by their state-dict names, and its activation; errors as in `read_module`."""
    policy = dict(safe_pickle.fields(safe_pickle.load(path), "models")).get("policy")
    if not isinstance(policy, safe_pickle.Opaque):
        raise UserError(f"{path} is not an OpenRL module: it has no models['policy']")
    try:
        return safe_pickle.tensors(policy), _activation(policy)
    except ValueError as error:
        raise UserError(f"{path} is not an actor that can be evaluated: {error}") from None


def _build(path: Path, arrays: Dict[str, Tensor], activation: str, actions: int = 3) -> OpenRLActor:
    try:
        return OpenRLActor(arrays, activation, actions)
    except UserError as error:
        raise UserError(f"{path} is not an actor that can be evaluated: {error}") from None


def _activation(policy: safe_pickle.Opaque) -> str:
    """Class name of the activation after the first layer; ReLU where the file does not say."""
    node: Any = policy
    for name in ("base", "mlp", "fc1", "1"):
        node = dict(safe_pickle.fields(node, "_modules")).get(name)
    return node.name if isinstance(node, safe_pickle.Opaque) and node.name in _ACTIVATIONS else "ReLU"
