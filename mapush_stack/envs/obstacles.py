"""Obstacles in a pushing environment: which course each episode has, the team's next target, and contacts."""

from __future__ import annotations

import math
from typing import Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from ..device.rows import overwrite
from ..guidance.courses import passable, solvable_courses
from ..guidance.gaps import Fit, narrowest_gap
from ..guidance.planners import PLANNERS, Planner
from ..sim.simulator import Simulator
from ..task.config import CONTROL_DT, ObjectTask, TaskConfig
from ..task.geometry import Measures, angle_between, rotate
from ..task.obstacles import Course, Layout, away, gaps, nearest
from ..task.outline import repeated
from ..task.random import STREAM_OBSTACLES, uniform
from ..task.state import SimState
from ..task.way import FAR, REACH, WayAhead
from .upper_network import UpperNetwork

CONTACT = 0.012
"""Things nearer than this to an obstacle touch it, m."""
_EPISODE_STRIDE = 7919
"""Courses by which an environment goes on from episode to episode; a prime, so that it meets all of them."""
_LOOKED_AT = 3
"""So many obstacles, the nearest ones, are looked at for contact."""
_STILL, _RETREAT = 0.2, 3.0
"""An object stands still within so many m; if it has for `patience`, its target is behind it for so many seconds."""
_AHEAD = 6
"""So many obstacles, those nearest to the target, are looked at for a narrow gap."""
_PIECES = 3
"""A gap is looked for at so many points between the target and `FAR`."""
_YAWS = -1
"""The yaw of a course's goal is drawn as this attempt at the course."""
_SAVED = ("course", "passed", "touched", "travelled", "anchor", "waited", "back")


def make_planner(config: TaskConfig, course: Course, seed: int) -> Planner:
    """The planner of courses that `config.obstacles.planner` names.

    Raises:
        UserError: it misses a package or its file.

    """
    kind = UpperNetwork if config.obstacles.planner == "network" else PLANNERS[config.obstacles.planner]
    return kind(config, course, seed)


class Passage(NamedTuple):
    """How an episode passed the obstacles, `[N]`."""

    touched: Tensor
    """`[N, 1 + A]` int64: in so many decisions the object, and each robot, touched an obstacle at the end."""
    travelled: Tensor
    """`[N, 1]` how far the object went, m."""
    gap: Tensor
    """`[N, 1 + A]` distance of the object, and of each robot, to the nearest obstacle at the end, m."""


class Obstacles:
    """The obstacles of N environments. All state is in tensors that are changed in place."""

    def __init__(
        self,
        config: TaskConfig,
        target_object: ObjectTask,
        simulator: Simulator,
        seed: int,
        lasting: Optional[Course] = None,
    ) -> None:
        """Draw and plan `config.obstacles.layouts` courses; or plan `lasting`, which the simulator has put up for good.

        Raises:
            UserError: the arena has no room for them, or an object fits through none.

        """
        device, count, outlines = simulator.device, simulator.num_envs, simulator.outlines
        drawn = lasting
        if drawn is None:
            drawn = solvable_courses(config, target_object, seed, None if outlines is None else outlines.cpu())
        self._stride = _EPISODE_STRIDE if lasting is None else 0
        fitting = torch.full((count,), len(drawn.goal))
        if outlines is None:
            outlines = torch.tensor(target_object.vertices, device=device)
        else:
            drawn, fitting = passable(config, drawn, outlines.cpu())
        self.courses = drawn.to(device)
        self._planner = make_planner(config, self.courses, seed)
        goals, numbers = drawn.goal, torch.arange(len(drawn.goal))
        if config.goal == "pose":
            yaw = 2 * math.pi * uniform(seed, STREAM_OBSTACLES, numbers, torch.full_like(numbers, _YAWS), 1)
            goals = torch.cat((goals, yaw), dim=-1)
        self._goals = goals.to(device)
        self._simulator, self._config = simulator, config
        self._fitting, self._fold = fitting.to(device), target_object.symmetry_fold
        self._fit = Fit(outlines, self._fold)
        kinds = [(torch.tensor(robot.outline, device=device), robot.round) for robot in simulator.robots]
        # The vertices of a round object are on its edge, but not its edge between them.
        radius = 0.0 if self._fold else float(torch.linalg.vector_norm(outlines, dim=-1).max())
        bodies = [(outlines if self._fold else outlines * 0, radius), *kinds]
        most = max(outline.shape[-2] for outline, _ in bodies)
        padded = [repeated(outline, most).expand(*outlines.shape[:-2], most, 2) for outline, _ in bodies]
        self._outlines = torch.stack(padded, dim=-3)
        self._round = torch.tensor([radius for _, radius in bodies], device=device)
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
        """`[N, 2]` final goal of the present episodes, m; of a pose `[N, 3]`, with its yaw, rad."""
        return self._goals[self.course]

    @property
    def layout(self) -> Layout:
        """`[N, K]` of the present episodes."""
        return self.courses.layout.at(self.course)

    def start(self, rows: Tensor, ids: Tensor, episodes: Tensor, mask: Tensor) -> None:
        """Put up the obstacles of the environments `rows` `[n]` where `mask` `[n]` is true.

        `ids` and `episodes` `[n]`: number of each environment in a larger set, and of its episode.
        """
        overwrite(self.course, rows, mask, (ids + self._stride * episodes) % self._fitting[rows])
        for memory in (self.passed, self.touched, self.travelled, self.anchor, self.waited, self.back):
            overwrite(memory, rows, mask, 0)
        if self._stride:
            self._simulator.place_obstacles(rows, self.courses.layout.at(self.course[rows]), mask)

    def target(self, state: SimState, remember: bool = True) -> Tensor:
        """The team's next target in these states, `[N, 2]` m; `TaskConfig` and `WayAhead` say what is behind it.

        Without `remember` the planner forgets that it was asked.
        """
        place, far = state.object_pos[..., :2], None
        self._planner.see(state)
        ahead, passed = self._planner.target(self.course, place, self.passed)
        if remember:
            self.passed.copy_(passed)
        yaw = self._goals[self.course, 2:]
        if self._config.obstacles.aligned:
            ahead, far, yaw = self._aligned(state, ahead, yaw)
        if self._patience:
            ahead = torch.where((self.back > 0).unsqueeze(-1), 2 * place - ahead, ahead)
        target = torch.cat((ahead, yaw), dim=-1)
        if not self._config.obstacles.observed:
            return target
        if far is None:
            far = self._planner.follow(self.course, ahead, FAR - self._planner.look_ahead)
        points = torch.cat((torch.stack((far, place), dim=1), state.robot_pos[..., :2]), dim=1)
        vectors = away(self.layout, points, REACH)
        narrow = torch.linalg.vector_norm(vectors[:, 0], dim=-1, keepdim=True)
        return WayAhead(far, vectors[:, 1], narrow, vectors[:, 2:]).appended(target)

    def _aligned(self, state: SimState, ahead: Tensor, yaw: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """The point `ahead` `[N, 2]` and one at `FAR`, aligned with a gap before them; yaw and urgency, `[N, 2]`.

        `yaw` `[N, 1]` is that of a pose, which counts where there is no narrow gap; `[N, 0]` without.
        """
        place = state.object_pos[..., :2]
        way = [place, 0.5 * (place + ahead), ahead]
        for _ in range(_PIECES):
            way.append(self._planner.follow(self.course, way[-1], (FAR - self._planner.look_ahead) / _PIECES))
        around = nearest(self.layout, ahead.unsqueeze(1), _AHEAD).at((slice(None), 0))
        gap = narrowest_gap(around, torch.stack(way, dim=1))
        care = self._fit.care(gap)
        wanted = self._fit.yaw(gap, state.object_rpy[..., 2])
        ahead, far = (gap.centred(point, care, self._fit.lean(gap, wanted)) for point in (ahead, way[-1]))
        turned = torch.stack((wanted, care), dim=-1)
        if yaw.shape[-1]:
            turned = torch.where(care.unsqueeze(-1) < 0.5, torch.cat((yaw, torch.ones_like(yaw)), dim=-1), turned)
        return ahead, far, turned

    def reached(self, state: SimState, now: Measures) -> Measures:
        """The measures `now` of states `[..., N]` with the distance and the angle to the final goal, not the target."""
        goal = self.goal
        distance = torch.linalg.vector_norm(state.object_pos[..., :2] - goal[:, :2], dim=-1)
        if goal.shape[-1] == 2:
            return now._replace(target_distance=distance)
        turn = goal[:, 2] - state.object_rpy[..., 2]
        return now._replace(target_distance=distance, angle_error=angle_between(self._fold, turn))

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
        gap = self._gap(final)
        self.touched += gap < CONTACT
        return Passage(self.touched.clone(), self.travelled.clone(), gap)

    def _gap(self, state: SimState) -> Tensor:
        """Distance of the object, and of each robot, to the nearest obstacle, `[N, 1 + A]` m."""
        position = torch.cat((state.object_pos.unsqueeze(1), state.robot_pos), dim=1)[..., :2]
        yaw = torch.cat((state.object_rpy.unsqueeze(1), state.robot_rpy), dim=1)[..., 2]
        placed = position.unsqueeze(2) + rotate(self._outlines, yaw.unsqueeze(-1))
        return gaps(nearest(self.layout, position, _LOOKED_AT), placed) - self._round

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
