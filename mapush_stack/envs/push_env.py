"""The pushing environment: the task over a simulator, in batches, with automatic resets."""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..device.replay import Replay
from ..device.rows import overwrite
from ..device.state import flatten, unflatten
from ..errors import UserError
from ..learning.vec_env import TeamEnv, TeamStep, checked
from ..sim.simulator import Simulator
from ..task import actions, metrics, observations, rewards
from ..task.config import ObjectTask, TaskConfig
from ..task.geometry import Measures, measure
from ..task.global_state import global_state
from ..task.obstacles import Course
from ..task.resets import draw_start
from ..task.state import SimState
from .decision import Decision, Sight, Step, judged, seen_after_reset
from .episodes import Episodes
from .goals import Goals
from .link import Link
from .obstacles import Obstacles, Passage
from .spec import team_spec, with_senses
from .statistics import EnvStatistics


class PushEnv(TeamEnv):
    """`simulator.num_envs` pushing tasks side by side.

    A decision is held for `config.action_repeat` control steps. An episode that ends on one of them ends there:
    what the simulator does in the rest of the decision is not counted, and the environment starts its next episode
    at the next decision. Starts depend on (seed, environment, episode) alone.

    State is kept in tensors that are changed in place, so that on a GPU the bookkeeping of a decision is one CUDA graph
    (`Replay`). There the next step overwrites what the last one returned.
    """

    def __init__(
        self,
        config: TaskConfig,
        target_object: ObjectTask,
        simulator: Simulator,
        seed: int,
        first_env: int = 0,
        auto_reset: bool = True,
        mass: Optional[Tensor] = None,
        lasting: Optional[Course] = None,
    ) -> None:
        """Make the environment; call `reset` before `step`.

        With `first_env` the environments are numbers `first_env` and following of a larger set. Without `auto_reset`
        an episode that ended is observed where it ended, and what follows until `reset` has no meaning. `mass` `[N]` is
        that of each environment's object, kg, for `task.load_per_robot`. `lasting`: see `Obstacles`.
        """
        self.object, self.simulator = target_object, simulator
        self.num_envs, self.device, robots = simulator.num_envs, simulator.device, simulator.robots
        self.spec = team_spec(config, target_object, robots)
        self._columns = actions.command_columns(robots, self.device)
        self.statistics = EnvStatistics(self.device)
        self._rows = torch.arange(self.num_envs, device=self.device)
        self.auto_reset = auto_reset
        """Whether an episode that ends is followed by the next one."""
        self.absent: Sequence[int] = ()
        """Robots that are taken away when an episode starts, see `resets.taken_away`."""
        outlines = simulator.outlines
        if outlines is None:
            outlines = torch.tensor(target_object.vertices, dtype=torch.float32, device=self.device)
        self.vertices = outlines
        """The outline of the object `[V, 2]`, or of each environment's `[N, V, 2]`, m."""
        self._outline = observations.outline_of(config, self.vertices)
        self.episodes = Episodes(target_object, simulator, self.vertices, seed, first_env, mass)
        """The present episodes."""
        self._started = self._closed = False
        around = config.obstacles.active
        self.obstacles = Obstacles(config, target_object, simulator, seed, lasting) if around else None
        """What stands in the way; None for nothing."""
        self.goals = Goals(config, target_object, self.num_envs, self.device) if config.goals_change else None
        """Goals that come one after the other, or move; None for one that stays."""
        self.config = config
        self.link = Link(config, self.episodes, self.obstacles, simulator)
        """What robots know, and when commands reach them."""
        self.configure(config)
        zeros = torch.zeros_like(self._rows)
        start = draw_start(config, target_object, seed, self._rows, zeros, self.episodes.heights)
        self._state, self._target = with_senses(start.state, robots), torch.zeros_like(start.target)

    def configure(self, config: TaskConfig) -> None:
        """Go on with other rewards, limits or sensing; observations and action repeat must stay as they are."""
        self._check_open()
        sensed_before, self.config = self.config.sensing, config
        if config.sensing != sensed_before:
            self.link = Link(config, self.episodes, self.obstacles, self.simulator)
            self.link.start(self._rows, torch.ones_like(self.episodes.valid), self._state)
        self._command_limit = torch.tensor(config.command_limit, device=self.device)
        self._clock = torch.arange(1, config.action_repeat + 1, device=self.device).unsqueeze(-1)
        posed, around = config.goal == "pose", config.obstacles.active
        self.statistics.configure(rewards.active_terms(config), config.episode_seconds, posed, around)
        # A CUDA graph cannot hold the starts of episodes if their number has to be known.
        capturable = self.simulator.masked_reset
        self._conclude = Replay(self._conclude_decision, self.device) if capturable else self._conclude_decision

    def seed_with(self, seed: int) -> None:
        """Draw the coming episodes from another seed; layouts of obstacles stay, and what a simulator draws once."""
        if seed != self.episodes.seed:
            self.episodes.seed = seed
            self.configure(self.config)  # a CUDA graph holds the seed

    def reset(self, random_ages: bool = False, episode: int = 0) -> Tuple[Tensor, Tensor]:
        """See `TeamEnv.reset`; `episode` is the episode's number, and no statistics count those of random ages."""
        self._check_open()
        self._started = True
        self.episodes.number.fill_(episode)
        self._start(self._rows, torch.ones_like(self.episodes.valid))
        if random_ages:
            self.episodes.grow_old(self.config)
        self._aim()
        return self.observe()

    def observe(self) -> Tuple[Tensor, Tensor]:
        """See `TeamEnv.observe`."""
        self._check_started()
        here = self.episodes.here
        return self._observe(*self.sight, here), self._global_state(self._state, self._target, here)

    def step(self, action: Tensor) -> Step:
        """Hold `action` `[N, A, K]`, float32 on the environment's device, for one decision.

        On a GPU nobody waits to see whether the numbers are finite: there NaN ends the episode of its environment, with
        the cause `value_error`.

        Raises:
            UserError: there has been no reset, the environment is closed, or `action` is something else, or not finite.

        """
        self._check_started()
        shape = (self.num_envs, self.spec.num_agents, self.spec.action_size)
        return self._do(checked("action", "[num_envs, num_robots, action_size]", action, shape, self._target.device))

    def _do(self, action: Tensor) -> Step:
        """Hold a checked action for one decision."""
        commands = actions.command(self.config, self._command_limit, action.nan_to_num(), self._columns)
        if self._some_away:
            commands = commands * self.episodes.here.unsqueeze(-1)
        path = self.link.driver.step(commands, self.config.action_repeat)
        healthy = path.healthy & action.isfinite().flatten(1).all(-1)
        return self._conclude(self.link.driver.work_path, *path._replace(healthy=healthy))

    def final_observations(self, step: TeamStep) -> Tensor:
        """See `TeamEnv.final_observations`."""
        assert isinstance(step, Step)
        return self._observe(*(step.final_sight or (step.final, step.final_target)), step.episode.here)

    def _conclude_decision(self, work: Optional[Tensor], *states: Tensor) -> Step:
        """The outcome of a decision with these states after its control steps, and this work; starts new episodes."""
        path = SimState(*states)
        final_target = self._target.clone()
        decision = self._judge(path)
        done, final = decision.done, decision.final
        last_sight = self.link.follow(path, self.episodes.age + self._clock, decision, final_target)
        passage = None
        if self.obstacles is not None:
            passage = self.obstacles.follow(decision.whole_path, decision.counts, final)
        if self.goals is not None:
            self.goals.follow(final)
        ended = self.episodes.count(self.config, decision, work, passage, self._some_away)
        if self.auto_reset:
            self._start_again(done)
        else:
            for memory, now_final in zip(self._state, final):
                memory.copy_(now_final)
        self._aim()
        final_target = torch.where(done.unsqueeze(-1), final_target, self._target)
        reward, ended = self._reward(self._transition(decision, path, passage), decision.counts, ended)
        sight = self.link.sight(self._state, self._target)
        final_sight = None if last_sight is None else last_sight.where(done, sight)
        yaw = sight.state.robot_rpy[..., 2]
        if self.config.quirks.stale_yaw:
            yaw = torch.where(done.unsqueeze(-1), (last_sight or (final,))[0].robot_rpy[..., 2], yaw)
        both = SimState.stack((self._state, final)), torch.stack((self._target, final_target))
        state, final_state = self._global_state(*both, torch.stack((self.episodes.here, ended.here))).unbind(0)
        truncated = decision.truncated(never=self.config.quirks.terminal_time_limit)
        return Step(
            observations=self._observe(*sight, self.episodes.here, yaw),
            state=state,
            rewards=reward,
            terminated=done & ~truncated,
            truncated=truncated,
            final_state=final_state,
            episode=ended,
            path=path,
            final=final,
            final_target=final_target,
            final_sight=final_sight,
        )

    def _judge(self, path: SimState) -> Decision:
        """The decision that led to this path: how episodes ended."""
        whole_path = SimState(*(torch.cat((b.unsqueeze(0), p)) for b, p in zip(self._state, path)))
        measures = self._measure(whole_path, self._target)
        now, reached = measures.at(slice(1, None)), None
        if self.obstacles is not None:
            reached = self.obstacles.reached(path, now)
        elif self.goals is not None:
            reached = self.goals.reached(now)
        ages, heights = self.episodes.age + self._clock, self.episodes.heights
        here = self.episodes.here if self._some_away else None
        return judged(self.config, self.object, heights, whole_path, measures, reached, ages, here)

    def _transition(self, decision: Decision, path: SimState, passage: Optional[Passage]) -> rewards.Transition:
        """The decision's control steps as the reward terms see them, after new episodes have started."""
        now, previous = decision.now, decision.previous
        gap = None if passage is None else passage.gap.expand(len(path.healthy), *passage.gap.shape)
        if self.config.quirks.reset_step_reward:
            fresh = self._measure(self._state, self._target)
            old_object = self._measure(decision.final, self._target).target_distance
            now, previous = seen_after_reset(decision, fresh, old_object)
        before = decision.whole_path.at(slice(None, -1))
        ending = decision.ending
        return rewards.Transition(self.config, now, previous, ending.finished, ending.exceptional, path, before, gap)

    @property
    def target(self) -> Tensor:
        """`[N, 2]` x and y (m), of a pose yaw (rad) too, in the arena frame; overwritten when an episode starts."""
        return self._target

    @property
    def goal(self) -> Tensor:
        """`[N, 2]` where the object has to be in the end, as `target`, which may be a point on the way."""
        return self._target if self.obstacles is None else self.obstacles.goal

    @property
    def sight(self) -> Sight:
        """What robots know now; the next step overwrites it."""
        self._check_started()
        return self.link.sight(self._state, self._target)

    @property
    def sim_state(self) -> SimState:
        """The simulation's present state `[N]`; the next step overwrites it."""
        return self._state

    @property
    def next_episode(self) -> int:
        """Number of the first episode that has begun in no environment yet."""
        return int(self.episodes.number.max()) + 1 if self._started else 0

    @property
    def joint_positions(self) -> Optional[Tensor]:
        """See `Simulator.joint_positions`."""
        return self.simulator.joint_positions()

    @property
    def joint_path(self) -> Optional[Tensor]:
        """See `Simulator.joint_path`: the last decision's control steps, as `Step.path`."""
        return self.link.driver.joint_path

    def state_dict(self) -> Dict[str, Tensor]:
        """See `TeamEnv.state_dict`."""
        own = {name: tensor.clone() for name, tensor in self._saved.items()}
        return {**own, **flatten({"simulator": self.simulator, **self._parts})}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """See `TeamEnv.load_state_dict`."""
        self._check_open()
        self._started = True
        for name, tensor in self._saved.items():
            tensor.copy_(state[name])
        unflatten({"simulator": self.simulator, **self._parts}, state)
        self._look()

    def close(self) -> None:
        """Release the simulator, if it has anything to release; may be called twice."""
        if not self._closed:
            self._closed = True
            self.simulator.close()

    def _check_open(self) -> None:
        if self._closed:
            raise UserError("the environment is closed; make another one")

    def _check_started(self) -> None:
        self._check_open()
        if not self._started:
            raise UserError("no episode has begun; call reset first")

    @property
    def _saved(self) -> Dict[str, Tensor]:
        return {"target": self._target, **self.episodes.tensors(self._some_away)}

    @property
    def _parts(self) -> Dict[str, Any]:
        parts = {"obstacles": self.obstacles, "goals": self.goals}
        return {**{name: part for name, part in parts.items() if part is not None}, **self.link.parts()}

    @property
    def _some_away(self) -> bool:
        """Whether there may be robots that are not here."""
        return bool(self.absent) or self.config.team_size is not None

    def _observe(self, state: SimState, target: Tensor, here: Tensor, yaw: Optional[Tensor] = None) -> Tensor:
        return observations.observe(self.config, self.object, state, target, yaw, self._outline, here.to(target.dtype))

    def _global_state(self, state: SimState, target: Tensor, here: Tensor) -> Tensor:
        return global_state(self.config, self.object, state, target, self._outline, here.to(target.dtype))

    def _measure(self, state: SimState, target: Tensor) -> Measures:
        here = self.episodes.here if self._some_away else None
        return measure(self.config, self.vertices, state, target, self.object.symmetry_fold, here)

    def _aim(self) -> None:
        """Give the team its next target, where there are obstacles or several goals."""
        if self.obstacles is not None:
            self._target.copy_(self.obstacles.target(self._state))
        elif self.goals is not None:
            self._target.copy_(self.goals.target())

    def _look(self) -> None:
        """Copy the simulator's present state."""
        for memory, now in zip(self._state, self.simulator.state()):
            memory.copy_(now)

    def _start_again(self, done: Tensor) -> None:
        self.episodes.number += done
        if self.simulator.masked_reset:
            self._start(self._rows, done)
            return
        rows = done.nonzero().squeeze(-1)
        if len(rows):
            self._start(rows, torch.ones_like(rows, dtype=torch.bool))
        else:
            self._look()

    def _start(self, rows: Tensor, mask: Tensor) -> None:
        """Start the present episode of environments `rows` `[n]` where `mask` `[n]` is true."""
        begun = self.episodes.begin(self.config, rows, mask, self.absent if self._some_away else None)
        overwrite(self._target, rows, mask, begun.target)
        if self.obstacles is not None:
            self.obstacles.start(rows, begun.ids, begun.numbers, mask)
        if self.goals is not None:
            self.goals.start(rows, begun, mask)
        self.simulator.reset(rows, begun.state, mask)
        self._look()
        self.link.start(rows, mask, self._state)

    def _reward(
        self, transition: rewards.Transition, counts: Tensor, ended: metrics.EpisodeResult
    ) -> Tuple[Tensor, metrics.EpisodeResult]:
        """The decision's reward `[N, A]`, and the episodes' results with it; updates the statistics."""
        terms = (rewards.weighted_terms(transition) * counts.unsqueeze(-1)).sum(1)
        if self._some_away:
            # Robots that are not here earn the mean of the others, so that the team's reward is the mean of those.
            of_others = (terms * ended.here).sum(-1, keepdim=True) / ended.here.sum(-1, keepdim=True).clamp_min(1)
            terms = torch.where(ended.here, terms, of_others)
        total = terms.sum(0)
        ended = ended._replace(reward=ended.reward + total.mean(-1))
        self.episodes.earned.copy_(torch.where(ended.done, torch.zeros_like(ended.reward), ended.reward))
        self.statistics.add(ended, terms.sum((1, 2)), counts.sum())
        return total, ended
