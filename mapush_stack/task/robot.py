"""What the task knows of a robot, whatever its kind."""

from __future__ import annotations

from typing import NamedTuple, Tuple


class RobotTask(NamedTuple):
    """A robot as the task sees it; `sim/robots/` says it for each kind."""

    start_height: float = 0.45
    """Height of the base at a reset, from which the height rule counts, m (docs/task.md sections 4 and 8)."""
    command_axes: Tuple[int, ...] = (0, 1, 2)
    """What each number of an action steers, as an index into (vx, vy, yaw rate); what is left out stays 0."""
    sense_mirror: Tuple[float, ...] = ()
    """Sign under a reflection about the heading of each of the M numbers that the robot senses of itself."""
    radius: float = 0.35
    """Radius of the circle about its base in which the robot stands, m."""
    outline: Tuple[Tuple[float, float], ...] = ((-0.13, 0.0), (0.16, 0.0))
    """Polygon or line in the robot's frame, m; with `round` around it, it is what collides with other things."""
    round: float = 0.13
    """m (docs/task.md section 12)"""
