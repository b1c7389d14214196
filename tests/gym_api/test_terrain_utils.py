"""Each generator by what its terrain must be, and triangles against the heights."""

import numpy as np
import pytest

from mapush_stack.gym_api import terrain_utils as tu


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(4)


def terrain(width=80, length=80):
    return tu.SubTerrain("terrain", width=width, length=length, vertical_scale=0.005, horizontal_scale=0.1)


def heights(made):
    return made.height_field_raw * made.vertical_scale


def test_uniform_noise_is_within_its_bounds_and_smooth():
    made = heights(tu.random_uniform_terrain(terrain(), -0.05, 0.05, step=0.005, downsampled_scale=0.2))
    assert made.min() >= -0.05 and made.max() <= 0.05 and made.std() > 0.01
    assert np.abs(np.diff(made, axis=0)).max() < 0.1
    assert len(np.unique(made)) > 10


def test_slopes():
    made = heights(tu.sloped_terrain(terrain(), slope=0.3))
    np.testing.assert_allclose(made[:, 5], 0.3 * 0.1 * np.arange(80), atol=0.006)
    pyramid = heights(tu.pyramid_sloped_terrain(terrain(), slope=0.3, platform_size=3.0))
    assert (pyramid[30:50, 30:50] == pyramid[40, 40]).all()  # the platform
    assert pyramid[40, 40] == pyramid.max() > 0 and pyramid[0].max() == 0
    pit = heights(tu.pyramid_sloped_terrain(terrain(), slope=-0.3, platform_size=3.0))
    np.testing.assert_allclose(pit, -pyramid, atol=0.006)


def test_stairs():
    made = tu.stairs_terrain(terrain(), 0.4, 0.1).height_field_raw
    assert (np.diff(made[::4, 0]) == 20).all() and made[3, 7] == 20
    pyramid = tu.pyramid_stairs_terrain(terrain(), step_width=0.4, step_height=-0.1, platform_size=3.0).height_field_raw
    profile = pyramid[:, 40]
    assert set(np.diff(profile[:40])) == {0, -20} and profile[0] == 0 and (profile == profile[::-1]).all()
    assert 2 * 4 < (profile == profile.min()).sum() <= 30
    wide = tu.pyramid_stairs_terrain(terrain(40, 80), 3.0, 0.1, platform_size=0.0).height_field_raw
    assert (wide == 0).all()  # no room for a stair


def test_obstacles_leave_the_platform_free():
    made = heights(tu.discrete_obstacles_terrain(terrain(), 0.2, 1.0, 2.0, 20, platform_size=3.0))
    assert set(np.round(np.unique(made), 3)) == {-0.2, -0.1, 0.0, 0.1, 0.2}
    assert (made[25:55, 25:55] == 0).all()


def test_waves():
    made = heights(tu.wave_terrain(terrain(), num_waves=2, amplitude=0.4))
    assert made.max() == pytest.approx(0.4, abs=0.02) and made.min() == pytest.approx(-0.4, abs=0.02)
    assert (tu.wave_terrain(terrain(), num_waves=0).height_field_raw == 0).all()


def test_stepping_stones_stand_in_a_deep_ground():
    made = heights(tu.stepping_stones_terrain(terrain(), 0.8, 0.2, 0.0, platform_size=3.0))
    assert made.min() == -10 and (made[25:55, 25:55] == 0).all()
    assert 0.5 < (made > -1).mean() < 0.8  # 0.8 of every metre each way, and the platform


def test_triangles_cover_the_field_and_look_up():
    field = tu.random_uniform_terrain(terrain(7, 5), -0.1, 0.1, 0.01).height_field_raw
    vertices, triangles = tu.convert_heightfield_to_trimesh(field, 0.1, 0.005)
    assert vertices.dtype == np.float32 and triangles.dtype == np.uint32 and len(triangles) == 2 * 6 * 4
    np.testing.assert_allclose(vertices[:, 2].reshape(7, 5), field * 0.005, atol=1e-6)
    np.testing.assert_allclose(vertices[5 * 3 + 2, :2], (0.3, 0.2), atol=1e-6)
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
    assert np.cross(b - a, c - a)[:, 2].sum() / 2 == pytest.approx(0.6 * 0.4, rel=1e-5)


def test_steep_slopes_become_walls():
    field = np.zeros((6, 6), dtype=np.int16)
    field[3:, :] = 200  # a step of 1 m up along the rows
    field[:, 5] += 10  # and a gentle one along the columns
    vertices, _ = tu.convert_heightfield_to_trimesh(field, 0.1, 0.005, slope_threshold=0.75)
    x = vertices[:, 0].reshape(6, 6)
    np.testing.assert_allclose(x[2], x[3])  # the lower edge lies under the upper one
    np.testing.assert_allclose(x[1], 0.1, atol=1e-6)
    np.testing.assert_allclose(vertices[:, 1].reshape(6, 6)[4], np.arange(6) * 0.1, atol=1e-6)
    down, _ = tu.convert_heightfield_to_trimesh(field[::-1], 0.1, 0.005, slope_threshold=0.75)
    x = down[:, 0].reshape(6, 6)
    np.testing.assert_allclose(x[3], x[2])
    corner = np.zeros((4, 4), dtype=np.int16)
    corner[2:, 2:] = 200
    moved, _ = tu.convert_heightfield_to_trimesh(corner, 0.1, 0.005, slope_threshold=0.75)
    np.testing.assert_allclose(moved.reshape(4, 4, 3)[1, 1, :2], (0.2, 0.2), atol=1e-6)
