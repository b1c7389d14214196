"""The Unitree Go1.

Lengths, masses, inertias, joint ranges and limits are those of Unitree's go1_description (unitree_ros,
robots/go1_description/xacro/const.xacro and leg.xacro, BSD-3-Clause). The rotors of the thigh and calf motors belong
to the links that carry them; those of the hip motors are counted in the trunk's 5.204 kg, which gives 12.74 kg.
"""

from __future__ import annotations

from typing import Any, Dict

import numpy as np

from ...locomotion import kinematics
from ..contacts import ENVELOPE_AXIS, ENVELOPE_RADIUS
from ..drawing import DARK, SHELL, TURN_X, Colour, Draw
from ..inertia import Inertia, combine, point, symmetric
from .base import PhysicsStep
from .quadruped import Capsule, JointModel, Quadruped, QuadrupedSettings

_ROTOR_INERTIA = 0.000111842
"""Of a motor's rotor about its axis, kg m^2 (hip_rotor_ixx, thigh_rotor_iyy, calf_rotor_iyy)."""
_GEAR, _LINKAGE = 6.33, 1.5
"""Turns of the rotor for one of the joint, by the data sheet of Unitree's GO-M8010-6 motor (23.7 N m). The calf's
linkage adds the factor by which its torque limit is larger and its speed limit smaller."""
_JOINTS = {
    "hip": JointModel(-0.863, 0.863, 23.7, _ROTOR_INERTIA * _GEAR**2),
    "thigh": JointModel(-0.686, 4.501, 23.7, _ROTOR_INERTIA * _GEAR**2),
    "calf": JointModel(-2.818, -0.888, 35.55, _ROTOR_INERTIA * (_GEAR * _LINKAGE) ** 2),
}
"""hip_, thigh_ and calf_position_min, _max and _torque_max."""
_ROTOR_MASS = 0.089
_FOOT_MASS = 0.06
_THIGH_ROTOR_Y, _CALF_ROTOR_Y = -0.00015, -0.03235


class Go1Settings(QuadrupedSettings):
    """The articulated Unitree Go1, walking by a policy of its own."""

    physics_dt: PhysicsStep = 0.01


class Go1(Quadruped):
    """Go1 robots."""

    settings_model = Go1Settings
    name = walker = "go1"
    legs = kinematics.GO1
    trunk = Inertia(
        5.204,
        np.array([0.0223, 0.002, -0.0005]),
        symmetric(0.0168128557, -0.0002296769, -0.0002945293, 0.063009565, -0.0000418731, 0.0716547275),
    )
    hull = Capsule(0.05, [-0.14, 0, 0, 0.24, 0, 0])
    envelope = Capsule(ENVELOPE_RADIUS, ENVELOPE_AXIS)

    @staticmethod
    def links(side: float, end: float) -> Dict[str, Inertia]:
        """See `Quadruped.links`; mirrored as in leg.xacro."""
        hip_tensor = symmetric(
            0.000334008405, -0.000010826066 * side * end, 0.000001290732 * end, 0.000619101213, 0.000001643194 * side,
            0.00040057614,
        )  # fmt: skip
        thigh_tensor = symmetric(
            0.004431760472, 0.000057496807 * side, -0.000218457134, 0.004485671726, 0.000572001265 * side,
            0.000740309489,
        )  # fmt: skip
        calf_tensor = symmetric(
            0.001088793059, -2.55679e-07, 7.117814e-06, 0.001100428748, 2.077264e-06, 0.000024787446
        )
        hip = Inertia(0.591, np.array([-0.005657 * end, -0.008752 * side, -0.000102]), hip_tensor)
        thigh = Inertia(0.92, np.array([-0.003342, -0.018054 * side, -0.033451]), thigh_tensor)
        calf = Inertia(0.135862, np.array([0.006197, 0.001408, -0.116695]), calf_tensor)
        return {
            "hip": combine([hip, point(_ROTOR_MASS, [0, _THIGH_ROTOR_Y * side, 0])]),
            "thigh": combine([thigh, point(_ROTOR_MASS, [0, _CALF_ROTOR_Y * side, 0])]),
            "calf": combine([calf, point(_FOOT_MASS, [0, 0, -kinematics.GO1.calf])]),
        }

    @staticmethod
    def joint_models(end: float) -> Dict[str, JointModel]:
        """See `Quadruped.joint_models`."""
        return _JOINTS

    @staticmethod
    def draw_trunk(draw: Draw, trunk: Any, accent: Colour) -> None:
        """See `Quadruped.draw_trunk`: 0.38 m long, with the head and its camera face."""
        draw.rounded(trunk, [0, 0, -0.005], [0.185, 0.052, 0.050], DARK)
        draw.rounded(trunk, [-0.01, 0, 0.022], [0.190, 0.068, 0.040], SHELL)
        draw.rounded(trunk, [-0.035, 0, 0.052], [0.105, 0.047, 0.016], accent)
        draw.rounded(trunk, [0.205, 0, 0.022], [0.055, 0.046, 0.036], DARK)
        draw.rounded(trunk, [0.250, 0, 0.020], [0.048, 0.060, 0.044], SHELL)
        draw.rounded(trunk, [0.272, 0, 0.020], [0.032, 0.052, 0.036], DARK)
        for side in (1, -1):
            draw.cylinder(trunk, [0.303, 0.024 * side, 0.026], 0.010, 0.004, accent, turn=TURN_X)
            draw.rounded(trunk, [-0.01, 0.062 * side, 0.005], [0.120, 0.010, 0.018], DARK)
