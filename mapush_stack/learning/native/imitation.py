"""Behaviour cloning: actors learn what others did, before they learn from rewards.

Pomerleau, "Efficient training of artificial neural networks for autonomous navigation", Neural Computation 3, 1991.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, Tuple

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from ..contract import Examples

if TYPE_CHECKING:
    from .optimizer import ClippedAdam
    from .ppo import MultiAgentPPO

_LAST_RATE = 0.05
"""What is left of the learning rate in the last epoch."""


def imitate(learner: MultiAgentPPO, examples: Examples) -> float:
    """Fit actors to examples, and the critic to their returns; returns how far actions are from theirs, on average.

    An actor's mean minimises the absolute error, so that it is the median of what was done: where a demonstrator
    changes its mind, the average would be neither of both. Its deviation maximises the likelihood, within the
    configured bounds. Learning rates fall over the epochs. Afterwards optimisers begin anew. The learner's own
    generators are not used.
    """
    config, errors = learner.config.demonstrations, []
    generator = torch.Generator().manual_seed(0)

    def batches(optimizer: ClippedAdam, tensors: Tuple[Tensor, ...], epochs: int) -> Iterator[Tuple[Tensor, ...]]:
        for epoch in range(epochs):
            optimizer.set_lr_factor(1.0 - (1.0 - _LAST_RATE) * epoch / epochs)
            order = torch.randperm(len(tensors[0]), generator=generator).to(learner.device)
            for rows in torch.split(order, config.batch):
                yield tuple(tensor[rows] for tensor in tensors)

    for index, actor in enumerate(learner.actors):
        optimizer, present = learner.optimizers[f"actor{index}"], learner.spec.agents[index].present
        decisions = learner.decisions(index, examples.observations, examples.actions)
        for observations, actions in batches(optimizer, decisions, config.epochs):
            mean = actor(observations)
            loss = (mean - actions).abs().sum(-1) - actor.log_prob(mean.detach(), actions)
            here = 1.0 if present is None else observations[:, present]
            optimizer.step((loss * here).mean())
            actor.project()
        with torch.no_grad():
            errors.append(l1_loss(actor(decisions[0]), decisions[1]))
    if config.critic_epochs:
        learner.value_norm.update(examples.returns)
        optimizer, target = learner.optimizers["critic"], learner.value_norm.normalize(examples.returns)
        for states, returns in batches(optimizer, (examples.states, target), config.critic_epochs):
            optimizer.step(mse_loss(learner.critic(states), returns))
    for optimizer in learner.optimizers.values():
        optimizer.set_lr_factor(1.0)
        optimizer.load_state_dict({name: torch.zeros_like(value) for name, value in optimizer.state_dict().items()})
    return float(torch.stack(errors).mean())
