"""The Unitree Go2.

Lengths, masses, inertias, joint ranges and limits are those of Unitree's go2_description (unitree_ros,
robots/go2_description/urdf/go2_description.urdf, BSD-3-Clause): 15.02 kg, rotors counted in the links. It does not give
the rotors' inertia: `_ARMATURE` is MuJoCo Menagerie's (unitree_go2/go2.xml, BSD-3-Clause). The servos are those of
Unitree's own training (unitree_rl_gym, legged_gym/envs/go2/go2_config.py).
"""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
from pydantic import Field

from ...locomotion.kinematics import Legs
from ..drawing import DARK, SHELL, STEEL, Colour, Draw
from ..inertia import Inertia, combine, point, symmetric
from .quadruped import Capsule, JointModel, Quadruped, QuadrupedSettings

_LEGS = Legs(0.1934, 0.0465, 0.0955, 0.213, 0.213, 0.022)
_ARMATURE = 0.01
"""kg m^2, of every joint."""
_FOOT_MASS = 0.04
_HIP = JointModel(-1.0472, 1.0472, 23.7, _ARMATURE)
_FRONT_THIGH, _REAR_THIGH = JointModel(-1.5708, 3.4907, 23.7, _ARMATURE), JointModel(-0.5236, 4.5379, 23.7, _ARMATURE)
_CALF = JointModel(-2.7227, -0.83776, 35.55, _ARMATURE)


class Go2Settings(QuadrupedSettings):
    """The articulated Unitree Go2, walking by a policy of its own."""

    damping: float = Field(0.5, ge=0, le=50, description="of the joint position servos, N m s/rad")


class Go2(Quadruped):
    """Go2 robots."""

    settings_model = Go2Settings
    name = "go2"
    walker = "go1"
    """The Go1's policy walks it well (docs/walking.md)."""
    legs = _LEGS
    trunk = Inertia(
        6.921,
        np.array([0.021112, 0.0, -0.005366]),
        symmetric(0.02448, 0.00012166, 0.0014849, 0.098077, -3.12e-05, 0.107),
    )
    hull = Capsule(0.05, [-0.14, 0, 0, 0.285, 0, 0.005])
    envelope = Capsule(0.145, [-0.13, 0, 0, 0.19, 0, 0])

    @staticmethod
    def links(side: float, end: float) -> Dict[str, Inertia]:
        """See `Quadruped.links`; signs as in the description's four legs."""
        hip_tensor = symmetric(0.00048, -3.01e-06 * side * end, 1.11e-06 * end, 0.000884, -1.42e-06 * side, 0.000596)
        thigh_tensor = symmetric(0.00584, 8.72e-05 * side, -0.000289, 0.0058, 0.000808 * side, 0.00103)
        calf_tensor = symmetric(0.00108, 3.4e-07 * side, 1.72e-05, 0.0011, 8.28e-06 * side, 3.29e-05)
        calf = Inertia(0.154, np.array([0.00548, -0.000975 * side, -0.115]), calf_tensor)
        return {
            "hip": Inertia(0.678, np.array([-0.0054 * end, 0.00194 * side, -0.000105]), hip_tensor),
            "thigh": Inertia(1.152, np.array([-0.00374, -0.0223 * side, -0.0327]), thigh_tensor),
            "calf": combine([calf, point(_FOOT_MASS, [0, 0, -_LEGS.calf])]),
        }

    @staticmethod
    def joint_models(end: float) -> Dict[str, JointModel]:
        """See `Quadruped.joint_models`; thighs of front and rear legs have other ranges."""
        return {"hip": _HIP, "thigh": _FRONT_THIGH if end > 0 else _REAR_THIGH, "calf": _CALF}

    @staticmethod
    def draw_trunk(draw: Draw, trunk: Any, accent: Colour) -> None:
        """See `Quadruped.draw_trunk`: a slim body, and a head with the lidar's dome under its chin."""
        draw.rounded(trunk, [0, 0, -0.005], [0.195, 0.055, 0.050], DARK)
        draw.rounded(trunk, [-0.01, 0, 0.025], [0.205, 0.075, 0.036], STEEL)
        draw.rounded(trunk, [-0.02, 0, 0.056], [0.150, 0.040, 0.014], accent)
        draw.rounded(trunk, [0.225, 0, 0.020], [0.050, 0.045, 0.034], DARK)
        draw.rounded(trunk, [0.280, 0, 0.022], [0.050, 0.050, 0.036], SHELL)
        draw.rounded(trunk, [0.322, 0, 0.026], [0.014, 0.034, 0.018], accent)
        draw.sphere(trunk, [0.293, 0, -0.045], 0.040, DARK)
