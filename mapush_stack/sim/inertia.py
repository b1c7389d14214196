"""Rigid parts as one body."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Sequence

import numpy as np


class Inertia(NamedTuple):
    """Mass distribution of a rigid body."""

    mass: float
    """kg"""
    centre: np.ndarray
    """`[3]` centre of mass, m."""
    tensor: np.ndarray
    """`[3, 3]` about the centre of mass, kg m^2."""

    def assign(self, body: Any) -> None:
        """Write it into a `mujoco.MjsBody`."""
        body.mass, body.ipos, body.explicitinertial = self.mass, self.centre, True
        body.fullinertia = [self.tensor[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]


def symmetric(xx: float, xy: float, xz: float, yy: float, yz: float, zz: float) -> np.ndarray:
    """A tensor from its six numbers."""
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def point(mass: float, position: Sequence[float]) -> Inertia:
    """A point mass."""
    return Inertia(mass, np.array(position, dtype=float), np.zeros((3, 3)))


def combine(parts: List[Inertia]) -> Inertia:
    """Several rigid parts as one (parallel axis theorem)."""
    mass = sum(part.mass for part in parts)
    centre: np.ndarray = sum((part.mass * part.centre for part in parts), np.zeros(3)) / mass
    tensor = np.zeros((3, 3))
    for part in parts:
        offset = part.centre - centre
        tensor += part.tensor + part.mass * (offset @ offset * np.eye(3) - np.outer(offset, offset))
    return Inertia(mass, centre, tensor)
