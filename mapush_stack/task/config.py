"""What can be configured about the task. Defaults live in `presets/default.yaml`, not here: one place a value."""

from __future__ import annotations

import math
from typing import List, Literal, Tuple

from pydantic import Field, model_validator

from ..settings import Settings

CONTROL_DT = 0.02
"""Seconds per control step, 50 Hz (task_spec section 2)."""


class RewardWeights(Settings):
    """Weight of each reward term; a term of weight 0 is not computed. Formulas are in `task/rewards.py`."""

    success: float = Field(description="added to every robot on the control step that finishes")
    exception: float = Field(description="added to every robot on a step with an exception or a value error")
    target: float = Field(description="upstream's target term, 2 (d' - d) - 0.01 d")
    progress: float = Field(description="decrease of the object-target distance, d' - d, 1/m")
    approach: float = Field(description="upstream's approach term, -(D + 0.5)^2 with D the robot-object distance")
    approach_progress: float = Field(description="decrease of the robot-object distance, D' - D, 1/m")
    collision: float = Field(description="upstream's collision term, 1 / (0.02 + D_ij / 3) for each other robot")
    separation: float = Field(description="max(0, separation_distance - D_ij) for each other robot, 1/m")
    push: float = Field(description="1 while the object is faster than 0.1 m/s")
    ocb: float = Field(description="upstream's occlusion term, n . u")
    ocb_progress: float = Field(description="increase of the occlusion term, n . u - n' . u'")


class Quirks(Settings):
    """Where upstream departs from common practice. All off by default; preset `paper` switches them on."""

    stale_yaw: bool = Field(description="observations after a reset are rotated by the yaw before it (section 5)")
    reset_step_reward: bool = Field(description="the last step's distance terms see the new episode (section 9 a)")
    terminal_time_limit: bool = Field(description="the learner takes a time limit for a termination (section 9 c)")
    late_time_limit: bool = Field(description="the time limit fires one control step late (section 2)")
    target_times_100: bool = Field(description="the target term's weight is multiplied by 100 (section 9)")
    approach_height: bool = Field(description="the approach terms' distance includes the height (section 9 d)")


class ObjectTask(Settings):
    """What the task knows of the object that is pushed (task_spec section 1)."""

    num_robots: int = Field(ge=1, le=8, description="robots in the team")
    vertices: List[Tuple[float, float]] = Field(
        min_length=3, description="convex outline in the object's frame, counter-clockwise, m"
    )
    symmetry_fold: int = Field(ge=0, le=64, description="rotations about z that leave the object unchanged; 0: round")
    mirror_axis: Literal[0, 90] = Field(description="direction of the mirror axis in the object's frame, degrees")
    start_height: float = Field(gt=0, description="height of the object's frame at the start, m")
    start_tilt: float = Field(ge=0, le=0.2, description="roll and pitch at the start are U(-tilt, tilt), rad")
    robot_start_radius: Tuple[float, float] = Field(description="distance of a robot from the object at the start, m")
    min_robot_distance: float = Field(gt=0, description="two robot bases nearer than this end the episode, m")

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

    observation: Literal["published", "cos_sin", "features"] = Field(description="what a robot's actor sees")
    global_state: Literal["published", "target_frame", "observation"] = Field(
        description="what the critic sees; `observation` gives each robot's critic that robot's observation"
    )
    action_repeat: int = Field(ge=1, le=50, description="control steps (0.02 s) for which a decision is held")
    action_gain: float = Field(gt=0, description="command = limit * clip(gain * action, -1, 1)")
    command_limit: Tuple[float, float, float] = Field(description="largest vx, vy (m/s) and yaw rate (rad/s)")
    episode_seconds: float = Field(ge=CONTROL_DT, le=3600, description="time limit of an episode, s")
    success_distance: float = Field(gt=0, description="the object's centre this near the target finishes, m")
    target_distance: Tuple[float, float] = Field(description="distance of the target from the object at the start, m")
    max_roll: float = Field(gt=0, description="a robot that rolls further ends the episode, rad")
    max_pitch: float = Field(gt=0, description="a robot that pitches further ends the episode, rad")
    max_height_change: float = Field(gt=0, description="a body whose height changes more ends the episode, m")
    collaboration_distance: float = Field(gt=0, description="robots this near the object count as collaborating, m")
    separation_distance: float = Field(gt=0, description="range of the separation term, m")
    ocb_expanded: bool = Field(description="upstream's expanded occlusion term (arc towards the target's yaw)")
    rewards: RewardWeights
    quirks: Quirks

    @model_validator(mode="after")
    def _check(self) -> TaskConfig:
        low, high = self.target_distance
        if not 0 <= low <= high:
            raise ValueError(f"target_distance must be two lengths, 0 <= low <= high, not [{low:g}, {high:g}]")
        if min(self.command_limit) <= 0:
            raise ValueError(f"command_limit must be three positive numbers, not {list(self.command_limit)}")
        quirks = self.quirks
        for name in ("stale_yaw", "reset_step_reward"):
            if getattr(quirks, name) and self.action_repeat != 1:
                raise ValueError(f"quirks.{name} needs action_repeat=1, not {self.action_repeat}")
        return self

    @property
    def max_steps(self) -> int:
        """Control steps after which the time limit ends an episode."""
        return math.floor(self.episode_seconds / CONTROL_DT + 1e-9) + int(self.quirks.late_time_limit)


def polygon_area(vertices) -> float:
    """Signed area of a polygon, positive when its vertices run counter-clockwise, m^2."""
    shifted = [*vertices[1:], vertices[0]]
    return 0.5 * sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(vertices, shifted))
