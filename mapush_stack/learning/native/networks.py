"""Actor and critic networks."""

from __future__ import annotations

import math
from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from ..config import LearnerConfig, NetworkConfig, PolicyConfig
from ..vec_env import EnvSpec, TokenSet
from .encoder import encoder
from .linear import orthogonal
from .perceptron import Perceptron

_ACTIVATIONS = {"elu": nn.ELU, "relu": nn.ReLU, "tanh": nn.Tanh}
_GAINS = {"elu": math.sqrt(2.0), "relu": math.sqrt(2.0), "tanh": 5.0 / 3.0}
_HEAD_GAIN = 0.01
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


def mlp(config: NetworkConfig, inputs: int, outputs: int, head_gain: float, generator: torch.Generator) -> Perceptron:
    """A multilayer perceptron with orthogonal weights (Saxe et al., 2014) and zero biases."""
    layers: List[nn.Module] = [nn.LayerNorm(inputs)] if config.input_norm else []
    for depth, width in enumerate(config.hidden):
        layers.append(orthogonal(inputs, width, _GAINS[config.activation], generator))
        if depth + 1 < len(config.hidden) or config.last_activation:
            layers.append(_ACTIVATIONS[config.activation]())
        if config.layer_norm:
            layers.append(nn.LayerNorm(width))
        inputs = width
    layers.append(orthogonal(inputs, outputs, head_gain, generator))
    return Perceptron(layers, config.fast_tanh)


class GaussianActor(nn.Module):
    """A diagonal Gaussian over actions with a state-independent, bounded standard deviation.

    With mirror signs the mean is equivariant under reflection about the robot's heading:
    f(x) becomes (f(x) + M f(S x)) / 2, with S and M the signs of observation and action.
    """

    def __init__(
        self,
        config: PolicyConfig,
        observation_size: int,
        action_size: int,
        mirror: Optional[Tuple[Sequence[float], Sequence[float]]],
        generator: torch.Generator,
        sets: Sequence[TokenSet] = (),
    ) -> None:
        super().__init__()
        self.encoder, width = encoder(config, observation_size, sets, generator)
        self.net = mlp(config.network, width, action_size, _HEAD_GAIN, generator)
        self._top = float(config.log_std_max) if config.std == "sigmoid" else None
        initial, *self._bounds = (
            self._parameter(bound) for bound in (config.log_std_init, config.log_std_min, config.log_std_max)
        )
        self._signs: Tensor
        self._action_signs: Tensor
        self.log_std = nn.Parameter(torch.full((action_size,), initial))
        self._squash, self._mirrored = config.squash, mirror is not None
        signs, action_signs = mirror or ([1.0], [1.0])
        self.register_buffer("_signs", torch.tensor(signs), persistent=False)
        self.register_buffer("_action_signs", torch.tensor(action_signs), persistent=False)

    def forward(self, observation: Tensor) -> Tensor:
        """Means `[B, action]` of observations `[B, D]`."""
        if self._mirrored:
            rows = observation.shape[0]
            both = self.net(self.encoder(torch.cat((observation, observation * self._signs))))
            mean = 0.5 * (both[:rows] + both[rows:] * self._action_signs)
        else:
            mean = self.net(self.encoder(observation))
        return torch.tanh(mean) if self._squash else mean

    def log_prob(self, mean: Tensor, action: Tensor) -> Tensor:
        """Log densities `[B]` of actions `[B, action]`, summed over the action's dimensions."""
        log_std = self.log_deviation()
        return (-0.5 * ((action - mean) / log_std.exp()) ** 2 - log_std - _LOG_SQRT_2PI).sum(-1)

    def entropy(self) -> Tensor:
        """Differential entropy of the Gaussian, nats."""
        return (self.log_deviation() + _LOG_SQRT_2PI + 0.5).sum()

    def log_deviation(self) -> Tensor:
        """Logarithm of the standard deviation, `[action]`: the parameter itself, or HARL's function of it."""
        return self.log_std if self._top is None else self._top + nn.functional.logsigmoid(self.log_std)

    def _parameter(self, log_deviation: float) -> float:
        """The parameter that stands for a log standard deviation."""
        if self._top is None:
            return float(log_deviation)
        share = math.exp(log_deviation - self._top)
        return math.log(share) - math.log1p(-share) if share < 1.0 else math.inf

    def project(self) -> None:
        """Put the standard deviation back within its bounds after a gradient step."""
        with torch.no_grad():
            self.log_std.clamp_(*self._bounds)


class Critic(nn.Module):
    """State value, in the units of the value normaliser; a state that robots observe is read as an actor reads it."""

    def __init__(self, config: LearnerConfig, spec: EnvSpec, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder: nn.Module = nn.Identity()
        width = spec.state_shape[1]
        if spec.state_is_observation:
            self.encoder, width = encoder(config.policy, width, spec.agents[0].sets, generator)
        self.net = mlp(config.critic, width, 1, 1.0, generator)

    def forward(self, state: Tensor) -> Tensor:
        """Values `[...]` of states `[..., S]`."""
        values: Tensor = self.net(self.encoder(state)).squeeze(-1)
        return values
