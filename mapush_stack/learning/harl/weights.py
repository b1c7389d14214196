"""HARL's networks under the names of this project's: the same layers, so that either can use the other's weights."""

from __future__ import annotations

import math
from typing import Any, Dict, Iterator, Tuple

import torch
from torch import Tensor

from ...device.state import unflatten
from ...system.tensor_file import check_state
from ..config import LearnerConfig, NetworkConfig
from ..native.policy import check_actors

Names = Dict[str, str]
"""Name in one of our networks for each name in HARL's."""


def model_state(runner: Any, config: LearnerConfig) -> Dict[str, Tensor]:
    """The weights and the value normaliser of HARL's `runner`, as `MultiAgentPPO.model_state` names them."""
    state = {}
    for owner, network, names in _networks(runner, config):
        values = network.state_dict()
        state.update({f"{owner}.{ours}": values[theirs].detach().clone() for theirs, ours in names.items()})
    if runner.value_normalizer is not None:
        state["value_norm.sums"] = torch.cat([part.detach().reshape(1) for part in _sums(runner)])
    else:
        state["value_norm.sums"] = torch.zeros(3)
    return state


def load_model_state(runner: Any, config: LearnerConfig, state: Dict[str, Tensor]) -> None:
    """Restore `model_state`.

    Raises:
        RuntimeError, KeyError: the tensors are those of other networks.

    """
    check_actors(state, 1 if config.share_actor else len(runner.actor))
    for owner, network, names in _networks(runner, config):
        found = {f"{owner}.{theirs}": state[f"{owner}.{ours}"] for theirs, ours in names.items()}
        unflatten({owner: network}, found)
    check_state("value_norm.", {"sums": torch.zeros(3)}, {"sums": state["value_norm.sums"]})
    if runner.value_normalizer is not None:
        for part, value in zip(_sums(runner), state["value_norm.sums"].unbind()):
            part.copy_(value.reshape(part.shape))


def start_deviation(runner: Any, config: LearnerConfig) -> None:
    """Let the actors' standard deviation start where `config` says; HARL's starts at 0.73 of its bound."""
    share = math.exp(config.policy.log_std_init - config.policy.log_std_max)
    for actor in runner.actor:
        actor.actor.act.action_out.log_std.data.fill_(math.log(share) - math.log1p(-share))


def _networks(runner: Any, config: LearnerConfig) -> Iterator[Tuple[str, Any, Names]]:
    """(our owner's name, HARL's network, names) of each actor, once where it is shared, and of the critic."""
    actors = runner.actor[:1] if config.share_actor else runner.actor
    body, last = _body(config.policy.network)
    head = {**_both("act.action_out.fc_mean", f"net.{last}"), "act.action_out.log_std": "log_std"}
    for index, actor in enumerate(actors):
        yield f"actor{index}", actor.actor, {**body, **head}
    body, last = _body(config.critic)
    yield "critic", runner.critic.critic, {**body, **_both("v_out", f"net.{last}")}


def _body(config: NetworkConfig) -> Tuple[Names, int]:
    """Names of the hidden layers, and the place of the one after them.

    HARL's layers are linear, activation and LayerNorm in turn, as ours with `layer_norm` and `last_activation`.
    """
    first = 1 if config.input_norm else 0
    names = _both("base.feature_norm", "net.0") if config.input_norm else {}
    for depth in range(len(config.hidden)):
        for place in (3 * depth, 3 * depth + 2):
            names.update(_both(f"base.mlp.fc.{place}", f"net.{first + place}"))
    return names, first + 3 * len(config.hidden)


def _both(theirs: str, ours: str) -> Names:
    return {f"{theirs}.{part}": f"{ours}.{part}" for part in ("weight", "bias")}


def _sums(runner: Any) -> Tuple[Tensor, Tensor, Tensor]:
    """Moving mean, mean of squares and weight; on a GPU HARL's own `state_dict` leaves them out."""
    norm = runner.value_normalizer
    return norm.running_mean, norm.running_mean_sq, norm.debiasing_term
