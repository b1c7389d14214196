"""What can be asked for of obstacles, and of who plans the way around them (docs/long_way.md)."""

from __future__ import annotations

from typing import List, Literal, Optional, Tuple

from pydantic import Field, model_validator

from ..settings import Settings


class ObstacleConfig(Settings):
    """Obstacles on the way to the target, and who plans the way around them; by default none."""

    arena: Optional[Tuple[float, float]] = Field(
        None, description="length and width of the walls around, m; null: no walls, and no obstacles"
    )
    boxes: int = Field(0, ge=0, le=32, description="boxes of any yaw that stand at random places")
    cylinders: int = Field(0, ge=0, le=32, description="cylinders that stand at random places")
    size: Tuple[float, float] = Field((0.6, 1.2), description="sides of the boxes, diameters of the cylinders, m")
    gates: int = Field(0, ge=0, le=4, description="walls across the way, each with one gap")
    gap: Tuple[float, float] = Field((2.0, 2.0), description="least and largest width of a gap, m")
    gate_share: float = Field(1.0, ge=0, le=1, description="share of the layouts that have gates")
    fewer: bool = Field(False, description="a layout has any number of boxes and cylinders up to these")
    clearance: float = Field(
        0.95, ge=0, le=10, description="a way exists on which the object's centre is so far from all obstacles, m"
    )
    layouts: int = Field(1024, ge=1, le=100_000, description="different layouts, which the episodes go through")
    drawing: Literal["solvable", "upstream"] = Field(
        "solvable", description="solvable: a way exists in each layout; upstream: as upstream draws them, unchecked"
    )
    planner: Literal["fast_marching", "straight", "direct", "rrt", "rrt_star", "network"] = Field(
        "direct", description="who gives the team its target: a point on the way, or the goal itself (direct)"
    )
    network: str = Field("", description="file of upstream's high-level policy, for planner=network")
    look_ahead: float = Field(1.0, gt=0, le=10, description="distance of that point from the object, m")
    slow: Tuple[float, float] = Field(
        (0.85, 2.5), description="clearance at which the planned speed begins to rise, and is full, m"
    )
    patience: float = Field(
        0.0, ge=0, le=3600, description="an object that has stood still for so long is taken back a little, s; 0: never"
    )
    observed: bool = Field(False, description="robots see the way ahead and what is near (docs/long_way.md)")
    aligned: bool = Field(
        False,
        description="where the object hardly fits through a gap, targets are on the gap's axis, and turned as it fits",
    )

    @model_validator(mode="after")
    def _check(self) -> ObstacleConfig:
        for name in ("arena", "size", "gap", "slow"):
            pair = getattr(self, name)
            if pair is not None and not (pair[0] > 0 and 0 < pair[1] <= 100):
                raise ValueError(f"{name} must be two lengths above 0, not [{pair[0]:g}, {pair[1]:g}]")
            if name != "arena" and pair[0] > pair[1]:
                raise ValueError(f"{name} must be two lengths, low <= high, not [{pair[0]:g}, {pair[1]:g}]")
        wanted = self.boxes or self.cylinders or self.gates or self.observed or self.aligned or self.planner != "direct"
        if self.arena is None and wanted:
            raise ValueError("arena must be given, such as [14, 14], with obstacles or a planner")
        if self.drawing == "upstream" and (self.gates or self.cylinders or self.fewer):
            raise ValueError("drawing=upstream has boxes only: leave gates, cylinders and fewer out")
        if (self.planner == "network") != bool(self.network):
            raise ValueError("network and planner=network must be given together: network=FILE names the policy")
        return self

    @property
    def active(self) -> bool:
        """Whether there is an arena, with or without obstacles."""
        return self.arena is not None

    @property
    def slots(self) -> List[str]:
        """What each of the K obstacles of a layout is: `box` or `cylinder`; walls come first."""
        walls = 4 + 2 * self.gates if self.active else 0
        return ["box"] * (walls + self.boxes) + ["cylinder"] * self.cylinders
