"""What can be asked for of a learned high level over a trained team (docs/long_way.md)."""

from __future__ import annotations

from typing import Optional

from pydantic import Field

from ..learning.config import LearnerConfig
from ..settings import Settings


class LeaderConfig(Settings):
    """A policy that leads a trained team: it moves the planner's targets and slows robots down."""

    shift: float = Field(0.5, gt=0, le=10, description="a target is moved by so much at most, ahead and aside, m")
    turn: float = Field(30.0, gt=0, le=180, description="where targets have a yaw: turned by so much at most, degrees")
    slowest: float = Field(0.3, gt=0, le=1, description="least share of their commands that robots are left")
    team: Optional[LearnerConfig] = Field(None, description="the team's networks; --from RUN fills it in")
