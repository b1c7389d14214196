"""Reads URDF files into assets, with bodies and joints in Isaac Gym's order."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Dict, List, Optional
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from ..sim.inertia import Inertia, combine
from . import collada
from .asset import UNLIMITED_EFFORT, Asset, Joint, Link, Pose, Shape, moved
from .support import UnsupportedError, ignore
from .types import AssetOptions

_UNLIMITED_ANGLE = 3.4e38
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_MESHES = (".stl", ".obj", ".msh", ".dae")
"""What MuJoCo reads, and what `collada` does."""


def load(path: Path, options: AssetOptions) -> Asset:
    """The asset of a URDF file.

    Children of a body come in the order of their joints' names, as Isaac Gym has them: FL, FR, RL, RR.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no URDF file.
        UnsupportedError: a joint or shape has no counterpart.

    """
    if not path.is_file():
        raise FileNotFoundError(f"load_asset: {path} is not there")
    try:
        robot = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"load_asset: {path} is not XML: {error}") from None
    try:
        return Asset(robot.get("name", path.stem), _Reader(robot, path, options).links, options)
    except ValueError as error:
        raise ValueError(f"load_asset: {path}: {error}") from None


class _Reader:
    """Walks the tree of a URDF file."""

    def __init__(self, robot: Element, path: Path, options: AssetOptions) -> None:
        self.path, self.options = path, options
        self.elements = {element.get("name", ""): element for element in robot.findall("link")}
        self.children: Dict[str, List[Element]] = {name: [] for name in self.elements}
        inner = set()
        for joint in robot.findall("joint"):
            parent, child = (_attribute(joint, kind, "link") for kind in ("parent", "child"))
            if parent not in self.children or child not in self.elements:
                raise ValueError(f"joint {joint.get('name')} joins a link that is not there")
            self.children[parent].append(joint)
            inner.add(child)
        roots = [name for name in self.elements if name not in inner]
        if len(roots) != 1:
            raise ValueError(f"a robot has one root link, and this file has {len(roots)}")
        self.links: List[Link] = []
        self._add(roots[0], -1, Pose(), [])

    def _add(self, name: str, parent: int, pose: Pose, joints: List[Joint], joint: str = "") -> None:
        link = Link(name, parent, pose, joints, None, [], joint)
        self.links.append(link)
        parts = self._take(link, name, Pose(), len(self.links) - 1)
        link.inertial = combine(parts) if sum(part.mass for part in parts) > 0 else None

    def _take(self, link: Link, name: str, pose: Pose, number: int) -> List[Inertia]:
        """Give `link` what the element has, and the elements that are fixed to it; returns their masses."""
        element = self.elements[name]
        parts = [moved(one, pose) for one in [_inertial(element)] if one is not None]
        link.shapes += [shape for shape in (self._shape(one, pose) for one in element.findall("collision")) if shape]
        for joint in sorted(self.children[name], key=lambda one: one.get("name", "")):
            child, place = _attribute(joint, "child", "link"), pose @ _pose(joint.find("origin"))
            kind = joint.get("type", "")
            kept = joint.get("dont_collapse", "").lower() in ("true", "1")
            if kind == "fixed" and self.options.collapse_fixed_joints and not kept:
                parts += self._take(link, child, place, number)
            else:
                self._add(child, number, place, self._joints(joint, kind), joint.get("name", ""))
        return parts

    def _joints(self, element: Element, kind: str) -> List[Joint]:
        if kind == "fixed":
            return []
        if kind not in ("revolute", "continuous", "prismatic"):
            raise UnsupportedError(f"joint {element.get('name')} of type '{kind}' in {self.path}")
        if element.find("mimic") is not None:
            ignore("mimic")
        limit, dynamics = element.find("limit"), element.find("dynamics")
        limited = kind != "continuous" and limit is not None and {"lower", "upper"} <= set(limit.keys())
        axis = _numbers((element.find("axis").get("xyz") if element.find("axis") is not None else None) or "1 0 0")  # type: ignore[union-attr]
        return [
            Joint(
                name=element.get("name", ""),
                kind="slide" if kind == "prismatic" else "hinge",
                axis=axis / np.linalg.norm(axis),
                pos=np.zeros(3),
                lower=_number(limit, "lower", 0.0) if limited else -_UNLIMITED_ANGLE,
                upper=_number(limit, "upper", 0.0) if limited else _UNLIMITED_ANGLE,
                limited=limited,
                velocity=_number(limit, "velocity", 0.0) or math.inf,
                effort=_number(limit, "effort", 0.0) or UNLIMITED_EFFORT,
                damping=_number(dynamics, "damping", 0.0),
                friction=_number(dynamics, "friction", 0.0),
            )
        ]

    def _shape(self, collision: Element, outer: Pose) -> Optional[Shape]:
        pose, geometry = outer @ _pose(collision.find("origin")), collision.find("geometry")
        for element in [] if geometry is None else list(geometry):
            if element.tag == "box":
                return Shape("box", tuple(0.5 * _numbers(element.get("size", ""))), pose)
            if element.tag == "sphere":
                return Shape("sphere", (_number(element, "radius", 0.0),), pose)
            if element.tag in ("cylinder", "capsule"):
                size = (_number(element, "radius", 0.0), 0.5 * _number(element, "length", 0.0))
                round_ends = element.tag == "capsule" or self.options.replace_cylinder_with_capsule
                return Shape("capsule" if round_ends else "cylinder", size, pose)
            if element.tag == "mesh":
                scale = tuple(_numbers(element.get("scale", "1 1 1")))
                file = self._mesh(element.get("filename", ""))
                if file.lower().endswith(".dae"):
                    return Shape("mesh", (), pose, scale=scale, corners=collada.corners(Path(file)))
                return Shape("mesh", (), pose, file, scale)
            raise UnsupportedError(f"a shape of type '{element.tag}' in {self.path}")
        return None

    def _mesh(self, name: str) -> str:
        """The file of a mesh, also one named as `package://PACKAGE/PATH`."""
        relative = name[len("package://") :].partition("/")[2] if name.startswith("package://") else name
        tried = [folder / relative for folder in (self.path.parent, *self.path.parents)]
        found = next((str(path) for path in tried if path.is_file()), "")
        if not found:
            raise FileNotFoundError(f"load_asset: {self.path}: the mesh {name} is not there")
        if not found.lower().endswith(_MESHES):
            raise UnsupportedError(f"the mesh {name} in {self.path}", f"convert it to one of {', '.join(_MESHES)}")
        return found


def _attribute(element: Element, child: str, name: str) -> str:
    found = element.find(child)
    value = None if found is None else found.get(name)
    if value is None:
        raise ValueError(f"joint {element.get('name')} has no {child}")
    return value


def _numbers(text: str) -> np.ndarray:
    words = text.split()
    if len(words) != 3:
        raise ValueError(f"'{text}' is not three numbers")
    # Isaac Gym reads a number up to the first sign that is none: some public robots have "0.09>>".
    return np.array([float(match.group() if (match := _NUMBER.match(word)) else word) for word in words])


def _number(element: Optional[Element], name: str, default: float) -> float:
    return default if element is None else float(element.get(name, default))


def _pose(origin: Optional[Element]) -> Pose:
    if origin is None:
        return Pose()
    roll, pitch, yaw = _numbers(origin.get("rpy", "0 0 0"))
    return Pose(_numbers(origin.get("xyz", "0 0 0")), rotation(roll, pitch, yaw))


def rotation(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """The matrix Rz(yaw) Ry(pitch) Rx(roll), angles in rad."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(angle), math.sin(angle)) for angle in (roll, pitch, yaw))
    turn_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    turn_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    turn_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    turn: np.ndarray = turn_z @ turn_y @ turn_x
    return turn


def _inertial(element: Element) -> Optional[Inertia]:
    inertial = element.find("inertial")
    mass = None if inertial is None else inertial.find("mass")
    if inertial is None or mass is None:
        return None
    tensor, values = inertial.find("inertia"), np.zeros((3, 3))
    if tensor is not None:
        for row, column, name in (
            (0, 0, "ixx"),
            (1, 1, "iyy"),
            (2, 2, "izz"),
            (0, 1, "ixy"),
            (0, 2, "ixz"),
            (1, 2, "iyz"),
        ):
            values[row, column] = values[column, row] = _number(tensor, name, 0.0)
    return moved(Inertia(_number(mass, "value", 0.0), np.zeros(3), values), _pose(inertial.find("origin")))
