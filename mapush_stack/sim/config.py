"""What can be configured about a simulation.

Defaults here are neutral; `presets/default.yaml` says what is good.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Dict, List, Literal, Optional, Sequence, Tuple

from pydantic import ConfigDict, Field, create_model, field_validator, model_validator
from typing_extensions import Annotated

from ..registry import Registry
from ..settings import FolderName, Settings, name_in
from ..task.config import ObjectTask, polygon_area

if TYPE_CHECKING:  # importing it takes torch
    from .robots.base import RobotSettings


def _robots() -> Registry[Any]:
    from .robots import ROBOTS

    return ROBOTS


RobotName = Annotated[str, name_in(_robots)]
"""The name of a kind of robot."""


_SIZES = (1e-3, 1e3)
"""Range of the lengths of a part, m: MuJoCo finds no hull of much thinner ones."""


class PartConfig(Settings):
    """One rigid primitive of an object, in the object's frame."""

    shape: Literal["box", "cylinder", "prism"] = Field(description="cylinders and prisms stand upright")
    size: Tuple[float, ...] = Field(
        description="box: length, width, height; cylinder: radius, height; prism: height; m"
    )
    vertices: List[Tuple[float, float]] = Field(
        [], description="of a prism: its convex outline about the part's position, counter-clockwise, m"
    )
    position: Tuple[float, float, float] = Field(description="centre of the part, m")
    yaw: float = Field(0.0, description="turn about the vertical, degrees")
    mass: float = Field(gt=0, description="kg")
    inertia: Tuple[float, float, float] = Field(
        (0.0, 0.0, 0.0), description="about the part's own axes, kg m^2; left out: that of a solid of even density"
    )

    @model_validator(mode="after")
    def _check(self) -> PartConfig:
        wanted = {"box": 3, "cylinder": 2, "prism": 1}[self.shape]
        if len(self.size) != wanted or not _SIZES[0] <= min(self.size) <= max(self.size) <= _SIZES[1]:
            lengths = "one length" if wanted == 1 else f"{wanted} lengths"
            raise ValueError(
                f"size of a {self.shape} must be {lengths} from {_SIZES[0]:g} to {_SIZES[1]:g} m, not {list(self.size)}"
            )
        if self.shape == "prism":
            corner = first_dent(self.vertices)
            if corner is not None:
                raise ValueError(
                    f"vertices of a prism must be 3 or more around a convex outline, counter-clockwise; at {corner} it "
                    "turns to the right or goes straight on: turn the order round if it is clockwise, else make it of "
                    "several parts"
                )
            extents = [max(axis) - min(axis) for axis in zip(*self.vertices)]
            if not _SIZES[0] <= min(extents) <= max(extents) <= _SIZES[1]:
                raise ValueError(
                    f"vertices of a prism must extend over {_SIZES[0]:g} to {_SIZES[1]:g} m along x and y, not over "
                    f"{extents}"
                )
        elif self.vertices:
            raise ValueError(f"vertices are those of a prism, not of a {self.shape}; leave them out")
        if not any(self.inertia):
            self.__dict__["inertia"] = self._solid()
        elif min(self.inertia) <= 0:
            raise ValueError(f"inertia must be three positive numbers, not {list(self.inertia)}")
        return self

    def _solid(self) -> Tuple[float, float, float]:
        """The part's inertia about its own axes if it is a solid of even density, kg m^2."""
        if self.shape == "box":
            x, y = self.size[0] ** 2, self.size[1] ** 2
        elif self.shape == "cylinder":
            x = y = 3 * self.size[0] * self.size[0]
        else:
            x, y = (12 * variance for variance in spread(self.vertices))
        z = self.size[-1] ** 2
        return self.mass * (y + z) / 12, self.mass * (x + z) / 12, self.mass * (x + y) / 12

    def scaled(self, factor: float) -> PartConfig:
        """The part with so many times its mass and inertia."""
        inertia = tuple(factor * one for one in self.inertia)
        return self.model_copy(update={"mass": factor * self.mass, "inertia": inertia})

    def reach(self, way: Tuple[float, float]) -> float:
        """How far the part extends from the object's origin in the direction `way`, a unit vector, m."""
        middle = self.position[0] * way[0] + self.position[1] * way[1]
        if self.shape == "cylinder":
            return middle + self.size[0]
        angle = math.radians(self.yaw)
        cos, sin = math.cos(angle), math.sin(angle)
        own = (cos * way[0] + sin * way[1], cos * way[1] - sin * way[0])
        if self.shape == "box":
            return middle + 0.5 * (self.size[0] * abs(own[0]) + self.size[1] * abs(own[1]))
        return middle + max(x * own[0] + y * own[1] for x, y in self.vertices)


_NEAR_ENOUGH = 0.25
"""So far an outline may be from the parts in any direction, m: upstream's hexagon is 0.2 m within its cylinder."""


def spread(vertices: Sequence[Tuple[float, float]]) -> Tuple[float, float]:
    """Variances of x and of y over the area of a polygon, m^2."""
    pairs = [(a, b, a[0] * b[1] - a[1] * b[0]) for a, b in zip(vertices, [*vertices[1:], vertices[0]])]
    area = polygon_area(vertices)

    def variance(axis: int) -> float:
        mean = sum((a[axis] + b[axis]) * cross for a, b, cross in pairs) / (6 * area)
        square = sum((a[axis] ** 2 + a[axis] * b[axis] + b[axis] ** 2) * cross for a, b, cross in pairs) / (12 * area)
        return square - mean**2

    return variance(0), variance(1)


def first_dent(vertices: Sequence[Tuple[float, float]]) -> Optional[List[float]]:
    """The first corner at which a polygon does not turn left; None for one that is convex and counter-clockwise."""
    count, turned = len(vertices), 0.0
    for index, (x, y) in enumerate(vertices):
        (before_x, before_y), (after_x, after_y) = vertices[index - 1], vertices[(index + 1) % count]
        one, other = (x - before_x, y - before_y), (after_x - x, after_y - y)
        angle = math.atan2(one[0] * other[1] - one[1] * other[0], one[0] * other[0] + one[1] * other[1])
        turned += angle
        if angle < 1e-3 or turned > 2 * math.pi + 1e-3:
            return [x, y]
    return None if count > 2 else []


class ObjectBody(Settings):
    """The object as a rigid body (docs/task.md section 1)."""

    parts: List[PartConfig] = Field(min_length=1, description="shapes, masses and inertias of the object")
    mass: Optional[float] = Field(
        None, gt=0, description="of all parts, kg: their masses and inertias are scaled to it; null: as they are"
    )
    friction: Tuple[float, float] = Field(description="range of the object's own friction coefficient")

    @model_validator(mode="after")
    def _check(self) -> ObjectBody:
        low, high = self.friction
        if not 0 <= low <= high:
            raise ValueError(f"friction must be two coefficients, 0 <= low <= high, not [{low:g}, {high:g}]")
        factor = 1.0 if self.mass is None else self.mass / sum(part.mass for part in self.parts)
        if abs(factor - 1.0) > 1e-9:  # a stored configuration has been scaled
            self.__dict__["parts"] = [part.scaled(factor) for part in self.parts]
        return self


class FamilyConfig(Settings):
    """Objects that are drawn at random, one for each environment: boxes that overlap, or a cylinder.

    They are of one height and of one density over their area.
    """

    boxes: Tuple[int, int] = Field((1, 3), description="range of the number of boxes")
    cylinders: float = Field(0.1, ge=0, le=1, description="share of the objects that are a cylinder")
    size: Tuple[float, float] = Field((0.6, 3.0), description="range of the largest extent seen from above, m")
    height: float = Field(0.5, ge=0.1, le=2, description="m")
    mass: Tuple[float, float] = Field((2.0, 40.0), description="range of the mass, drawn by its logarithm, kg")

    @model_validator(mode="after")
    def _check(self) -> FamilyConfig:
        for name, least in (("boxes", 1), ("size", 0.3), ("mass", 0.1)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(f"{name} must be two numbers, {least:g} <= low <= high, not [{low:g}, {high:g}]")
        if self.size[1] > 20:
            raise ValueError(f"size must be at most 20 m, not {list(self.size)}")
        if self.boxes[1] > 8:
            raise ValueError(f"boxes must be at most 8, not {list(self.boxes)}")
        return self


class ObjectConfig(Settings):
    """The object that is pushed; see `presets/objects/`."""

    name: FolderName = Field(description="what is pushed; see presets/objects/")
    team: List[RobotName] = Field(
        [], description="kind of each robot that pushes it; empty: task.num_robots robots of kind sim.robot"
    )
    task: ObjectTask
    body: ObjectBody
    family: Optional[FamilyConfig] = Field(
        None, description="null, or: every environment has an object of its own, and body.parts stands for all of them"
    )

    @model_validator(mode="after")
    def _check(self) -> ObjectConfig:
        if self.family is not None and self.body.mass is not None:
            raise ValueError(f"body.mass={self.body.mass:g} has no effect on objects that are drawn: set family.mass")
        depth = max(part.size[-1] / 2 - part.position[2] for part in self.body.parts)
        if self.task.start_height < depth - 0.01:
            raise ValueError(
                f"body.parts start in the floor: object.task.start_height must be at least {depth:.2f} m, not "
                f"{self.task.start_height:g}"
            )
        return self

    def wrong_outline(self) -> str:
        """What is wrong with `task.vertices` as the parts' convex outline; empty if nothing is, or for a family."""
        corners = self.task.vertices
        edges = [(x - a, y - b) for (a, b), (x, y) in zip([corners[-1], *corners], corners)]
        if any(a * y - b * x < -1e-9 for (a, b), (x, y) in zip([edges[-1], *edges], edges)):
            return "must be a convex outline, counter-clockwise"
        for step in range(0 if self.family else 16):
            way = (math.cos(math.pi * step / 8), math.sin(math.pi * step / 8))
            shown = max(x * way[0] + y * way[1] for x, y in corners)
            real = max(part.reach(way) for part in self.body.parts)
            if abs(shown - real) > _NEAR_ENOUGH:
                return (
                    f"must be the outline of body.parts, which reach {real:.2f} m in the direction of {22.5 * step:g} "
                    f"degrees, not {shown:.2f} m"
                )
        return ""


class SimConfig(Settings):
    """Which simulator steps the scene, and how finely.

    Beside the fields below there is a section `sim.<kind>` for each kind of robot, see `of_kind`.
    """

    model_config = ConfigDict(extra="allow")

    backend: str = Field(
        "auto",
        description="mujoco: any CPU; warp: an NVIDIA GPU; auto: warp where there is one; isaacgym: MAPush's own "
        "scene and walking controller, with none of the settings below num_envs but threads",
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda|cuda:\d+)$", description="auto, cpu, cuda or cuda:N; the learner's too"
    )
    robot: RobotName = Field("planar", description="planar: bodies that slide on the plane; go1: legs")
    num_envs: int = Field(512, ge=1, le=1_000_000, description="environments stepped together")
    solver_iterations: int = Field(30, ge=1, le=100, description="Newton iterations of the contact solver")
    cone: Literal["pyramidal", "elliptic"] = Field("pyramidal", description="model of friction at a contact")
    fused_variants: bool = Field(
        False, description="backend=warp: planar-strong, -weak, -fast and -slow are in the kernel of planar.fused too"
    )
    threads: int = Field(0, ge=0, le=1024, description="physics threads; 0: one a CPU. Results do not depend on it")

    @field_validator("backend")
    @classmethod
    def _known_backend(cls, name: str) -> str:
        from .simulators import SIMULATORS

        if name != "auto" and name not in SIMULATORS:
            raise ValueError(SIMULATORS.unknown(name))
        return name

    @model_validator(mode="after")
    def _check(self) -> SimConfig:
        from .simulators import SIMULATORS

        self._check_sections()
        if self.backend != "auto":
            SIMULATORS[self.backend].check(self, [self.robot])
        return self

    @classmethod
    def children(cls) -> Dict[str, Any]:
        """See `Settings.children`; the kinds of robots too."""
        robots = _robots()
        return {**super().children(), **{kind: robots[kind].settings_model for kind in robots}}

    def _check_sections(self) -> None:
        """Replace what was given for each kind of robot by that kind's settings."""
        robots, extra = _robots(), self.__pydantic_extra__
        assert extra is not None  # because of extra="allow"
        models = {kind: robots[kind].settings_model for kind in robots}
        fields: Dict[str, Any] = {kind: (model, model()) for kind, model in models.items()}
        sections = create_model("Sections", __base__=Settings, **fields)
        # As JSON, so that lists pass for tuples and nothing else for something else, as in the whole configuration.
        given = json.dumps(extra, default=lambda settings: settings.model_dump(mode="json"))
        checked = sections.model_validate_json(given, strict=True)
        # A plug-in's kind that has no part in this has no section either: the run can be read without the plug-in.
        extra.update((kind, getattr(checked, kind)) for kind in dict.fromkeys([*extra, self.robot]))

    def of_kind(self, kind: str) -> RobotSettings:
        """The settings of a kind of robot: its section, or its defaults if there is none.

        Raises:
            UserError: there is no such kind.

        """
        section: RobotSettings = (self.__pydantic_extra__ or {}).get(kind) or _robots()[kind].settings_model()
        return section
