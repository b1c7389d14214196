"""Who moves the object: the work that each robot does on it, from the contact forces between the two."""

from __future__ import annotations

from typing import Any, List

import torch
from torch import Tensor

from .rotation import rotate_by_quaternion

_NAME, NUMBERS = "work_of_robot", 9
"""A sensor's name begins so; it gives force, torque and point of action."""
_NET_FORCE = 3
"""MuJoCo's `reduce` of a contact sensor: all contacts as one wrench at their centroid, in the arena frame."""


def add_sensors(spec: Any, num_robots: int) -> None:
    """Add to a `mujoco.MjSpec` what `work` needs: a sensor of the contacts of each robot with the object."""
    import mujoco

    fields = mujoco.mjtConDataField
    wanted = (fields.mjCONDATA_FORCE, fields.mjCONDATA_TORQUE, fields.mjCONDATA_POS)
    whole = mujoco.mjtObj.mjOBJ_XBODY  # with the legs that hang on it
    for number in range(num_robots):
        sensor = spec.add_sensor(
            name=f"{_NAME}{number}", type=mujoco.mjtSensor.mjSENS_CONTACT, objtype=whole, objname=f"robot{number}"
        )
        sensor.reftype, sensor.refname = whole, "object"
        sensor.intprm = [sum(1 << int(field) for field in wanted), _NET_FORCE, 1]


def sensors(model: Any) -> List[int]:
    """Where the sensors of `add_sensors` have their numbers in the data of a `mujoco.MjModel`; empty without them."""
    found = [sensor for sensor in map(model.sensor, range(model.nsensor)) if sensor.name.startswith(_NAME)]
    return [int(sensor.adr[0]) + number for sensor in found for number in range(NUMBERS)]


def work(sensed: Tensor, qpos: Tensor, qvel: Tensor, seconds: float, substeps: int) -> Tensor:
    """The work of each robot on the object in each control step, `[T, N, A]` J, negative where it brakes.

    Args:
        sensed: `[T * substeps, N, 9 A]` what the sensors gave in each physics step.
        qpos: `[T * substeps, N, nq]` joint positions after it; the object's pose comes first.
        qvel: `[T * substeps, N, nv]` likewise.
        seconds: length of a physics step.
        substeps: physics steps in a control step.

    """
    force, torque, point = sensed.reshape(*sensed.shape[:-1], -1, 3, 3).unbind(-2)
    spin = rotate_by_quaternion(qpos[..., 3:7], qvel[..., 3:6]).unsqueeze(-2)
    arm = point - qpos[..., None, :3]
    velocity = qvel[..., None, :3] + torch.linalg.cross(spin.expand_as(arm), arm)
    power = (force * velocity + torque * spin).sum(-1)
    done: Tensor = seconds * power.reshape(-1, substeps, *power.shape[1:]).sum(1)
    return done.nan_to_num(0.0, 0.0, 0.0)
