"""Reads an observation with sets of things, so that their number and order do not matter."""

from __future__ import annotations

import math
from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from ..config import PolicyConfig
from ..vec_env import TokenSet
from .linear import orthogonal

_HEADS = 2
"""Two attention heads give as many numbers as mean and largest values."""
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
        self.query = nn.ModuleDict(
            {part.name: orthogonal(len(own), _HEADS * width, 1.0, generator) for part in sets}
            if config.encoder == "attention"
            else {}
        )
        self.outputs = len(own) + len(sets) * 2 * width
        """How many numbers `forward` gives."""

    def forward(self, observation: Tensor) -> Tensor:
        """`[..., outputs]` of observations `[..., D]`."""
        own = observation.index_select(-1, self._own)
        return torch.cat([own, *(self._summary(part, own, observation) for part in self._sets)], dim=-1)

    def _summary(self, part: TokenSet, own: Tensor, observation: Tensor) -> Tensor:
        """What a set comes to, `[..., 2 width]`."""
        numbers = observation[..., part.first : part.first + part.count * part.size]
        tokens = numbers.reshape(*observation.shape[:-1], part.count, part.size)
        there = None if part.present is None else tokens[..., part.present, None]
        embedded = self.embedding[part.name](tokens)
        if part.name in self.query:
            query = self.query[part.name](own).unflatten(-1, (_HEADS, embedded.shape[-1]))
            return _attend(query, embedded, there)
        if there is None:
            return torch.cat((embedded.mean(-2), embedded.max(-2).values), dim=-1)
        # No embedding is negative, so that zeros change no largest value.
        embedded = embedded * there
        return torch.cat((embedded.sum(-2) / there.sum(-2).clamp_min(1.0), embedded.max(-2).values), dim=-1)


def _attend(query: Tensor, embedded: Tensor, there: Optional[Tensor]) -> Tensor:
    """What queries `[..., 2, width]` find among tokens `[..., T, width]`, of which some are `there`; `[..., 2 width]`.

    Keys and values are the embedded tokens themselves: the layers around this project them.
    """
    scores = embedded @ query.transpose(-1, -2) / math.sqrt(embedded.shape[-1])
    if there is None:
        weights = torch.softmax(scores, dim=-2)
    else:
        weights = torch.softmax(scores.masked_fill(there == 0, -1e9), dim=-2) * there
    return (weights.transpose(-1, -2) @ embedded).flatten(-2)


def _embedding(size: int, width: int, generator: torch.Generator) -> nn.Sequential:
    """The network of each token of a set; gives no negative numbers."""
    first, second = orthogonal(size, width, _GAIN, generator), orthogonal(width, width, _GAIN, generator)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
