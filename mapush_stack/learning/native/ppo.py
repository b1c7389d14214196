"""What MAPPO and HAPPO share: acting, the critic's update, one actor's clipped update, saving and loading."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ...device.process_group import ALONE, World
from ...device.replay import Replay
from ..config import LearnerConfig
from . import gae
from .networks import Critic, GaussianActor
from .optimizer import ClippedAdam, GradNorms
from .rollout_buffer import RolloutBuffer
from .value_norm import NoNorm, ValueNorm

Metrics = Dict[str, Tensor]
"""Numbers by name, still on the device: to read one means to wait for it."""

_RANK_STRIDE = 1_000_003
"""Between the seeds of two processes."""


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
    """Proximal policy optimisation (Schulman et al., 2017) for a team with a centralised critic (Yu et al., 2022).

    Nothing in acting or updating waits for the device; on a GPU both are CUDA graphs (`Replay`). In a world of
    several processes each learns from its own environments, and gradients, moments of advantages and returns, and the
    KL divergence are those of all together: the result of one process with all the environments.
    """

    def __init__(
        self, config: LearnerConfig, spec: EnvSpec, device: torch.device, seed: int, world: World = ALONE
    ) -> None:
        """Networks and optimisers, with weights drawn from `seed`."""
        self.config, self.spec, self.device, self.world = config, spec, device, world
        generator = torch.Generator().manual_seed(seed)
        mirror = spec.mirror if config.policy.mirror else None
        copies = 1 if config.share_actor else spec.num_agents
        sizes = (spec.observation_size, spec.action_size)
        self.actors: List[GaussianActor] = [
            GaussianActor(config.policy, *sizes, mirror, generator).to(device) for _ in range(copies)
        ]
        self.critic = Critic(config.critic, spec.state_shape[1], generator).to(device)
        self.value_norm = ValueNorm(config.value_norm_beta, device, world) if config.value_norm else NoNorm(device)
        self._actor_optimizers = [
            ClippedAdam(actor, config.actor_lr, config.adam_eps, config.actor_max_grad_norm, world)
            for actor in self.actors
        ]
        self._critic_optimizer = ClippedAdam(
            self.critic, config.critic_lr, config.adam_eps, config.critic_max_grad_norm, world
        )
        # The order of agents is the same in all processes and drawn on the CPU, where it can be read; that of samples
        # is each process's own and drawn where the samples are. A single process on a CPU draws both from one.
        own = seed + _RANK_STRIDE * world.rank
        self._order = torch.Generator().manual_seed(seed + 1)
        self._noise = torch.Generator(device=device).manual_seed(own + 2)
        self._shuffle = self._order
        if device.type != "cpu" or world.size > 1:
            self._shuffle = torch.Generator(device=device).manual_seed(own + 3)
        self._prepare()

    def configure(self, config: LearnerConfig) -> None:
        """Go on with other rates, bounds and coefficients; the networks stay as they are."""
        self.config = config
        for optimizer in self._actor_optimizers:
            optimizer.configure(config.actor_lr, config.adam_eps, config.actor_max_grad_norm)
        self._critic_optimizer.configure(config.critic_lr, config.adam_eps, config.critic_max_grad_norm)
        self._prepare()

    def _prepare(self) -> None:
        """What is done again and again with the present configuration."""
        self._act = Replay(self._sample, self.device, [self._noise])
        self._appraise = Replay(self._learn_values, self.device, [self._shuffle])
        self._improve = Replay(self._learn_actor, self.device, [self._shuffle])
        self._compare = Replay(self._probability_ratio, self.device)

    def release(self) -> None:
        """Give up what is captured; the learner is then as slow as at its first steps."""
        for replay in (self._act, self._appraise, self._improve, self._compare):
            replay.release()

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

    def act(self, observations: Tensor) -> Tuple[Tensor, Tensor]:
        """Sample actions `[N, A, action]` and their log densities `[N, A]` for observations `[N, A, D]`.

        On a GPU the next call overwrites them.
        """
        return self._act(observations)

    @torch.no_grad()
    def _sample(self, observations: Tensor) -> Tuple[Tensor, Tensor]:
        mean = self.mean_action(observations)
        log_std = torch.stack([self.actor_of(agent).log_deviation() for agent in range(self.spec.num_agents)])
        noise = torch.randn(mean.shape, generator=self._noise, device=self.device)
        action = mean + log_std.exp() * noise
        log_prob = (-0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
        return action, log_prob

    # Updating

    def update(self, buffer: RolloutBuffer, progress: float) -> Metrics:
        """Learn from a full rollout; `progress` in [0, 1] is the share of the training that is done."""
        self._schedule(progress)
        advantages, metrics = self._appraise(buffer)
        return {**metrics, **self._update_actors(buffer, advantages)}

    @abstractmethod
    def _update_actors(self, buffer: RolloutBuffer, advantages: Tensor) -> Metrics:
        """Update every actor with advantages `[T, N, V]`."""

    def _learn_values(self, buffer: RolloutBuffer) -> Tuple[Tensor, Metrics]:
        """Advantages `[T, N, V]` of a rollout under the critic, which then learns from it."""
        with torch.no_grad():
            outputs, values, advantages = self._estimate(buffer)
            returns = advantages + values
            if self.config.advantage_norm:
                advantages = self._normalized(advantages)
        metrics = self._update_critic(buffer.states, outputs, returns)
        metrics["critic/explained_variance"] = self.world.mean(explained_variance(values, returns))
        return advantages, metrics

    def _estimate(self, buffer: RolloutBuffer) -> Tuple[Tensor, Tensor, Tensor]:
        """The critic's outputs, the values that they stand for, and the advantages, `[T, N, V]` each."""
        outputs = self.critic(buffer.states)
        values = self.value_norm.denormalize(outputs)
        next_values = self.value_norm.denormalize(self.critic(buffer.next_states))
        rewards = buffer.rewards.mean(-1, keepdim=True) if self.spec.state_shape[0] == 1 else buffer.rewards
        ends = (buffer.terminated, buffer.truncated)
        return (
            outputs,
            values,
            gae.advantages(rewards, values, next_values, *ends, self.config.gamma, self.config.gae_lambda),
        )

    def _normalized(self, advantages: Tensor) -> Tensor:
        """Advantages shifted and scaled to mean 0 and deviation 1 over all processes."""
        if self.world.size == 1:
            return (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-5)
        mean = self.world.mean(advantages.mean())
        variance = self.world.mean(((advantages - mean) ** 2).mean())
        return (advantages - mean) / (variance.sqrt() + 1e-5)

    def _update_actor(self, index: int, buffer: RolloutBuffer, advantages: Tensor) -> Metrics:
        """Epochs of clipped policy gradient on actor `index` with advantages `[B]` (PPO, equation 7)."""
        return self._improve(index, buffer, advantages)

    def _ratio(self, index: int, buffer: RolloutBuffer) -> Tensor:
        """New over old probability of every sample's action under the updated actor, `[B]`."""
        return self._compare(index, buffer)

    @torch.no_grad()
    def _probability_ratio(self, index: int, buffer: RolloutBuffer) -> Tensor:
        actor, (observations, actions, log_probs) = self.actors[index], self._samples(index, buffer)
        return (actor.log_prob(actor(observations), actions) - log_probs).exp()

    def _samples(self, index: int, buffer: RolloutBuffer) -> Tuple[Tensor, Tensor, Tensor]:
        """Observations, actions and log densities of actor `index`: its agent's, or all where it is shared."""
        tensors = (buffer.observations, buffer.actions, buffer.log_probs)
        if self.config.share_actor:
            observations, actions, log_probs = (tensor.flatten(0, 2) for tensor in tensors)
        else:
            observations, actions, log_probs = (tensor[:, :, index].flatten(0, 1) for tensor in tensors)
        return observations, actions, log_probs

    def _learn_actor(self, index: int, buffer: RolloutBuffer, advantages: Tensor) -> Metrics:
        """The epochs of one actor, stopped early by the KL divergence."""
        actor, config, batch = self.actors[index], self.config, Batch(*self._samples(index, buffer), advantages)
        steps = _Steps()
        live = torch.ones((), dtype=torch.bool, device=self.device)
        for _ in range(config.epochs):
            divergences = []
            for rows in self._minibatches(len(batch.observations), config.actor_minibatches):
                divergences.append(self._actor_step(index, Batch(*(tensor[rows] for tensor in batch)), live, steps))
            if config.target_kl is not None:
                divergence = self.world.mean(torch.stack(divergences).mean())
                live = live & (divergence <= config.target_kl)
                # To look at it means to wait: where that costs nothing, the rest, which changes nothing, is left out.
                if self.device.type == "cpu" and not live:
                    break
        metrics = steps.means(f"agent{index}", "actor", self.world)
        metrics[f"agent{index}/epochs"] = steps.live_share() * len(steps) / config.actor_minibatches
        metrics[f"agent{index}/action_std"] = actor.log_deviation().detach().exp().mean()
        return metrics

    def _actor_step(self, index: int, part: Batch, live: Tensor, steps: _Steps) -> Tensor:
        """One gradient step of actor `index`, if it is `live`; returns the KL divergence from the policy that acted."""
        actor, config = self.actors[index], self.config
        log_ratio = actor.log_prob(actor(part.observations), part.actions) - part.log_probs
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1.0 - config.clip, 1.0 + config.clip)
        surrogate = torch.min(ratio * part.advantages, clipped * part.advantages).mean()
        entropy = actor.entropy()
        norms = self._actor_optimizers[index].step(-surrogate - config.entropy_coef * entropy, live)
        actor.project()
        # The estimator (r - 1) - log r of Schulman, "Approximating KL divergence", 2020: unbiased, never < 0.
        divergence = (ratio - 1.0 - log_ratio).mean().detach()
        outside = ((ratio - 1.0).abs() > config.clip).to(ratio.dtype).mean()
        steps.add(
            live,
            norms,
            policy_loss=-surrogate,
            dist_entropy=entropy,
            ratio=ratio.mean(),
            clip_fraction=outside,
            approx_kl=divergence,
        )
        return divergence

    def _update_critic(self, states: Tensor, outputs: Tensor, returns: Tensor) -> Metrics:
        """Epochs of regression of the critic on returns `[T, N, V]`, in normalised units."""
        config = self.config
        states, outputs, returns = states.flatten(0, 2), outputs.flatten(), returns.flatten()
        if config.value_norm_per == "rollout":
            self.value_norm.update(returns)
        steps = _Steps()
        live = torch.ones((), dtype=torch.bool, device=self.device)
        for _ in range(config.critic_epochs):
            for rows in self._minibatches(len(states), config.critic_minibatches):
                if config.value_norm_per == "minibatch":
                    self.value_norm.update(returns[rows])
                target = self.value_norm.normalize(returns[rows])
                loss = self._value_loss(self.critic(states[rows]), outputs[rows], target)
                steps.add(live, self._critic_optimizer.step(config.value_loss_coef * loss), value_loss=loss)
        return steps.means("critic", "critic", self.world)

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
        order = torch.randperm(size, generator=self._shuffle, device=self.device)
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
        generators = {f"generator.{name}": drawn.get_state() for name, drawn in self._generators().items()}
        return {**_flatten(self._optimizers()), **generators}

    def load_training_state(self, state: Dict[str, Tensor]) -> None:
        """Restore `training_state`."""
        _unflatten(self._optimizers(), state)
        for name, drawn in self._generators().items():
            drawn.set_state(state[f"generator.{name}"])

    def _generators(self) -> Dict[str, torch.Generator]:
        return {"order": self._order, "noise": self._noise, "shuffle": self._shuffle}


class _Steps:
    """Means over gradient steps, kept on the device until the end of the update."""

    def __init__(self) -> None:
        self._live: List[Tensor] = []
        self._values: Dict[str, List[Tensor]] = {}

    def __len__(self) -> int:
        return len(self._live)

    def add(self, live: Tensor, norms: GradNorms, **values: Tensor) -> None:
        """Add a step; it counts if `live`."""
        self._live.append(live)
        for name, value in dict(values, grad_norm=norms.before, grad_norm_clipped=norms.after).items():
            self._values.setdefault(name, []).append(value.detach())

    def live_share(self) -> Tensor:
        """Share of the steps that counted."""
        return torch.stack(self._live).to(torch.float32).mean()

    def means(self, owner: str, kind: str, world: World) -> Metrics:
        """Metrics `<owner>/<name>`; gradient norms carry `kind`, as in HARL's `agent0/actor_grad_norm`."""
        live = torch.stack(self._live)
        values = torch.stack([torch.stack(steps) for steps in self._values.values()])
        counted = torch.where(live, values, torch.zeros_like(values))
        means = world.mean(counted.sum(1) / live.sum())
        labels = [f"{kind}_{name}" if name.startswith("grad_norm") else name for name in self._values]
        result = {f"{owner}/{label}": mean for label, mean in zip(labels, means.unbind())}
        largest = counted[list(self._values).index("grad_norm_clipped")].max()
        return {**result, f"{owner}/{kind}_grad_norm_clipped_max": largest}


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 - Var[return - value] / Var[return]: 1 for a perfect critic, 0 for a constant one."""
    variance = returns.var()
    share = 1.0 - (returns - values).var() / variance
    return torch.where(variance > 0, share, torch.zeros_like(share))


def _flatten(parts: Dict[str, object]) -> Dict[str, Tensor]:
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


def _unflatten(parts: Dict[str, object], state: Dict[str, Tensor]) -> None:
    for name, part in parts.items():
        prefix = f"{name}."
        part.load_state_dict({key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)})
