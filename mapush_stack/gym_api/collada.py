"""Reads the points of COLLADA meshes (.dae), which MuJoCo cannot read."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

_UP = {
    "X_UP": np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "Y_UP": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
}
"""Turns that make z point up."""


def corners(path: Path) -> np.ndarray:
    """All points of a file's scene `[n, 3]`, m, with z up.

    Raises:
        ValueError: the file is no COLLADA, or has no points.

    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"the mesh {path} is not XML: {error}") from None
    for element in root.iter():  # names without their namespace
        element.tag = element.tag.rpartition("}")[2]
    known = {one.get("id", ""): one for one in root.iter() if one.get("id")}
    found: List[np.ndarray] = []
    for scene in root.iter("visual_scene"):
        for node in scene.findall("node"):
            _walk(node, np.eye(4), known, found)
    if not found:  # a library without a scene
        found = [_points(geometry) for geometry in root.iter("geometry")]
    if sum(map(len, found)) < 4:
        raise ValueError(f"the mesh {path} has no points that could collide")
    unit = root.find("asset/unit")
    metre = float(unit.get("meter", 1.0)) if unit is not None else 1.0
    turn = _UP.get(root.findtext("asset/up_axis", "Y_UP").strip(), np.eye(3))
    return np.unique(np.concatenate(found) @ turn.T * metre, axis=0)


def _walk(node: Element, outer: np.ndarray, known: Dict[str, Element], found: List[np.ndarray]) -> None:
    place = outer
    for element in node:
        if element.tag in ("matrix", "translate", "rotate", "scale"):
            place = place @ _transform(element)
        elif element.tag == "node":
            _walk(element, place, known, found)
        elif element.tag in ("instance_geometry", "instance_node"):
            target = known.get(element.get("url", "")[1:])
            if target is None:
                continue
            if element.tag == "instance_node":
                _walk(target, place, known, found)
            else:
                found.append(_points(target) @ place[:3, :3].T + place[:3, 3])


def _transform(element: Element) -> np.ndarray:
    values, made = np.array((element.text or "").split(), dtype=float), np.eye(4)
    if element.tag == "matrix":
        return values.reshape(4, 4)
    if element.tag == "translate":
        made[:3, 3] = values
    elif element.tag == "scale":
        made[:3, :3] = np.diag(values)
    else:
        axis, angle = values[:3] / np.linalg.norm(values[:3]), np.radians(values[3])
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        made[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return made


def _points(geometry: Element) -> np.ndarray:
    """The positions among a geometry's sources, not its normals or colours."""
    names = {one.get("source", "")[1:] for one in geometry.iter("input") if one.get("semantic") == "POSITION"}
    texts = [one.findtext("float_array", "") for one in geometry.iter("source") if one.get("id") in names]
    return np.array(" ".join(texts).split(), dtype=float).reshape(-1, 3)
