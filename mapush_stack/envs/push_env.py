"""The pushing environment: the task over a simulator, in batches, with automatic resets."""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from ..sim.base import Simulator
from ..task import actions, metrics, observations, rewards, terminations
from ..task.config import ObjectTask, TaskConfig
from ..task.geometry import Measures, measure
from ..task.global_state import global_state
from ..task.resets import draw_ages, draw_start
from ..task.state import SimState
from .statistics import EnvStatistics


class Mirror(NamedTuple):
    """How observations and actions change when the world is reflected about a robot's heading."""

    observation: Tuple[float, ...]
    """Sign of each of the D numbers of an observation."""
    action: Tuple[float, ...]
    """Sign of each of the 3 numbers of an action."""


class Step(NamedTuple):
    """What a decision led to. N environments, A robots, D observed numbers, V values of S numbers each."""

    observations: Tensor
    """`[N, A, D]` after the decision, of the new episode where one ended."""
    state: Tensor
    """`[N, V, S]` likewise, for the critic."""
    rewards: Tensor
    """`[N, A]` summed over the control steps of the decision, up to the end of the episode."""
    terminated: Tensor
    """`[N]` bool: ended by success or by a rule; nothing follows."""
    truncated: Tensor
    """`[N]` bool: ended by the time limit; what would have followed is worth the value of `final_state`."""
    final_state: Tensor
    """`[N, V, S]` before any reset: the true last state of an episode that ended, else the same as `state`."""
    episode: metrics.EpisodeResult
    """What the episodes that ended amount to."""


class PushEnv:
    """`simulator.num_envs` pushing tasks side by side.

    A decision is held for `config.action_repeat` control steps. An episode that ends on one of them ends there:
    what the simulator does in the rest of the decision is not counted, and the environment starts its next episode
    at the next decision. Starts depend on (seed, environment, episode) alone.
    """

    num_agents: int
    """Robots in the team, A."""
    observation_size: int
    """Numbers in a robot's observation, D."""
    state_shape: Tuple[int, int]
    """Values and numbers for each, (V, S)."""
    action_size: int = actions.ACTION_SIZE
    mirror: Optional[Mirror]
    """None where the observation layout has no linear reflection."""

    def __init__(self, config: TaskConfig, target_object: ObjectTask, simulator: Simulator, seed: int) -> None:
        """Make the environment; call `reset` before `step`."""
        self.object, self.simulator, self.seed = target_object, simulator, seed
        self.num_envs, self.num_agents, self.device = simulator.num_envs, target_object.num_robots, simulator.device
        signs = observations.mirror_signs(config, target_object)
        self.mirror = None if signs is None else Mirror(signs, actions.ACTION_MIRROR)
        self.statistics = EnvStatistics(config.episode_seconds, self.device)
        self._env_ids = torch.arange(self.num_envs, device=self.device)
        self._vertices = torch.tensor(target_object.vertices, dtype=torch.float32, device=self.device)
        self.configure(config)
        zeros = torch.zeros_like(self._env_ids)
        self._episode, self._age, self._collaboration = zeros, zeros, zeros
        self._return = torch.zeros(self.num_envs, device=self.device)
        self._target = torch.zeros(self.num_envs, 2, device=self.device)
        self._valid, self._counted = zeros.bool(), zeros.bool()
        first = draw_start(config, target_object, seed, self._env_ids[:1], zeros[:1])
        self.observation_size = self._observe(first.state, first.target).shape[-1]
        self.state_shape = tuple(self._global_state(first.state, first.target).shape[-2:])

    def configure(self, config: TaskConfig) -> None:
        """Go on with other rewards or limits; observations and action repeat must stay as they are."""
        self.config = config
        self._command_limit = torch.tensor(config.command_limit, device=self.device)
        self._clock = torch.arange(1, config.action_repeat + 1, device=self.device).unsqueeze(-1)

    def reset(self, random_ages: bool = False) -> Tuple[Tensor, Tensor]:
        """Start episode 0 everywhere; returns observations `[N, A, D]` and state `[N, V, S]`.

        With `random_ages` the first episodes begin at random ages, so that their time limits do not fall together;
        they stay out of all statistics.
        """
        self._episode = torch.zeros_like(self._env_ids)
        self._start(self._env_ids)
        self._state = self.simulator.state()
        if random_ages:
            self._age = draw_ages(self.config, self.seed, self._env_ids)
            self._counted = torch.zeros_like(self._counted)
        return self.observe()

    def observe(self) -> Tuple[Tensor, Tensor]:
        """Observations `[N, A, D]` and state `[N, V, S]` as they stand."""
        return self._observe(self._state, self._target), self._global_state(self._state, self._target)

    def step(self, action: Tensor) -> Step:
        """Hold `action` `[N, A, 3]` for one decision."""
        commands = actions.command(self.config, self._command_limit, action)
        path = self.simulator.step(commands, self.config.action_repeat)
        whole_path = SimState(*(torch.cat((b.unsqueeze(0), p)) for b, p in zip(self._state, path)))
        measures = self._measure(whole_path, self._target)
        now, previous = measures.at(slice(1, None)), measures.at(slice(None, -1))
        ages = self._age + self._clock
        ending = terminations.evaluate(self.config, self.object, path, now, ages, ~path.healthy)
        # A control step counts unless the episode ended on an earlier one of the same decision.
        counts = (ending.done.cumsum(0) - ending.done.to(torch.int64)) == 0
        steps = counts.sum(0)
        done, last = ending.done.any(0), (steps - 1, self._env_ids)
        final, final_target = path.at(last), self._target
        self._age = self._age + steps
        self._collaboration = self._collaboration + (metrics.collaborating(self.config, now) & counts).sum(0)
        ended = metrics.EpisodeResult(
            done=done,
            success=ending.finished[last],
            steps=self._age,
            collaboration_steps=self._collaboration,
            reward=self._return,
            cause=ending.cause[last],
            valid=self._valid,
            counted=self._counted,
        )
        truncated = done & ~(ending.finished | (ending.exceptional > 0))[last]
        if self.config.quirks.terminal_time_limit:
            truncated = torch.zeros_like(truncated)
        self._start_again(done)
        self._state = self.simulator.state()
        if self.config.quirks.reset_step_reward:
            now, previous = self._as_seen_after_reset(done, final, now, previous)
        transition = rewards.Transition(self.config, now, previous, ending.finished, ending.exceptional)
        reward, ended = self._reward(transition, counts, ended)
        yaw = self._state.robot_rpy[..., 2]
        if self.config.quirks.stale_yaw:
            yaw = torch.where(done.unsqueeze(-1), final.robot_rpy[..., 2], yaw)
        both = SimState.stack((self._state, final)), torch.stack((self._target, final_target))
        state, final_state = self._global_state(*both).unbind(0)
        return Step(
            observations=self._observe(self._state, self._target, yaw),
            state=state,
            rewards=reward,
            terminated=done & ~truncated,
            truncated=truncated,
            final_state=final_state,
            episode=ended,
        )

    def state_dict(self) -> Dict[str, Tensor]:
        """Everything that the next step depends on."""
        own = {name: getattr(self, f"_{name}") for name in self._SAVED}
        return {**own, **{f"simulator.{name}": value for name, value in self.simulator.state_dict().items()}}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned; `observe` then gives the observations to go on with."""
        for name in self._SAVED:
            setattr(self, f"_{name}", state[name].to(self.device))
        prefix = "simulator."
        self.simulator.load_state_dict(
            {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        )
        self._state = self.simulator.state()

    def close(self) -> None:
        """Release the simulator; may be called twice."""
        self.simulator.close()

    _SAVED = ("episode", "age", "collaboration", "return", "target", "valid", "counted")

    def _observe(self, state: SimState, target: Tensor, yaw: Optional[Tensor] = None) -> Tensor:
        return observations.observe(self.config, self.object, state, target, yaw)

    def _global_state(self, state: SimState, target: Tensor) -> Tensor:
        return global_state(self.config, self.object, state, target)

    def _measure(self, state: SimState, target: Tensor) -> Measures:
        return measure(self.config, self._vertices, state, target)

    def _start_again(self, done: Tensor) -> None:
        ids = done.nonzero().squeeze(-1)
        if len(ids):
            self._episode = self._episode + done
            self._start(ids)

    def _start(self, ids: Tensor) -> None:
        start = draw_start(self.config, self.object, self.seed, ids, self._episode[ids])
        self.simulator.reset(ids, start.state)
        self._target = self._target.index_copy(0, ids, start.target)
        self._age = self._age.index_fill(0, ids, 0)
        self._collaboration = self._collaboration.index_fill(0, ids, 0)
        self._valid = self._valid.index_copy(0, ids, metrics.valid_start(self.object, start.state.robot_pos))
        self._counted = self._counted.index_fill(0, ids, True)

    def _as_seen_after_reset(
        self, done: Tensor, final: SimState, now: Measures, previous: Measures
    ) -> Tuple[Measures, Measures]:
        """Upstream's reward on the step of a reset: distances of the new episode (task_spec section 9, quirk a)."""
        fresh = self._measure(self._state, self._target)
        old_object = self._measure(final, self._target).target_distance

        def where_done(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(done.view(-1, *[1] * (new.dim() - 1)), new, old[0]).unsqueeze(0)

        seen = Measures(*(where_done(new, old) for new, old in zip(fresh, now)))
        return seen, previous._replace(target_distance=where_done(old_object, previous.target_distance))

    def _reward(
        self, transition: rewards.Transition, counts: Tensor, ended: metrics.EpisodeResult
    ) -> Tuple[Tensor, metrics.EpisodeResult]:
        """The decision's reward `[N, A]`, and the episodes' results with it; both go into the statistics."""
        terms = (rewards.weighted_terms(transition) * counts.unsqueeze(-1)).sum(1)
        total = terms.sum(0)
        ended = ended._replace(reward=ended.reward + total.mean(-1))
        self._return = torch.where(ended.done, torch.zeros_like(ended.reward), ended.reward)
        self.statistics.add(ended, rewards.active_terms(self.config), terms.sum((1, 2)), counts.sum())
        return total, ended
