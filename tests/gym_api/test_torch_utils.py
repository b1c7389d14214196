"""Rotations against SciPy, and what programs need of them: any shape, and torch.jit.script."""

import math
import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("scipy")
from scipy.spatial.transform import Rotation

from mapush_stack.gym_api import torch_utils as tu


@pytest.fixture
def batch():
    generator = np.random.default_rng(3)
    a, b = Rotation.random(50, random_state=1), Rotation.random(50, random_state=2)
    return a, b, generator.normal(size=(50, 3))


def tensor(value):
    return torch.as_tensor(np.asarray(value.as_quat() if isinstance(value, Rotation) else value), dtype=torch.float64)


def same_rotation(quaternion, rotation):
    turn = Rotation.from_quat(quaternion.numpy()) * rotation.inv()
    assert turn.magnitude().max() < 1e-6


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-7)


def test_products_and_inverses(batch):
    a, b, _ = batch
    same_rotation(tu.quat_mul(tensor(a), tensor(b)), a * b)
    same_rotation(tu.quat_conjugate(tensor(a)), a.inv())
    close(tu.quat_unit(3 * tensor(a)), a.as_quat())


def test_rotating_vectors(batch):
    a, _, vectors = batch
    for rotate in (tu.quat_apply, tu.quat_rotate, tu.get_basis_vector, tu.tf_vector):
        close(rotate(tensor(a), tensor(vectors)), a.apply(vectors))
    close(tu.quat_rotate_inverse(tensor(a), tensor(vectors)), a.inv().apply(vectors))


def test_quat_apply_takes_the_shapes_of_legged_gym(batch):
    a, _, vectors = batch
    points = tensor(vectors).view(5, 10, 3)
    assert tu.quat_apply(tensor(a).view(5, 10, 4), points).shape == (5, 10, 3)
    repeated = tensor(a)[:5].repeat(1, 10)  # as quat_apply_yaw does for height points
    close(tu.quat_apply(repeated, points)[2], a[2].apply(vectors[20:30]))
    close(tu.quat_apply(tensor(a)[:1], tensor(vectors)), a[0].apply(vectors))


def test_transformations(batch):
    a, b, vectors = batch
    shift, other = tensor(vectors), tensor(vectors[::-1].copy())
    moved = tu.tf_apply(tensor(a), shift, other)
    close(moved, a.apply(other) + vectors)
    close(tu.tf_apply(*tu.tf_inverse(tensor(a), shift), moved), other)
    both = tu.tf_combine(tensor(a), shift, tensor(b), other)
    close(tu.tf_apply(*both, shift), tu.tf_apply(tensor(a), shift, tu.tf_apply(tensor(b), other, shift)))


def test_angles(batch):
    a, _, vectors = batch
    roll, pitch, yaw = tu.get_euler_xyz(tensor(a))
    for angle in (roll, pitch, yaw):
        assert (angle >= 0).all() and (angle < 2 * math.pi).all()
    same_rotation(tu.quat_from_euler_xyz(roll, pitch, yaw), a)
    close(np.stack((roll, pitch, yaw), axis=-1), a.as_euler("xyz") % (2 * math.pi))
    turn = Rotation.from_rotvec(vectors)
    length = np.linalg.norm(vectors, axis=1)
    same_rotation(tu.quat_from_angle_axis(tensor(length), 7 * tensor(vectors)), turn)
    close(
        tu.normalize_angle(torch.tensor([4.0, -4.0, 7.0], dtype=torch.float64)),
        [4 - 2 * math.pi, 2 * math.pi - 4, 7 - 2 * math.pi],
    )


def test_small_helpers():
    assert tu.get_axis_params(-1.0, 2) == [0.0, 0.0, -1.0]
    assert tu.get_axis_params(2.0, 1, x_value=3.0) == [3.0, 2.0, 0.0]
    one, low, high = torch.tensor([0.5]), torch.tensor([-2.0]), torch.tensor([6.0])
    assert tu.scale(one, low, high) == 4.0 and tu.unscale(tu.scale(one, low, high), low, high) == 0.5
    assert tu.tensor_clamp(torch.tensor([9.0]), low, high) == 6.0
    assert tu.copysign(-3.0, torch.tensor([-1.0, 2.0])).tolist() == [-3.0, 3.0]
    drawn = tu.torch_rand_float(2.0, 3.0, (200, 2), "cpu")
    assert drawn.shape == (200, 2) and drawn.min() >= 2 and drawn.max() < 3 and drawn.std() > 0.2
    directions = tu.torch_random_dir_2((200, 1), device="cpu")
    assert directions.shape == (200, 2) and torch.allclose(directions.norm(dim=-1), torch.ones(200))
    assert tu.to_torch([1, 2], device="cpu").dtype == torch.float


def test_a_scripted_program_can_call_them():
    def body(q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        roll, _, _ = tu.get_euler_xyz(tu.quat_mul(q, tu.quat_conjugate(q)))
        there, _ = tu.tf_combine(q, v, tu.quat_from_angle_axis(tu.normalize_angle(roll), tu.normalize(v)), v)
        return tu.quat_rotate_inverse(there, tu.tf_vector(q, v)) + tu.torch_rand_float(0.0, 0.0, (1, 1), "cpu")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(body)
    q, v = torch.tensor([[0.0, 0.0, 0.6, 0.8]]), torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.allclose(scripted(q, v), v, atol=1e-5)


def test_a_star_import_gives_np_and_torch():
    names = {}
    exec("from mapush_stack.gym_api.torch_utils import *", names)
    assert names["np"] is np and names["torch"] is torch and "quat_apply" in names
