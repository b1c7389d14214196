"""Reads an observation with sets of things, so that their number and order do not matter."""

from __future__ import annotations

import math
from typing import Sequence, Tuple

import torch
from torch import Tensor, nn

from ..config import PolicyConfig
from ..vec_env import TokenSet
from .linear import orthogonal

_HEADS = 2
_GAIN = math.sqrt(2.0)


def encoder(
    config: PolicyConfig, observation_size: int, sets: Sequence[TokenSet], generator: torch.Generator
) -> Tuple[nn.Module, int]:
    """What stands before a network as `policy.encoder` says, and how many numbers it gives."""
    if config.encoder == "none":
        return nn.Identity(), observation_size
    made = SetEncoder(config, observation_size, sets, generator)
    return made, made.outputs


class SetEncoder(nn.Module):
    """The robot's own numbers, then what each set of tokens comes to.

    Each token passes through a small network of its set. Over a set these embeddings become their mean and their
    largest values (Zaheer et al., "Deep sets", NeurIPS 2017), or what a robot's own numbers ask for (Vaswani et al.,
    "Attention is all you need", NeurIPS 2017). Weights do not depend on the number of tokens. Tokens of things that
    are not there count for nothing.
    """

    def __init__(
        self, config: PolicyConfig, observation_size: int, sets: Sequence[TokenSet], generator: torch.Generator
    ) -> None:
        super().__init__()
        self._sets, width = sets, config.token_width
        inside = {number for part in sets for number in range(part.first, part.first + part.count * part.size)}
        own = [number for number in range(observation_size) if number not in inside]
        self._own: Tensor
        self.register_buffer("_own", torch.tensor(own), persistent=False)
        self.embedding = nn.ModuleDict({part.name: _embedding(part.size, width, generator) for part in sets})
        self._attends = config.encoder == "attention"
        self.attention = nn.ModuleDict(
            {part.name: _Attention(len(own), width, generator) for part in sets if self._attends}
        )
        self.outputs = len(own) + len(sets) * width * (1 if self._attends else 2)
        """How many numbers `forward` gives."""

    def forward(self, observation: Tensor) -> Tensor:
        """`[..., outputs]` of observations `[..., D]`."""
        own = observation.index_select(-1, self._own)
        return torch.cat([own, *(self._summary(part, own, observation) for part in self._sets)], dim=-1)

    def _summary(self, part: TokenSet, own: Tensor, observation: Tensor) -> Tensor:
        """What a set comes to, `[..., width]` or twice as many."""
        numbers = observation[..., part.first : part.first + part.count * part.size]
        tokens = numbers.reshape(*observation.shape[:-1], part.count, part.size)
        there = torch.ones_like(tokens[..., :1]) if part.present is None else tokens[..., part.present, None]
        embedded = self.embedding[part.name](tokens) * there
        if self._attends:
            found: Tensor = self.attention[part.name](own, embedded, there)
            return found
        mean = embedded.sum(-2) / there.sum(-2).clamp_min(1.0)
        # No embedding is negative, so that zeros for an absent thing, or for an empty set, change no largest value.
        largest = torch.cat((embedded, torch.zeros_like(mean).unsqueeze(-2)), dim=-2).amax(-2)
        return torch.cat((mean, largest), dim=-1)


class _Attention(nn.Module):
    """Looks for what a robot's own numbers ask for among embedded tokens."""

    def __init__(self, own: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.query = orthogonal(own, width, 1.0, generator)
        self.key, self.value = (orthogonal(width, width, 1.0, generator) for _ in range(2))

    def forward(self, own: Tensor, embedded: Tensor, there: Tensor) -> Tensor:
        """`[..., width]` for own numbers `[..., n]` among tokens `[..., T, width]`, of which some are `there`."""

        def heads(numbers: Tensor) -> Tensor:
            return numbers.reshape(*numbers.shape[:-1], _HEADS, numbers.shape[-1] // _HEADS)

        query, keys, values = heads(self.query(own)).unsqueeze(-3), heads(self.key(embedded)), self.value(embedded)
        scores = (query * keys).sum(-1) / math.sqrt(query.shape[-1])
        weights = torch.softmax(scores.masked_fill(there == 0, -1e9), dim=-2) * there
        return (weights.unsqueeze(-1) * heads(values)).sum(-3).flatten(-2)


def _embedding(size: int, width: int, generator: torch.Generator) -> nn.Sequential:
    """The network of each token of a set; gives no negative numbers."""
    first, second = orthogonal(size, width, _GAIN, generator), orthogonal(width, width, _GAIN, generator)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
