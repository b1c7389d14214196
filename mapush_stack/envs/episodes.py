"""The episodes of a pushing environment: how they begin, and what they have come to so far."""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from ..device.rows import overwrite
from ..sim.simulator import Simulator
from ..task import metrics
from ..task.config import ObjectTask, TaskConfig
from ..task.resets import draw_ages, draw_start, draw_team, taken_away
from ..task.state import SimState
from .decision import Decision
from .obstacles import Passage


class Beginning(NamedTuple):
    """Where episodes `[n]` begin."""

    seed: int
    """What is drawn for them depends on it, on their numbers and on those of their environments alone."""
    ids: Tensor
    """`[n]` number of each environment in a larger set."""
    numbers: Tensor
    """`[n]` number of the episode."""
    state: SimState
    """`[n, ...]`"""
    target: Tensor
    """`[n, 2]` as `resets.Start.target`."""


class Episodes:
    """The present episodes of N environments, in tensors that are changed in place."""

    def __init__(
        self,
        target_object: ObjectTask,
        simulator: Simulator,
        vertices: Tensor,
        seed: int,
        first_env: int,
        mass: Optional[Tensor],
    ) -> None:
        """Arguments as in `PushEnv`; `vertices` `[V, 2]` or `[N, V, 2]` are the objects' outlines, m."""
        self._object, self.seed, self._vertices = target_object, seed, vertices
        self._mass = None if mass is None else mass.to(simulator.device)
        count, device, robots = simulator.num_envs, simulator.device, simulator.robots
        self._radius = max(robot.radius for robot in robots)
        self.heights = torch.tensor([robot.start_height for robot in robots], device=device)
        """`[A]` of the robots at a start, m."""
        zeros = torch.zeros(count, dtype=torch.int64, device=device)
        self.ids = torch.arange(first_env, first_env + count, device=device)
        """`[N]` number of each environment in a larger set."""
        self.number, self.age, self.collaboration = zeros, zeros.clone(), zeros.clone()
        self.earned = torch.zeros(count, device=device)
        """`[N]` sum of the rewards, mean of the team."""
        self.valid, self.counted = zeros.bool(), zeros.bool()
        self.here = torch.ones(count, len(robots), dtype=torch.bool, device=device)
        """`[N, A]` bool: the robots that take part."""
        self.work = torch.zeros(count, len(robots) if simulator.measures_work else 0, device=device)
        """`[N, A]` J; `[N, 0]` where it is not measured."""

    def tensors(self, some_away: bool) -> Dict[str, Tensor]:
        """What is stored of them by name; who is here only if there may be robots that are not."""
        found = {
            "episode": self.number,
            "age": self.age,
            "collaboration": self.collaboration,
            "return": self.earned,
            "valid": self.valid,
            "counted": self.counted,
        }
        if self.work.shape[-1]:
            found["work"] = self.work
        if some_away:
            found["here"] = self.here
        return found

    def begin(self, config: TaskConfig, rows: Tensor, mask: Tensor, absent: Optional[Sequence[int]]) -> Beginning:
        """Begin the present episode of environments `rows` `[n]` where `mask` `[n]` is true.

        The robots `absent` are taken away; None if all robots are always here.
        """
        ids, numbers = self.ids[rows], self.number[rows]
        vertices = self._vertices[rows] if self._vertices.dim() == 3 else self._vertices
        start = draw_start(config, self._object, self.seed, ids, numbers, self.heights, vertices, self._radius)
        mass = None if self._mass is None else self._mass[rows]
        here, placed = draw_team(config, self.seed, ids, numbers, len(self.heights), mass), start.state
        # The same resets are valid with `absent` robots as without, so that both can be compared.
        valid = metrics.valid_start(self._object, placed.robot_pos, here)
        if absent is not None:
            for robot in absent:
                here[:, robot] = False
            placed = taken_away(config, placed, here)
        overwrite(self.here, rows, mask, here)
        overwrite(self.age, rows, mask, 0)
        overwrite(self.collaboration, rows, mask, 0)
        overwrite(self.valid, rows, mask, valid)
        overwrite(self.counted, rows, mask, True)
        overwrite(self.work, rows, mask, 0)
        return Beginning(self.seed, ids, numbers, placed, start.target)

    def grow_old(self, config: TaskConfig) -> None:
        """Give all episodes random ages, and let no statistics count them."""
        self.age.copy_(draw_ages(config, self.seed, self.ids))
        self.counted.zero_()

    def count(
        self,
        config: TaskConfig,
        decision: Decision,
        work: Optional[Tensor],
        passage: Optional[Passage],
        some_away: bool,
    ) -> metrics.EpisodeResult:
        """Count a decision; returns the results of the episodes that ended, without its reward."""
        nothing = self.earned.new_zeros(len(self.earned), 0)
        self.age += decision.counts.sum(0)
        near = metrics.collaborating(config, decision.now, self.here if some_away else None)
        self.collaboration += (near & decision.counts).sum(0)
        if work is not None:
            self.work += (work * decision.counts.unsqueeze(-1)).sum(0)
        return metrics.EpisodeResult(
            done=decision.done,
            success=decision.ending.finished[decision.last],
            steps=self.age.clone(),
            collaboration_steps=self.collaboration.clone(),
            reward=self.earned.clone(),
            cause=decision.ending.cause[decision.last],
            here=self.here.clone(),
            work=self.work.clone(),
            angle_error=decision.reached.angle_error[decision.last],
            valid=self.valid.clone(),
            counted=self.counted.clone(),
            touched=nothing if passage is None else passage.touched,
            travelled=nothing if passage is None else passage.travelled,
        )
