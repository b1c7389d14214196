"""Obstacles in a pushing environment: which course each episode has, the team's next target, and contacts."""

from __future__ import annotations

from typing import Dict, NamedTuple

import torch
from torch import Tensor

from ..guidance.courses import solvable_courses
from ..guidance.planners import PLANNERS
from ..sim.simulator import Simulator
from ..task.config import CONTROL_DT, ObjectTask, TaskConfig
from ..task.geometry import rotate
from ..task.obstacles import Course, Layout, away, gaps, nearest
from ..task.state import SimState
from ..task.way import FAR, REACH, WayAhead

CONTACT = 0.012
"""Things nearer than this to an obstacle touch it, m."""
_EPISODE_STRIDE = 7919
"""Courses by which an environment goes on from episode to episode; a prime, so that it meets all of them."""
_LOOKED_AT = 3
"""So many obstacles, the nearest ones, are looked at for contact."""
_STILL, _RETREAT = 0.2, 3.0
"""An object stands still within so many m; if it has for `patience`, its target is behind it for so many seconds."""
_NEAR = 0.2
"""Distance from which the reward term counts, m."""
_SAVED = ("course", "passed", "touched", "travelled", "anchor", "waited", "back")


class Passage(NamedTuple):
    """How an episode passed the obstacles, `[N]`."""

    touched: Tensor
    """`[N, 1 + A]` int64: in so many decisions the object, and each robot, touched an obstacle at the end."""
    travelled: Tensor
    """`[N, 1]` how far the object went, m."""
    near: Tensor
    """`[N, A]` the reward term `obstacle` of this decision."""


class Obstacles:
    """The obstacles of N environments. All state is in tensors that are changed in place."""

    def __init__(self, config: TaskConfig, target_object: ObjectTask, simulator: Simulator, seed: int) -> None:
        """Draw and plan `config.obstacles.layouts` courses.

        Raises:
            UserError: the arena has no room for them.

        """
        device, count = simulator.device, simulator.num_envs
        drawn = solvable_courses(config, target_object, seed)
        layout = Layout(*(tensor.to(device) for tensor in drawn.layout))
        self.courses = Course(layout, drawn.goal.to(device), drawn.corner.to(device))
        self._planner = PLANNERS[config.obstacles.planner](config, self.courses, seed)
        self._simulator, self._observed = simulator, config.obstacles.observed
        self._outline = torch.tensor(target_object.vertices, device=device)
        self._robots = [(torch.tensor(robot.outline, device=device), robot.round) for robot in simulator.robots]
        self.course = torch.zeros(count, dtype=torch.int64, device=device)
        self.passed = torch.zeros_like(self.course)
        self.touched = torch.zeros(count, 1 + simulator.num_robots, dtype=torch.int64, device=device)
        self.travelled = torch.zeros(count, 1, device=device)
        self.anchor = torch.zeros(count, 2, device=device)
        self.waited, self.back = torch.zeros_like(self.course), torch.zeros_like(self.course)
        decision = CONTROL_DT * config.action_repeat
        self._patience, self._retreat = config.obstacles.patience / decision, round(_RETREAT / decision)

    @property
    def goal(self) -> Tensor:
        """`[N, 2]` final goal of the present episodes, m."""
        return self.courses.goal[self.course]

    @property
    def layout(self) -> Layout:
        """`[N, K]` of the present episodes."""
        return self.courses.layout.at(self.course)

    def start(self, rows: Tensor, ids: Tensor, episodes: Tensor, mask: Tensor) -> None:
        """Put up the obstacles of the environments `rows` `[n]` where `mask` `[n]` is true.

        `ids` and `episodes` `[n]`: number of each environment in a larger set, and of its episode.
        """
        course = torch.where(mask, (ids + _EPISODE_STRIDE * episodes) % len(self.courses.goal), self.course[rows])
        self.course.index_copy_(0, rows, course)
        for memory in (self.passed, self.touched, self.travelled, self.anchor, self.waited, self.back):
            kept = memory[rows]
            memory.index_copy_(0, rows, kept * (~mask).view(-1, *[1] * (kept.dim() - 1)))
        self._simulator.place_obstacles(rows, self.courses.layout.at(self.course[rows]), mask)

    def target(self, state: SimState, remember: bool = True) -> Tensor:
        """The team's next target in these states, `[N, 2]` m; if it is observed with the way ahead behind it.

        Without `remember` the planner forgets that it was asked.
        """
        place = state.object_pos[..., :2]
        target, passed = self._planner.target(self.course, place, self.passed)
        if remember:
            self.passed.copy_(passed)
        if self._patience:
            target = torch.where((self.back > 0).unsqueeze(-1), 2 * place - target, target)
        if not self._observed:
            return target
        far = self._planner.follow(self.course, target, FAR - self._planner.look_ahead)
        points = torch.cat((torch.stack((far, place), dim=1), state.robot_pos[..., :2]), dim=1)
        vectors = away(self.layout, points, REACH)
        narrow = torch.linalg.vector_norm(vectors[:, 0], dim=-1, keepdim=True)
        return WayAhead(far, vectors[:, 1], narrow, vectors[:, 2:]).appended(target)

    def goal_distance(self, state: SimState) -> Tensor:
        """Distance of the object in these states `[..., N]` to its final goal, m."""
        distance: Tensor = torch.linalg.vector_norm(state.object_pos[..., :2] - self.goal, dim=-1)
        return distance

    def follow(self, path: SimState, counts: Tensor, final: SimState) -> Passage:
        """Count what happened in a decision, and return what happened in the episode so far.

        Args:
            path: `[T + 1, N, ...]` the states before and after each control step.
            counts: `[T, N]` bool: the step belongs to the episode.
            final: `[N, ...]` the state after the last step that counts.

        """
        steps = path.object_pos[1:, :, :2] - path.object_pos[:-1, :, :2]
        self.travelled += (torch.linalg.vector_norm(steps, dim=-1) * counts).sum(0).unsqueeze(-1)
        if self._patience:
            self._wait(final.object_pos[:, :2])
        places = [(self._outline, 0.0, final.object_pos, final.object_rpy)]
        for number, (outline, radius) in enumerate(self._robots):
            places.append((outline, radius, final.robot_pos[:, number], final.robot_rpy[:, number]))
        layout, apart = self.layout, []
        for outline, radius, position, rpy in places:
            around = nearest(layout, position[:, :2], _LOOKED_AT)
            apart.append(gaps(around, position[:, None, :2] + rotate(outline, rpy[:, 2:])) - radius)
        gap = torch.stack(apart, dim=-1)
        self.touched += gap < CONTACT
        near = (1.0 - gap / _NEAR).clamp(0.0, 1.0)
        return Passage(self.touched.clone(), self.travelled.clone(), near[:, :1] + near[:, 1:])

    def _wait(self, place: Tensor) -> None:
        """Count how long the object has stood still, and how long it still goes back."""
        moved = torch.linalg.vector_norm(place - self.anchor, dim=-1) > _STILL
        self.anchor.copy_(torch.where(moved.unsqueeze(-1), place, self.anchor))
        self.waited.copy_((self.waited + 1) * ~moved * (self.back == 0))
        stuck = self.waited > self._patience
        self.back.copy_(torch.where(stuck, torch.full_like(self.back, self._retreat), (self.back - 1).clamp_min(0)))
        self.waited.mul_(~stuck)

    def state_dict(self) -> Dict[str, Tensor]:
        """What an episode needs to go on."""
        return {name: getattr(self, name).clone() for name in _SAVED}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned; where the obstacles stand is part of the simulation."""
        for name in _SAVED:
            getattr(self, name).copy_(state[name])
