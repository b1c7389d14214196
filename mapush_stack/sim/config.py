"""What can be configured about a simulation. What is good is in `presets/default.yaml`; defaults here are neutral."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List, Literal, Tuple

from pydantic import ConfigDict, Field, create_model, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ..settings import Settings

if TYPE_CHECKING:  # importing it takes torch
    from .robots.base import RobotSettings


class PartConfig(Settings):
    """One rigid primitive of an object, in the object's frame."""

    shape: Literal["box", "cylinder"] = Field(description="a cylinder stands upright")
    size: Tuple[float, ...] = Field(description="box: length, width, height; cylinder: radius, height; m")
    position: Tuple[float, float, float] = Field(description="centre of the part, m")
    mass: float = Field(gt=0, description="kg")
    inertia: Tuple[float, float, float] = Field(description="about the part's centre, diagonal, kg m^2")

    @model_validator(mode="after")
    def _check(self) -> PartConfig:
        wanted = {"box": 3, "cylinder": 2}[self.shape]
        if len(self.size) != wanted or min(self.size) <= 0:
            raise ValueError(f"size of a {self.shape} must be {wanted} positive lengths, not {list(self.size)}")
        if min(self.inertia) <= 0:
            raise ValueError(f"inertia must be three positive numbers, not {list(self.inertia)}")
        return self


class ObjectBody(Settings):
    """The object as a rigid body (docs/task.md section 1)."""

    parts: List[PartConfig] = Field(min_length=1, description="shapes, masses and inertias of the object")
    friction: Tuple[float, float] = Field(description="range of the object's own friction coefficient")

    @model_validator(mode="after")
    def _check(self) -> ObjectBody:
        low, high = self.friction
        if not 0 <= low <= high:
            raise ValueError(f"friction must be two coefficients, 0 <= low <= high, not [{low:g}, {high:g}]")
        return self


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
    robot: str = Field("planar", description="planar: bodies that slide on the plane; go1: legs")
    num_envs: int = Field(512, ge=1, le=1_000_000, description="environments stepped together")
    solver_iterations: int = Field(30, ge=1, le=100, description="Newton iterations of the contact solver")
    threads: int = Field(0, ge=0, le=1024, description="physics threads; 0: one a CPU. Results do not depend on it")

    @field_validator("backend")
    @classmethod
    def _known_backend(cls, name: str) -> str:
        from .simulators import SIMULATORS

        if name != "auto" and name not in SIMULATORS:
            raise _unknown(SIMULATORS.unknown(name))
        return name

    @field_validator("robot")
    @classmethod
    def _known_robot(cls, name: str) -> str:
        from .robots import ROBOTS

        if name not in ROBOTS:
            raise _unknown(ROBOTS.unknown(name))
        return name

    @model_validator(mode="after")
    def _check(self) -> SimConfig:
        from .simulators import SIMULATORS

        self._check_sections()
        if self.backend != "auto":
            SIMULATORS[self.backend].check(self, [self.robot])
        return self

    def _check_sections(self) -> None:
        """Replace what was given for each kind of robot by that kind's settings."""
        from .robots import ROBOTS

        fields: Dict[str, Any] = {kind: (ROBOTS[kind].settings_model, ROBOTS[kind].settings_model()) for kind in ROBOTS}
        sections = create_model("Sections", __base__=Settings, **fields)
        extra = self.__pydantic_extra__
        assert extra is not None  # because of extra="allow"
        # As JSON, so that lists pass for tuples and nothing else for something else, as in the whole configuration.
        given = json.dumps(extra, default=lambda settings: settings.model_dump(mode="json"))
        checked = sections.model_validate_json(given, strict=True)
        extra.clear()
        extra.update((kind, getattr(checked, kind)) for kind in ROBOTS)

    def of_kind(self, kind: str) -> RobotSettings:
        """The section of a kind of robot; its defaults where the configuration was made before the kind was known.

        Raises:
            UserError: there is no such kind.

        """
        from .robots import ROBOTS

        section: RobotSettings = (self.__pydantic_extra__ or {}).get(kind) or ROBOTS[kind].settings_model()
        return section


def _unknown(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("unknown_name", "{sentence}", {"sentence": sentence})
