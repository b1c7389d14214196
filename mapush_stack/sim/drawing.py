"""Shapes and colours of what is drawn. The shapes have no mass and collide with nothing."""

from __future__ import annotations

from typing import Any, Dict, Sequence, Tuple

Colour = Tuple[float, float, float]
"""Red, green, blue from 0 to 1."""

SHELL: Colour = (0.88, 0.89, 0.91)
DARK: Colour = (0.15, 0.16, 0.18)
STEEL: Colour = (0.34, 0.36, 0.39)

SHOWN, HIDDEN = 2, 3
"""Groups of geoms; MuJoCo draws 0 to 2 unless told otherwise."""
TURN_Y = [0.7071067811865476, 0.7071067811865476, 0, 0]
"""Quaternion that lays a cylinder's axis along y."""
TURN_X = [0.7071067811865476, 0, 0.7071067811865476, 0]
"""Quaternion that lays a cylinder's axis along x."""


class Draw:
    """Adds shapes to the bodies of a `mujoco.MjSpec`.

    Positions and half lengths are in m, in the body's frame.
    """

    def __init__(self, spec: Any) -> None:
        self.spec = spec
        self._meshes: Dict[Tuple[float, ...], str] = {}

    def rounded(self, body: Any, pos: Sequence[float], half: Sequence[float], colour: Colour) -> None:
        """A box with rounded edges."""
        size = tuple(half)
        if size not in self._meshes:
            self._meshes[size] = f"rounded{len(self._meshes)}"
            self.spec.add_mesh(name=self._meshes[size], scale=size).make_supersphere(12, 0.4, 0.4)
        self._add(body, "MESH", colour, pos=list(pos), meshname=self._meshes[size])

    def box(
        self,
        body: Any,
        pos: Sequence[float],
        half: Sequence[float],
        colour: Colour,
        yaw: float = 0.0,
        name: str = "",
    ) -> None:
        """A box with sharp edges, turned by `yaw` rad."""
        self._add(body, "BOX", colour, pos=list(pos), size=list(half), euler=[0, 0, yaw], name=name)

    def mesh(
        self, body: Any, pos: Sequence[float], mesh: str, colour: Colour, yaw: float = 0.0, name: str = ""
    ) -> None:
        """A mesh of the scene, turned by `yaw` rad."""
        self._add(body, "MESH", colour, pos=list(pos), meshname=mesh, euler=[0, 0, yaw], name=name)

    def cylinder(
        self,
        body: Any,
        pos: Sequence[float],
        radius: float,
        half: float,
        colour: Colour,
        turn: Sequence[float] = (1, 0, 0, 0),
        name: str = "",
    ) -> None:
        """A cylinder along z, or as the quaternion `turn` lays it."""
        self._add(body, "CYLINDER", colour, pos=list(pos), size=[radius, half, 0], quat=list(turn), name=name)

    def capsule(self, body: Any, ends: Sequence[float], radius: float, colour: Colour) -> None:
        """A capsule between two points, six numbers."""
        self._add(body, "CAPSULE", colour, fromto=list(ends), size=[radius, 0, 0])

    def sphere(self, body: Any, pos: Sequence[float], radius: float, colour: Colour, name: str = "") -> None:
        """A ball."""
        self._add(body, "SPHERE", colour, pos=list(pos), size=[radius, 0, 0], name=name)

    def collision_geoms(self, body: Any, colour: Colour) -> None:
        """Show the geoms with which the body and those that hang on it collide."""
        import mujoco

        for geom in body.find_all(mujoco.mjtObj.mjOBJ_GEOM):
            geom.group, geom.rgba = SHOWN, [*colour, 1]

    def _add(self, body: Any, kind: str, colour: Colour, **shape: Any) -> None:
        import mujoco

        kinds = mujoco.mjtGeom.__members__
        untouchable = {"contype": 0, "conaffinity": 0, "mass": 0, "group": SHOWN}
        body.add_geom(type=kinds[f"mjGEOM_{kind}"], rgba=[*colour, 1], **untouchable, **shape)
