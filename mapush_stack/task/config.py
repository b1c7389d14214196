"""The configuration of the task.

The defaults here are neutral: they give the behaviour from before a field existed. `presets/default.yaml` has the
recommended values.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, Literal, Optional, Sequence, Tuple

from pydantic import Field, field_validator, model_validator
from typing_extensions import Annotated

from ..registry import Registry
from ..settings import NamesOf, Settings, name_in
from .obstacle_config import ObstacleConfig
from .sensing_config import SensingConfig

MOST_ROBOTS = 8
"""Robots in a team."""
FARTHEST_GOAL = 1000.0
"""From the object's start, along x or y, m."""
CONTROL_DT = 0.02
"""Seconds per control step, 50 Hz (docs/task.md section 2)."""


def _reward_terms() -> Registry[Any]:
    from .rewards import TERMS

    return TERMS


def _layouts() -> Registry[Any]:
    from .observations import LAYOUTS

    return LAYOUTS


class Quirks(Settings):
    """Where upstream departs from common practice; preset `paper` switches them on."""

    stale_yaw: bool = Field(
        False, description="observations after a reset are rotated by the yaw before it (docs/task.md section 5)"
    )
    reset_step_reward: bool = Field(
        False, description="the last step's distance terms see the new episode (docs/task.md section 9 a)"
    )
    terminal_time_limit: bool = Field(
        False, description="the learner treats a time limit as a termination (docs/task.md section 9 c)"
    )
    late_time_limit: bool = Field(
        False, description="the time limit fires one control step late (docs/task.md section 2)"
    )
    target_times_100: bool = Field(
        False, description="the target term's weight is multiplied by 100 (docs/task.md section 9)"
    )
    approach_height: bool = Field(
        False, description="the approach terms' distance includes the height (docs/task.md section 9 d)"
    )


class ObjectTask(Settings):
    """What the task knows about the object that is pushed (docs/task.md section 1)."""

    num_robots: int = Field(2, ge=1, le=MOST_ROBOTS, description="robots in the team")
    vertices: List[Tuple[float, float]] = Field(
        min_length=3, description="convex outline in the object's frame, counter-clockwise, m"
    )
    symmetry_fold: int = Field(
        1, ge=0, le=64, description="number of rotations about z that leave the object unchanged; 0: round"
    )
    mirror_axis: Literal[0, 90] = Field(0, description="direction of the mirror axis in the object's frame, degrees")
    start_height: float = Field(0.3, gt=0, description="height of the object's frame at the start, m")
    start_tilt: float = Field(0.0, ge=0, le=0.2, description="roll and pitch at the start are U(-tilt, tilt), rad")
    robot_start_radius: Tuple[float, float] = Field(
        (1.2, 1.3), description="distance of a robot from the object at the start, m"
    )
    min_robot_distance: float = Field(
        0.25, gt=0, description="an episode ends if two robot bases are nearer than this, m"
    )

    @model_validator(mode="after")
    def _check(self) -> ObjectTask:
        low, high = self.robot_start_radius
        if not 0 < low <= high:
            raise ValueError(f"robot_start_radius must be two lengths, 0 < low <= high, not [{low:g}, {high:g}]")
        if polygon_area(self.vertices) <= 0:
            raise ValueError("vertices must run counter-clockwise around a polygon of positive area")
        return self


class TaskConfig(Settings):
    """The task itself; the object's part comes from the object's file under `presets/objects/`."""

    observation: Annotated[str, name_in(_layouts)] = Field(
        "published", description="layout of what a robot's actor sees"
    )
    outline_points: int = Field(
        16, ge=3, le=256, description="points of the object's outline that observation=sets shows"
    )
    global_state: Literal["published", "target_frame", "observation"] = Field(
        "published",
        description="what the critic sees; `observation` gives each robot's critic that robot's observation",
    )
    action_repeat: int = Field(1, ge=1, le=50, description="control steps (0.02 s) for which a decision is held")
    action_gain: float = Field(1.0, gt=0, description="command = limit * clip(gain * action, -1, 1)")
    command_limit: Tuple[float, float, float] = Field(
        (0.5, 0.5, 0.5), description="largest vx, vy (m/s) and yaw rate (rad/s)"
    )
    episode_seconds: float = Field(20.0, ge=CONTROL_DT, le=3600, description="time limit of an episode, s")
    goal: Literal["position", "pose"] = Field(
        "position", description="position: the object's centre at the target; pose: turned to a target yaw too"
    )
    success_distance: float = Field(1.0, gt=0, description="success if the object's centre is this near the target, m")
    pose_distance: float = Field(0.1, gt=0, description="the same if the goal is a pose, m")
    pose_angle: float = Field(
        5.0, gt=0, le=180, description="success needs the object's yaw this near the target's, degrees"
    )
    target_distance: Tuple[float, float] = Field(
        (1.5, 3.0), description="distance of the target from the object at the start, m"
    )
    goals: List[List[List[float]]] = Field(
        [],
        description="sequences of goals, [x, y] in m from the object's start, or [x, y, yaw] of poses; each episode "
        "has the next sequence, and reaches its goals one after the other; empty: one goal, drawn by target_distance",
    )
    goal_speed: float = Field(0.0, ge=0, le=1, description="goals move at this speed in a random direction, m/s")
    placement: Literal["published", "apart", "behind"] = Field(
        "published",
        description="published: robots start at the object's robot_start_radius, sometimes too near to each other; "
        "apart: about the object's outline, apart from it and from each other; behind: side by side behind the object, "
        "which stands on its corner, as upstream's high level starts",
    )
    team_size: Optional[Tuple[int, int]] = Field(
        None, description="so many robots of the team are here, drawn for each episode; null: all"
    )
    load_per_robot: Optional[float] = Field(
        None,
        gt=0,
        description="team_size, which this needs, draws no team with more of the object's mass a robot, kg; null: any",
    )
    max_roll: float = Field(0.8, gt=0, description="an episode ends if a robot rolls further, rad")
    max_pitch: float = Field(1.6, gt=0, description="an episode ends if a robot pitches further, rad")
    max_height_change: float = Field(
        0.35, gt=0, description="an episode ends if the height of a body changes by more, m"
    )
    collaboration_distance: float = Field(
        1.0, gt=0, description="robots this near the object count as collaborating, m"
    )
    separation_distance: float = Field(0.5, gt=0, description="range of the separation term, m")
    ocb_expanded: bool = Field(False, description="upstream's expanded occlusion term (arc towards the target's yaw)")
    rewards: Annotated[Dict[str, float], NamesOf(_reward_terms)] = Field(
        {}, description="weight of each reward term by name; a term that is not named, or has weight 0, is not computed"
    )
    quirks: Quirks = Quirks()
    obstacles: ObstacleConfig = ObstacleConfig()
    sensing: SensingConfig = SensingConfig()

    @field_validator("rewards")
    @classmethod
    def _known_and_not_zero(cls, rewards: Dict[str, float]) -> Dict[str, float]:
        # Without the terms of weight 0, so that configurations that mean the same are equal.
        terms = _reward_terms()
        for name in rewards:
            if name not in terms:
                raise ValueError(terms.unknown(name))
        return {name: weight for name, weight in rewards.items() if weight != 0}

    @model_validator(mode="after")
    def _check(self) -> TaskConfig:
        low, high = self.target_distance
        if not 0 <= low <= high:
            raise ValueError(f"target_distance must be two lengths, 0 <= low <= high, not [{low:g}, {high:g}]")
        if min(self.command_limit) <= 0:
            raise ValueError(f"command_limit must be three positive numbers, not {list(self.command_limit)}")
        if self.team_size is not None and not 1 <= self.team_size[0] <= self.team_size[1]:
            low, high = self.team_size
            raise ValueError(f"team_size must be null or two numbers of robots, 1 <= low <= high, not [{low}, {high}]")
        if self.goal == "pose" and self.ocb_expanded:
            raise ValueError("ocb_expanded must be false with goal=pose: it takes the target's yaw to be 0")
        if self.obstacles.active and self.quirks.reset_step_reward:
            raise ValueError(
                "quirks.reset_step_reward must be false with obstacles.arena: the team's target is a point on the way"
            )
        self._check_goals()
        quirks = self.quirks
        for name in ("stale_yaw", "reset_step_reward"):
            if getattr(quirks, name) and self.action_repeat != 1:
                raise ValueError(f"quirks.{name} needs action_repeat=1, not {self.action_repeat}")
        return self

    def _check_goals(self) -> None:
        width = 3 if self.goal == "pose" else 2
        for number, points in enumerate(self.goals):
            for point in points or [[]]:
                if len(point) != width or not all(abs(value) <= FARTHEST_GOAL for value in point):
                    wanted = "[x, y, yaw] in m and rad" if width == 3 else "[x, y] in m"
                    raise ValueError(
                        f"goals: sequence {number} has the goal {point}; with goal={self.goal} each must be "
                        f"{wanted}, at most {FARTHEST_GOAL:g} m away"
                    )
        if self.goals_change and (self.obstacles.active or self.quirks.reset_step_reward):
            wrong = (
                "obstacles.arena must be null" if self.obstacles.active else "quirks.reset_step_reward must be false"
            )
            raise ValueError(f"{wrong} with goals or goal_speed")

    @property
    def goals_change(self) -> bool:
        """Whether an episode has several goals, given ones, or one that moves."""
        return bool(self.goals) or self.goal_speed > 0

    @property
    def goal_distance(self) -> float:
        """Success needs the object's centre this near the target, m."""
        return self.pose_distance if self.goal == "pose" else self.success_distance

    @property
    def turned(self) -> bool:
        """Whether targets have a yaw: those of poses, and those that are aligned with gaps."""
        return self.goal == "pose" or self.obstacles.aligned

    @property
    def max_steps(self) -> int:
        """Control steps after which the time limit ends an episode."""
        return math.floor(self.episode_seconds / CONTROL_DT + 1e-9) + int(self.quirks.late_time_limit)


def polygon_area(vertices: Sequence[Tuple[float, float]]) -> float:
    """Signed area of a polygon, positive when its vertices run counter-clockwise, m^2."""
    shifted = [*vertices[1:], vertices[0]]
    return 0.5 * sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(vertices, shifted))
