"""Actors and environments: what a program creates before the simulation is prepared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, SupportsIndex, Tuple, overload

import numpy as np

from .asset import Asset, copies
from .types import Mat33, Quat, RigidBodyProperties, RigidShapeProperties, Transform, Vec3


class Actor:
    """One asset in an environment, with properties of its own."""

    def __init__(self, asset: Asset, pose: Transform, name: str, group: int, bits: int, index: int) -> None:
        """`group` and `bits` say with what it collides; `index` counts all actors of the simulation."""
        self.asset, self.name, self.group, self.index = asset, name, group, index
        # The program may use the same one for its next actor.
        self.pose = Transform(Vec3(*pose.p), Quat(*pose.r))
        self.shapes: List[RigidShapeProperties] = asset.shape_properties
        """Never changed, only exchanged, because actors share them; `bodies` too."""
        if bits > 0:  # -1: as the asset says
            self.shapes = copies(asset.shape_properties)
            for shape in self.shapes:
                shape.filter |= int(bits)
        self.dofs: np.ndarray = asset.dof_properties()
        self.bodies: List[RigidBodyProperties] = asset.bodies
        self.scale = 1.0
        self.colours: Dict[int, Tuple[float, ...]] = {}
        """Of bodies in pictures: red, green, blue."""
        self.number = 0
        self.numbers: Dict[int, int] = {}
        """In pictures of IMAGE_SEGMENTATION: the actor's, and those of single bodies."""

    def resize(self, scale: float) -> None:
        """Take another size: lengths by `scale` and masses by its cube, of what it has now."""
        by, made = scale / self.scale, self.asset.whole_size.scaled(scale)
        bodies = made.bodies
        if self.bodies is not self.asset.bodies:
            bodies = copies(self.bodies)
            for body in bodies:
                body.mass, body.com = body.mass * by**3, body.com * by
                body.inertia = Mat33.of(np.array(body.inertia) * by**5)
        for name in ("lower", "upper"):
            slides = [joint.kind == "slide" and joint.limited for joint in made.joints]
            self.dofs[name] *= np.where(slides, by, 1.0)
        self.asset, self.bodies, self.scale = made, bodies, scale

    def layout(self) -> Tuple[object, ...]:
        """What must be equal for two actors to share a model."""
        filters = tuple(int(shape.filter) for shape in self.shapes)
        drives = tuple(int(mode) for mode in self.dofs["driveMode"])
        limits = tuple(bool(one) for one in self.dofs["hasLimits"])
        return (self.asset.key, repr(self.asset.sensors), filters, drives, limits)


class Actors(List[Actor]):
    """Actors of an environment; -1, which a search that finds nothing returns, is none of them."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> Actor: ...

    @overload
    def __getitem__(self, index: slice) -> List[Actor]: ...

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice) and not 0 <= index < len(self):
            raise IndexError(f"actor {index} is not there: this environment has {len(self)}, counted from 0")
        return super().__getitem__(index)


@dataclass
class Env:
    """An environment: actors in the order of their creation."""

    index: int
    sim: Any
    """The `Simulation` that it belongs to."""
    origin: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where Isaac Gym's grid has it, m."""
    actors: Actors = field(default_factory=Actors)
    cameras: List[Any] = field(default_factory=list)
    draft: Any = None
    """Before `prepare_sim`, see `actor_calls.ready`."""

    def groups(self) -> Tuple[int, ...]:
        """Collision groups as numbers that do not depend on the environment; -1 meets all."""
        seen: List[int] = []
        for actor in self.actors:
            if actor.group not in seen and actor.group != -1:
                seen.append(actor.group)
        return tuple(-1 if actor.group == -1 else seen.index(actor.group) for actor in self.actors)

    def layout(self) -> Tuple[object, ...]:
        """What must be equal for two environments to share a model."""
        return (self.groups(), *(actor.layout() for actor in self.actors))
