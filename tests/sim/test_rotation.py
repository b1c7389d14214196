import math

import torch

from mapush_stack.sim.rotation import conjugate, quaternion_from_rpy, rotate_by_quaternion, rpy_from_quaternion


def matrix(roll, pitch, yaw):
    """Rz(yaw) Ry(pitch) Rx(roll)."""
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
    return torch.tensor(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def angles():
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(100, 3, generator=generator) - 0.5) * torch.tensor([2 * math.pi, math.pi, 2 * math.pi]) * 0.99


def test_rpy_and_quaternion_invert_each_other():
    assert torch.allclose(rpy_from_quaternion(quaternion_from_rpy(angles())), angles(), atol=1e-4)


def test_rotation_is_that_of_the_matrix():
    vector = torch.tensor([0.3, -1.0, 2.0])
    for rpy in angles():
        quaternion = quaternion_from_rpy(rpy)
        rotated = rotate_by_quaternion(quaternion, vector)
        assert torch.allclose(rotated, matrix(*rpy.tolist()) @ vector, atol=1e-5)
        assert torch.allclose(rotate_by_quaternion(conjugate(quaternion), rotated), vector, atol=1e-5)


def test_mujoco_means_the_same(mujoco):
    import mujoco as engine
    import numpy as np

    for rpy in angles()[:20]:
        quaternion = np.zeros(4)
        engine.mju_euler2Quat(quaternion, np.array(rpy.flip(0).tolist()), "ZYX".lower())
        ours = quaternion_from_rpy(rpy.double())
        assert torch.allclose(ours, torch.from_numpy(quaternion), atol=1e-6) or torch.allclose(
            ours, -torch.from_numpy(quaternion), atol=1e-6
        )
