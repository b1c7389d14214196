"""What a decision led to: its control steps, where episodes ended, and what the environment returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from ..learning.vec_env import TeamStep
from ..task import metrics, terminations
from ..task.config import ObjectTask, TaskConfig
from ..task.geometry import Measures
from ..task.state import SimState


class Sight(NamedTuple):
    """Where things are as robots know it: what they observe is made of this."""

    state: SimState
    """`[N, ...]` with x, y and yaw as measured; of the rest robots observe only what they sense of themselves."""
    target: Tensor
    """`[N, 2]` as `PushEnv.target`; if a planner leads the team, from where the object was measured."""

    def where(self, done: Tensor, now: Sight) -> Sight:
        """This, with the target of `now` where no episode is `done` `[N]`."""
        return self._replace(target=torch.where(done.unsqueeze(-1), self.target, now.target))


@dataclass
class Step(TeamStep):
    """What a decision led to, with the results of episodes; rewards are sums over its control steps."""

    episode: metrics.EpisodeResult
    """The results of the episodes that ended."""
    path: SimState
    """`[T, N, ...]` after each control step of the decision. Where an episode ended before the last of them, the rest
    is what the simulator did after the end."""
    final: SimState
    """`[N, ...]` before any reset: where an episode ended, else the present state."""
    final_target: Tensor
    """`[N, 2]` likewise."""
    final_sight: Optional[Sight] = None
    """Both as robots know them; None if that is exactly."""


class Decision(NamedTuple):
    """The `T` control steps of a decision in `N` environments, and the ends of episodes in it."""

    whole_path: SimState
    """`[T + 1, N, ...]` the states before and after each control step."""
    now: Measures
    """`[T, N]` after each control step."""
    reached: Measures
    """`[T, N]` as `now`, with distance and angle to the goal if that is not the target."""
    previous: Measures
    """`[T, N]` before it."""
    ending: terminations.Ending
    """`[T, N]`"""
    counts: Tensor
    """`[T, N]` bool: the step belongs to the episode."""
    last: Tuple[Tensor, Tensor]
    """Index of the last step that counts, of each environment."""
    done: Tensor
    """`[N]` bool: the episode ended."""
    final: SimState
    """`[N, ...]` the state after the last step that counts."""

    def truncated(self, never: bool) -> Tensor:
        """Where the time limit ended the episode, `[N]` bool; nowhere with `never`."""
        at_limit = self.done & ~(self.ending.finished | (self.ending.exceptional > 0))[self.last]
        return torch.zeros_like(at_limit) if never else at_limit


def judged(
    config: TaskConfig,
    target_object: ObjectTask,
    heights: Tensor,
    whole_path: SimState,
    measures: Measures,
    reached: Optional[Measures],
    ages: Tensor,
    here: Optional[Tensor],
) -> Decision:
    """The decision of a path `[T + 1, N, ...]` and its measures.

    Args:
        config: the task.
        target_object: what is pushed.
        heights: of the robots at a start, m.
        whole_path: the states before and after each control step.
        measures: of these states.
        reached: `[T, N]` see `Decision.reached`; None for `now`.
        ages: `[T, N]` control steps of the episodes.
        here: `[N, A]` bool: the robots that take part; None for all.

    """
    path = whole_path.at(slice(1, None))
    now, previous = measures.at(slice(1, None)), measures.at(slice(None, -1))
    reached = now if reached is None else reached
    ending = terminations.evaluate(config, target_object, heights, path, reached, ages, ~path.healthy, here)
    # A control step counts unless the episode ended on an earlier one of the same decision.
    counts = (ending.done.cumsum(0) - ending.done.to(torch.int64)) == 0
    last = (counts.sum(0) - 1, torch.arange(counts.shape[1], device=counts.device))
    return Decision(whole_path, now, reached, previous, ending, counts, last, ending.done.any(0), path.at(last))


def seen_after_reset(decision: Decision, fresh: Measures, old_distance: Tensor) -> Tuple[Measures, Measures]:
    """The measures after and before upstream's step of a reset: those of the new episode (docs/task.md 9, quirk a).

    Args:
        decision: the decision, of one control step.
        fresh: `[N]` measures of the new episode.
        old_distance: `[N]` distance of the old episode's object to the new target, m.

    """

    def where_done(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(decision.done.view(-1, *[1] * (new.dim() - 1)), new, old[0]).unsqueeze(0)

    seen = Measures(*(where_done(new, old) for new, old in zip(fresh, decision.now)))
    before = where_done(old_distance, decision.previous.target_distance)
    return seen, decision.previous._replace(target_distance=before)
