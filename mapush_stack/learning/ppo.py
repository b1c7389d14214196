"""What MAPPO and HAPPO share: acting, the critic's update, one actor's clipped update, saving and loading."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from . import gae
from .config import LearnerConfig
from .networks import Critic, GaussianActor
from .optimizer import ClippedAdam, GradNorms
from .rollout_buffer import RolloutBuffer
from .value_norm import NoNorm, ValueNorm

Metrics = Dict[str, float]


class EnvSpec(NamedTuple):
    """What a learner has to know of an environment."""

    num_agents: int
    observation_size: int
    state_shape: Tuple[int, int]
    """(V, S): V values of S numbers each; V is 1 for a team value or A for one value a robot."""
    action_size: int
    mirror: Optional[Tuple[Sequence[float], Sequence[float]]]
    """Signs of observation and action under reflection, or None."""


class Batch(NamedTuple):
    """One agent's samples of a rollout, B = T * N of them (times the team where the actor is shared)."""

    observations: Tensor
    """`[B, D]`"""
    actions: Tensor
    """`[B, action]`"""
    log_probs: Tensor
    """`[B]` of the policy that acted."""
    advantages: Tensor
    """`[B]`; in HAPPO times the factor of the agents that were updated before."""


class MultiAgentPPO(ABC):
    """Proximal policy optimisation (Schulman et al., 2017) for a team with a centralised critic (Yu et al., 2022)."""

    def __init__(self, config: LearnerConfig, spec: EnvSpec, device: torch.device, seed: int) -> None:
        """Networks and optimisers, with weights drawn from `seed`."""
        self.config, self.spec, self.device = config, spec, device
        generator = torch.Generator().manual_seed(seed)
        mirror = spec.mirror if config.policy.mirror else None
        copies = 1 if config.share_actor else spec.num_agents
        sizes = (spec.observation_size, spec.action_size)
        self.actors: List[GaussianActor] = [
            GaussianActor(config.policy, *sizes, mirror, generator).to(device) for _ in range(copies)
        ]
        self.critic = Critic(config.critic, spec.state_shape[1], generator).to(device)
        self.value_norm = ValueNorm(config.value_norm_beta, device) if config.value_norm else NoNorm(device)
        self._actor_optimizers = [
            ClippedAdam(actor, config.actor_lr, config.adam_eps, config.actor_max_grad_norm) for actor in self.actors
        ]
        self._critic_optimizer = ClippedAdam(
            self.critic, config.critic_lr, config.adam_eps, config.critic_max_grad_norm
        )
        # Minibatch order and agent order; on the CPU so that they do not depend on the device.
        self._order = torch.Generator().manual_seed(seed + 1)
        self._noise = torch.Generator(device=device).manual_seed(seed + 2)

    def configure(self, config: LearnerConfig) -> None:
        """Go on with other rates, bounds and coefficients; the networks stay as they are."""
        self.config = config
        for optimizer in self._actor_optimizers:
            optimizer.configure(config.actor_lr, config.adam_eps, config.actor_max_grad_norm)
        self._critic_optimizer.configure(config.critic_lr, config.adam_eps, config.critic_max_grad_norm)

    # Acting

    def actor_of(self, agent: int) -> GaussianActor:
        """The actor of an agent."""
        return self.actors[0 if self.config.share_actor else agent]

    @torch.no_grad()
    def mean_action(self, observations: Tensor) -> Tensor:
        """The deterministic action `[N, A, action]` for observations `[N, A, D]`."""
        if self.config.share_actor:
            return self.actors[0](observations.flatten(0, 1)).unflatten(0, observations.shape[:2])
        return torch.stack([actor(seen) for actor, seen in zip(self.actors, observations.unbind(1))], dim=1)

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tuple[Tensor, Tensor]:
        """Sample actions `[N, A, action]` and their log densities `[N, A]` for observations `[N, A, D]`."""
        mean = self.mean_action(observations)
        log_std = torch.stack([self.actor_of(agent).log_std for agent in range(self.spec.num_agents)])
        noise = torch.randn(mean.shape, generator=self._noise, device=self.device)
        action = mean + log_std.exp() * noise
        log_prob = (-0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
        return action, log_prob

    # Updating

    def update(self, buffer: RolloutBuffer, progress: float) -> Metrics:
        """Learn from a full rollout; `progress` in [0, 1] is the share of the training that is done."""
        self._schedule(progress)
        rewards = buffer.rewards
        if self.spec.state_shape[0] == 1:
            rewards = rewards.mean(-1, keepdim=True)
        with torch.no_grad():
            outputs = self.critic(buffer.states)
            values = self.value_norm.denormalize(outputs)
            next_values = self.value_norm.denormalize(self.critic(buffer.next_states))
            advantages = gae.advantages(
                rewards,
                values,
                next_values,
                buffer.terminated,
                buffer.truncated,
                self.config.gamma,
                self.config.gae_lambda,
            )
            returns = advantages + values
            if self.config.advantage_norm:
                advantages = (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-5)
        metrics = self._update_critic(buffer.states, outputs, returns)
        metrics.update(self._update_actors(buffer, advantages))
        metrics["critic/explained_variance"] = explained_variance(values, returns)
        return metrics

    @abstractmethod
    def _update_actors(self, buffer: RolloutBuffer, advantages: Tensor) -> Metrics:
        """Update every actor with advantages `[T, N, V]`."""

    def _update_actor(self, index: int, batch: Batch) -> Metrics:
        """Epochs of clipped policy gradient on actor `index` (PPO, equation 7), stopped early by the KL divergence."""
        actor, optimizer, config = self.actors[index], self._actor_optimizers[index], self.config
        steps = _Steps()
        epochs = 0
        while epochs < config.epochs:
            epochs += 1
            divergences = []
            for rows in self._minibatches(len(batch.observations), config.actor_minibatches):
                part = Batch(*(tensor[rows] for tensor in batch))
                log_ratio = actor.log_prob(actor(part.observations), part.actions) - part.log_probs
                ratio = log_ratio.exp()
                clipped = ratio.clamp(1.0 - config.clip, 1.0 + config.clip)
                surrogate = torch.min(ratio * part.advantages, clipped * part.advantages).mean()
                entropy = actor.entropy()
                norms = optimizer.step(-surrogate - config.entropy_coef * entropy)
                actor.project()
                # The estimator (r - 1) - log r of Schulman, "Approximating KL divergence", 2020: unbiased, never < 0.
                divergences.append((ratio - 1.0 - log_ratio).mean().detach())
                outside = ((ratio - 1.0).abs() > config.clip).to(ratio.dtype).mean()
                steps.add(
                    norms, policy_loss=-surrogate, dist_entropy=entropy, ratio=ratio.mean(), clip_fraction=outside
                )
                steps.add_values(approx_kl=divergences[-1])
            if config.target_kl is not None and torch.stack(divergences).mean() > config.target_kl:
                break
        return {
            **steps.means(f"agent{index}", "actor"),
            f"agent{index}/epochs": epochs,
            f"agent{index}/action_std": float(actor.log_std.detach().exp().mean()),
        }

    def _update_critic(self, states: Tensor, outputs: Tensor, returns: Tensor) -> Metrics:
        """Epochs of regression of the critic on returns `[T, N, V]`, in normalised units."""
        config = self.config
        states, outputs, returns = states.flatten(0, 2), outputs.flatten(), returns.flatten()
        if config.value_norm_per == "rollout":
            self.value_norm.update(returns)
        steps = _Steps()
        for _ in range(config.critic_epochs):
            for rows in self._minibatches(len(states), config.critic_minibatches):
                if config.value_norm_per == "minibatch":
                    self.value_norm.update(returns[rows])
                target = self.value_norm.normalize(returns[rows])
                loss = self._value_loss(self.critic(states[rows]), outputs[rows], target)
                steps.add(self._critic_optimizer.step(config.value_loss_coef * loss), value_loss=loss)
        return steps.means("critic", "critic")

    def _value_loss(self, values: Tensor, old_values: Tensor, target: Tensor) -> Tensor:
        loss = self._regression_loss(target - values)
        if self.config.value_clip is not None:
            clipped = old_values + (values - old_values).clamp(-self.config.value_clip, self.config.value_clip)
            loss = torch.max(loss, self._regression_loss(target - clipped))
        return loss.mean()

    def _regression_loss(self, error: Tensor) -> Tensor:
        """Half the squared error, or Huber's loss."""
        if self.config.value_loss == "mse":
            return 0.5 * error**2
        delta = self.config.huber_delta
        return torch.where(error.abs() <= delta, 0.5 * error**2, delta * (error.abs() - 0.5 * delta))

    def _minibatches(self, size: int, parts: int) -> Iterator[Tensor]:
        """Index tensors that split a random order of `size` samples into `parts` of equal size, a rest left out."""
        length = max(size // parts, 1)
        order = torch.randperm(size, generator=self._order).to(self.device)
        return iter(order[: length * min(parts, size)].split(length))

    def _schedule(self, progress: float) -> None:
        factor = 1.0
        if self.config.lr_schedule == "linear":
            factor = 1.0 - (1.0 - self.config.lr_final_fraction) * min(max(progress, 0.0), 1.0)
        for optimizer in (*self._actor_optimizers, self._critic_optimizer):
            optimizer.set_lr_factor(factor)

    # Saving and loading

    def _modules(self) -> Dict[str, object]:
        named: Dict[str, object] = {"critic": self.critic, "value_norm": self.value_norm}
        for index, actor in enumerate(self.actors):
            named[f"actor{index}"] = actor
        return named

    def _optimizers(self) -> Dict[str, ClippedAdam]:
        named = {"critic": self._critic_optimizer}
        for index, optimizer in enumerate(self._actor_optimizers):
            named[f"actor{index}"] = optimizer
        return named

    def model_state(self) -> Dict[str, Tensor]:
        """Weights and normalisers: what acting and evaluating need."""
        return _flatten(self._modules())

    def load_model_state(self, state: Dict[str, Tensor]) -> None:
        """Restore `model_state`.

        Raises:
            RuntimeError, KeyError: the tensors are those of other networks.

        """
        _unflatten(self._modules(), state)

    def training_state(self) -> Dict[str, Tensor]:
        """Optimisers and random generators: what only training needs."""
        generators = {"generator.order": self._order.get_state(), "generator.noise": self._noise.get_state()}
        return {**_flatten(self._optimizers()), **generators}

    def load_training_state(self, state: Dict[str, Tensor]) -> None:
        """Restore `training_state`."""
        _unflatten(self._optimizers(), state)
        self._order.set_state(state["generator.order"])
        self._noise.set_state(state["generator.noise"])


class _Steps:
    """Means over gradient steps, kept on the device until the end of the update."""

    def __init__(self) -> None:
        self._values: Dict[str, List[Tensor]] = {}

    def add(self, norms: GradNorms, **values: Tensor) -> None:
        self.add_values(grad_norm=norms.before, grad_norm_clipped=norms.after, **values)

    def add_values(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._values.setdefault(name, []).append(value.detach())

    def means(self, owner: str, kind: str) -> Metrics:
        """Metrics `<owner>/<name>`; gradient norms carry `kind`, as in HARL's `agent0/actor_grad_norm`."""
        result = {}
        for name, values in self._values.items():
            label = f"{kind}_{name}" if name.startswith("grad_norm") else name
            stacked = torch.stack(values)
            result[f"{owner}/{label}"] = float(stacked.mean())
            if name == "grad_norm_clipped":
                result[f"{owner}/{label}_max"] = float(stacked.max())
        return result


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var[return - value] / Var[return]: 1 for a perfect critic, 0 for a constant one."""
    variance = returns.var()
    return float(1.0 - (returns - values).var() / variance) if variance > 0 else 0.0


def _flatten(parts: Dict[str, object]) -> Dict[str, Tensor]:
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


def _unflatten(parts: Dict[str, object], state: Dict[str, Tensor]) -> None:
    for name, part in parts.items():
        prefix = f"{name}."
        part.load_state_dict({key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)})
