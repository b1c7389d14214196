"""What MAPPO and HAPPO share: acting, advantages, the critic's update, one actor's clipped update."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Dict, Iterator, Optional, Tuple

import torch
from torch import Tensor

from ...device.process_group import ALONE, World
from ...device.replay import Beside, Replay
from ...device.state import flatten, unflatten
from ..config import LearnerConfig
from ..contract import Examples, Learner, Metrics
from ..vec_env import TeamEnv
from . import gae
from .imitation import imitate
from .networks import Critic
from .optimizer import ClippedAdam
from .policy import GaussianTeam, check_actors
from .rollout_buffer import RolloutBuffer
from .statistics import StepMeans, explained_variance
from .value_norm import ValueNorm

_RANK_STRIDE = 1_000_003
"""Between the seeds of two processes."""


class MultiAgentPPO(Learner):
    """Proximal policy optimisation (Schulman et al., 2017) for a team with a centralised critic (Yu et al., 2022).

    Nothing in acting or updating waits for the device; on a GPU both are CUDA graphs (`Replay`). In a world of
    several processes each learns from its own environments, and gradients, moments of advantages and returns, and the
    KL divergence are those of all together: the result of one process with all the environments.
    """

    def __init__(
        self, config: LearnerConfig, env: TeamEnv, rollout_length: int, seed: int, world: World = ALONE
    ) -> None:
        """Networks and optimisers, with weights drawn from `seed`."""
        self.config, self.spec, self.device, self.world = config, env.spec, env.device, world
        self._env, self._rollout_length = env, rollout_length
        self.buffer = RolloutBuffer(rollout_length, env.num_envs, env.spec, env.device)
        generator = torch.Generator().manual_seed(seed)
        self.team = GaussianTeam(config, env.spec, self.device, generator)
        self.actors = self.team.actors
        self.critic = Critic(config, env.spec, generator).to(self.device)
        self.value_norm = ValueNorm(config.value_norm_beta if config.value_norm else None, self.device, world)
        self._actor_optimizers = [
            ClippedAdam(actor, config.actor_lr, config.adam_eps, config.actor_max_grad_norm, world)
            for actor in self.actors
        ]
        self._critic_optimizer = ClippedAdam(
            self.critic, config.critic_lr, config.adam_eps, config.critic_max_grad_norm, world
        )
        self._modules: Dict[str, Any] = {"critic": self.critic, "value_norm": self.value_norm}
        self._modules.update({f"actor{index}": actor for index, actor in enumerate(self.actors)})
        self.optimizers = {f"actor{index}": own for index, own in enumerate(self._actor_optimizers)}
        self.optimizers["critic"] = self._critic_optimizer
        # The order of agents is the same in all processes and drawn on the CPU, where it can be read; that of samples
        # is each process's own and drawn where the samples are. A single process on a CPU draws both from one.
        own = seed + _RANK_STRIDE * world.rank
        self._order = torch.Generator().manual_seed(seed + 1)
        self._noise = torch.Generator(device=self.device).manual_seed(own + 2)
        self._shuffle = self._order
        if self.device.type != "cpu" or world.size > 1:
            self._shuffle = torch.Generator(device=self.device).manual_seed(own + 3)
        self._generators = {"order": self._order, "noise": self._noise, "shuffle": self._shuffle}
        # Two processes must ask for their means in one order, which two streams do not have.
        self._beside = Beside(self.device, wanted=world.size == 1)
        self._make_replays()

    def configure(self, config: LearnerConfig) -> None:
        """See `Learner.configure`."""
        self.config = config
        for optimizer in self._actor_optimizers:
            optimizer.configure(config.actor_lr, config.adam_eps, config.actor_max_grad_norm)
        self._critic_optimizer.configure(config.critic_lr, config.adam_eps, config.critic_max_grad_norm)
        self._make_replays()

    def _make_replays(self) -> None:
        """Prepare what is repeated; on a GPU the configuration's numbers become part of each CUDA graph."""
        self.act = Replay(self._act, self.device, [self._noise])
        self.evaluate_rollout = Replay(self._evaluate_rollout, self.device, [self._shuffle])
        self.update_critic = Replay(self._update_critic, self.device, beside=self._beside)
        self.update_actor = Replay(self._update_actor, self.device, [self._shuffle])
        self.probability_ratio = Replay(self._probability_ratio, self.device)

    def release(self) -> None:
        """Give up the CUDA graphs; the learner is then as slow as at its first steps."""
        for replay in (self.act, self.evaluate_rollout, self.update_critic, self.update_actor, self.probability_ratio):
            replay.release()

    def imitate(self, examples: Examples) -> float:
        """See `Learner.imitate`."""
        return imitate(self, examples)

    # The rollout

    def collect(self) -> None:
        """See `Learner.collect`."""
        observations, state = self._env.observe()
        for _ in range(self._rollout_length):
            action, log_prob = self.act(observations)
            self.buffer.add_decision(observations, state, action, log_prob)
            step = self._env.step(action)
            self.buffer.add_outcome(step.final_state, step.rewards, step.terminated, step.truncated)
            observations, state = step.observations, step.state

    @torch.no_grad()
    def _act(self, observations: Tensor) -> Tuple[Tensor, Tensor]:
        """Sample actions `[N, A, K]` and their log densities `[N, A]` for observations `[N, A, D]`."""
        mean, log_std = self.team.act(observations), self.team.log_deviations()
        noise = torch.randn(mean.shape, generator=self._noise, device=self.device)
        action = mean + log_std.exp() * noise
        log_probs = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
        if self.team.own is not None:
            action, log_probs = action * self.team.own, log_probs * self.team.own
        here = self._here(observations)
        return action, log_probs.sum(-1) if here is None else log_probs.sum(-1) * here

    # The update

    def update(self, steps: int, progress: float) -> Metrics:
        """See `Learner.update`."""
        self._schedule(progress)
        advantages, lesson, metrics = self.evaluate_rollout()
        with self._beside.work():
            metrics = {**metrics, **self.update_critic(*lesson)}
        metrics.update(self._update_actors(advantages))
        self._beside.join()
        return metrics

    @abstractmethod
    def _update_actors(self, advantages: Tensor) -> Metrics:
        """Update every actor on the rollout with advantages `[T, N, V]`."""

    @torch.no_grad()
    def _evaluate_rollout(self) -> Tuple[Tensor, Tuple[Tensor, Tensor, Tensor], Metrics]:
        """Advantages `[T, N, V]` of the rollout, and what the critic is to learn from it, see `_update_critic`."""
        outputs, values, advantages = self._estimate()
        returns = advantages + values
        if self.config.advantage_norm:
            advantages = self._normalized(advantages)
        orders = torch.stack([self._random_order(returns.numel()) for _ in range(self.config.critic_epochs)])
        metrics = {"critic/explained_variance": self.world.mean(explained_variance(values, returns))}
        return advantages, (outputs.flatten(), returns.flatten(), orders), metrics

    def _estimate(self) -> Tuple[Tensor, Tensor, Tensor]:
        """The critic's outputs, the values that they stand for, and the advantages, `[T, N, V]` each."""
        buffer, config = self.buffer, self.config
        outputs: Tensor = self.critic(buffer.states)
        values = self.value_norm.denormalize(outputs)
        next_values = self.value_norm.denormalize(self.critic(buffer.next_states))
        rewards, here = buffer.rewards, self._here(buffer.observations)
        if self.spec.state_shape[0] == 1:
            rewards = rewards.mean(-1, keepdim=True)
            if here is not None:
                rewards = (buffer.rewards * here).sum(-1, keepdim=True) / here.sum(-1, keepdim=True).clamp_min(1.0)
        ends = (buffer.terminated, buffer.truncated)
        advantages = gae.advantages(rewards, values, next_values, *ends, config.gamma, config.gae_lambda)
        return outputs, values, advantages

    def _normalized(self, advantages: Tensor) -> Tensor:
        """Advantages shifted and scaled to mean 0 and deviation 1 over all processes."""
        if self.world.size == 1:
            return (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-5)
        mean = self.world.mean(advantages.mean())
        variance = self.world.mean(((advantages - mean) ** 2).mean())
        return (advantages - mean) / (variance.sqrt() + 1e-5)

    # One actor

    def _update_actor(self, index: int, advantages: Tensor) -> Metrics:
        """Epochs of PPO on actor `index`, stopped early by the KL divergence.

        Advantages are `[B]`, B = T * N (times the team where the actor is shared); in HAPPO times the factor of the
        agents that were updated before.
        """
        actor, config, batch = self.actors[index], self.config, (*self._samples(index), advantages)
        steps = StepMeans()
        live = torch.ones((), dtype=torch.bool, device=self.device)
        for _ in range(config.epochs):
            divergences = []
            for rows in _minibatches(self._random_order(len(advantages)), config.actor_minibatches):
                part = (tensor.index_select(0, rows) for tensor in batch)
                divergences.append(self._actor_step(index, live, steps, *part))
            if config.target_kl is not None:
                divergence = self.world.mean(torch.stack(divergences).mean())
                live = live & (divergence <= config.target_kl)
                # Steps that are not live change nothing. Only on a CPU can they be left out without waiting.
                if self.device.type == "cpu" and not live:
                    break
        metrics = steps.means(f"agent{index}", "actor", self.world)
        metrics[f"agent{index}/epochs"] = steps.live_share() * len(steps) / config.actor_minibatches
        metrics[f"agent{index}/action_std"] = actor.log_deviation().detach().exp().mean()
        return metrics

    def _actor_step(
        self,
        index: int,
        live: Tensor,
        steps: StepMeans,
        observations: Tensor,
        actions: Tensor,
        log_probs: Tensor,
        advantages: Tensor,
    ) -> Tensor:
        """One gradient step of actor `index`, if it is `live`; returns the KL divergence from the policy that acted."""
        actor, config = self.actors[index], self.config
        log_ratio = self._log_probs(index, observations, actions) - log_probs
        ratio = log_ratio.exp()
        # L^CLIP, equation 7 of Schulman et al., "Proximal policy optimization algorithms", 2017.
        clipped = ratio.clamp(1.0 - config.clip, 1.0 + config.clip)
        surrogate = torch.min(ratio * advantages, clipped * advantages).mean()
        # The entropy bonus of their equation 9.
        entropy = actor.entropy()
        certain = self.device.type == "cpu"  # there no step is begun that is not live
        loss = -surrogate - config.entropy_coef * entropy
        norms = self._actor_optimizers[index].step(loss, None if certain else live)
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

    @torch.no_grad()
    def _probability_ratio(self, index: int) -> Tensor:
        """New over old probability of every sample's action under actor `index`, `[B]`."""
        observations, actions, log_probs = self._samples(index)
        return (self._log_probs(index, observations, actions) - log_probs).exp()

    def _log_probs(self, index: int, observations: Tensor, actions: Tensor) -> Tensor:
        """Log densities `[B]` of actions `[B, K]` under actor `index`; 0 for a robot that is not here, as when acting.

        So its ratio is 1, and its samples have no gradient.
        """
        actor, present = self.actors[index], self.spec.agents[index].present
        log_probs = actor.log_prob(actor(observations), actions)
        return log_probs if present is None else log_probs * observations[:, present]

    def _here(self, observations: Tensor) -> Optional[Tensor]:
        """1 for the robots that are here and 0 for the others, `[..., A]`; None where all always are."""
        columns = [agent.present for agent in self.spec.agents]
        if None in columns:
            return None
        return torch.stack([observations[..., robot, column] for robot, column in enumerate(columns)], dim=-1)

    def _samples(self, index: int) -> Tuple[Tensor, Tensor, Tensor]:
        """Observations `[B, D]`, actions `[B, K]` and log densities `[B]` of actor `index`: its agent's, or all."""
        buffer = self.buffer
        decisions = self.decisions(index, buffer.observations.flatten(0, 1), buffer.actions.flatten(0, 1))
        log_probs = buffer.log_probs if self.config.share_actor else buffer.log_probs[:, :, index]
        return (*decisions, log_probs.flatten())

    def decisions(self, index: int, observations: Tensor, actions: Tensor) -> Tuple[Tensor, Tensor]:
        """What actor `index` sees and does in `[B, A, D]` observations and `[B, A, K]` actions: its agent's, or all."""
        if self.config.share_actor:
            return observations.flatten(0, 1), actions.flatten(0, 1)
        agent = self.spec.agents[index]
        return observations[:, index, : agent.observation_size], actions[:, index, : agent.action_size]

    # The critic

    def _update_critic(self, outputs: Tensor, returns: Tensor, orders: Tensor) -> Metrics:
        """Regression of the critic on returns, in normalised units.

        Args:
            outputs: `[B]` what the critic said in the rollout, B = T * N * V.
            returns: `[B]`
            orders: `[E, B]` the order of the samples in each epoch.

        """
        config, states = self.config, self.buffer.states.flatten(0, 2)
        if config.value_norm_per == "rollout":
            self.value_norm.update(returns)
        steps = StepMeans()
        live = torch.ones((), dtype=torch.bool, device=self.device)
        for order in orders:
            for rows in _minibatches(order, config.critic_minibatches):
                seen, before, wanted = (tensor.index_select(0, rows) for tensor in (states, outputs, returns))
                if config.value_norm_per == "minibatch":
                    self.value_norm.update(wanted)
                loss = self._value_loss(self.critic(seen), before, self.value_norm.normalize(wanted))
                steps.add(live, self._critic_optimizer.step(config.value_loss_coef * loss), value_loss=loss)
        return steps.means("critic", "critic", self.world)

    def _value_loss(self, values: Tensor, old_values: Tensor, target: Tensor) -> Tensor:
        """The regression loss, with the change of the values clipped if `value_clip` is set."""
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

    # Both

    def _random_order(self, size: int) -> Tensor:
        """The numbers of `size` samples in a random order."""
        return torch.randperm(size, generator=self._shuffle, device=self.device)

    def _schedule(self, progress: float) -> None:
        """Set the learning rates for a training of which the share `progress` is done."""
        factor = 1.0
        if self.config.lr_schedule == "linear":
            factor = 1.0 - (1.0 - self.config.lr_final_fraction) * min(max(progress, 0.0), 1.0)
        for optimizer in self.optimizers.values():
            optimizer.set_lr_factor(factor)

    # Saving and loading

    def model_state(self) -> Dict[str, Tensor]:
        """See `Learner.model_state`."""
        return flatten(self._modules)

    def load_model_state(self, state: Dict[str, Tensor]) -> None:
        """See `Learner.load_model_state`."""
        check_actors(state, len(self.team.actors))
        unflatten(self._modules, state)

    def training_state(self) -> Dict[str, Tensor]:
        """See `Learner.training_state`."""
        generators = {f"generator.{name}": drawn.get_state() for name, drawn in self._generators.items()}
        return {**flatten(self.optimizers), **generators}

    def load_training_state(self, state: Dict[str, Tensor]) -> None:
        """See `Learner.load_training_state`."""
        unflatten(self.optimizers, state)
        for name, drawn in self._generators.items():
            drawn.set_state(state[f"generator.{name}"])


def _minibatches(order: Tensor, parts: int) -> Iterator[Tensor]:
    """Index tensors that split an order of samples into `parts` of equal size, a rest left out."""
    length = max(len(order) // parts, 1)
    return iter(torch.split(order[: length * min(parts, len(order))], length))
