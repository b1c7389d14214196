"""Grounds: what a ball that is dropped, or a ray, finds."""

import numpy as np
import pytest

from mapush_stack.gym_api import terrain_utils
from tests.gym_api.scenes import ROOT, World, gym, gymapi, options, rubbed

H, V, BORDER = 0.1, 0.005, 2.0
"""legged_gym's horizontal and vertical scale, and border, m."""

mujoco = pytest.importorskip("mujoco", reason="MuJoCo 4 needs Python 3.11")


def rows(seed=0):
    """Samples [40, 70] of a ground that is not square, with a different height everywhere: slopes and steps."""
    x, y = np.arange(40)[:, None], np.arange(70)[None, :]
    return (20 * np.sin(0.3 * x + seed) + 15 * np.cos(0.17 * y) + 2 * (y > 30) * x).astype(np.int16)


def as_field(world, samples, friction=1.0):
    """As legged_gym's `_create_heightfield` does."""
    params = gymapi.HeightFieldParams()
    params.column_scale = params.row_scale = H
    params.static_friction = friction
    params.vertical_scale, params.nbRows, params.nbColumns = V, samples.shape[1], samples.shape[0]
    params.transform.p.x = params.transform.p.y = -BORDER
    gym.add_heightfield(world.sim, samples, params)


def as_mesh(world, samples, threshold=None):
    """As legged_gym's `_create_trimesh` does."""
    vertices, triangles = terrain_utils.convert_heightfield_to_trimesh(samples, H, V, threshold)
    mesh(world, vertices, triangles, (-BORDER, -BORDER, 0.0))


def mesh(world, vertices, triangles, place=(0.0, 0.0, 0.0), friction=1.0):
    params = gymapi.TriangleMeshParams()
    params.nb_vertices, params.nb_triangles = len(vertices), len(triangles)
    params.transform.p, params.static_friction = gymapi.Vec3(*place), friction
    vertices, triangles = vertices.astype(np.float32), triangles.astype(np.uint32)
    gym.add_triangle_mesh(world.sim, vertices.flatten(order="C"), triangles.flatten(order="C"), params)


def box_mesh(low, high):
    """The twelve triangles of a box, as MQE's walls are given."""
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corners, np.array([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))])


def heights(world, places):
    """Where a ray from above meets the ground `[n]`, m."""
    layout = world.sim.layouts[0]
    data, model, hit = layout.engine.data(0), layout.engine.model, np.zeros(1, dtype=np.int32)
    mujoco.mj_forward(model, data)
    found = [
        mujoco.mj_ray(model, data, np.array([x, y, 50.0]), np.array([0, 0, -1.0]), None, 1, -1, hit) for x, y in places
    ]
    return 50.0 - np.array(found)


def with_ball(world):
    ball = gym.create_sphere(world.sim, 0.05, options())
    world.add((ball, (100, 100, 9)))
    return world.prepare()


@pytest.mark.parametrize("add", [as_field, as_mesh])
def test_the_ground_is_where_legged_gym_reads_its_heights(add):
    world, samples = World(ground=None), rows()
    add(world, samples)
    with_ball(world)
    places = np.random.default_rng(0).integers([1, 1], [39, 69], size=(200, 2))
    found = heights(world, places * H - BORDER)
    np.testing.assert_allclose(found, samples[places[:, 0], places[:, 1]] * V, atol=1e-4)


@pytest.mark.parametrize("add", [as_field, as_mesh])
def test_a_ball_rests_at_the_height_of_the_samples(add):
    world = World(ground=None)
    samples = np.zeros((40, 70), dtype=np.int16)
    for number, (i, j) in enumerate([(5, 10), (20, 50), (30, 12), (10, 60)]):
        samples[i - 4 : i + 5, j - 4 : j + 5] = 40 + 30 * number
        samples[i, j] -= 20  # a hollow, in which a ball stays
    add(world, samples)
    spots = [(5, 10), (20, 50), (30, 12), (10, 60), (35, 65)]
    ball = gym.create_sphere(world.sim, 0.05, options(angular_damping=5.0, linear_damping=1.0))
    for i, j in spots:
        world.add((ball, (i * H - BORDER, j * H - BORDER, 1.2)))
    world.prepare()
    world.step(2.0)
    at_rest = world.read(ROOT)[:, 2].numpy() - 0.05
    np.testing.assert_allclose(at_rest, [samples[i, j] * V for i, j in spots], atol=0.03)


def test_a_grid_with_walls_becomes_a_plane_and_boxes_without_gaps():
    """MQE's arenas: a flat floor inside of walls, cells that touch."""
    samples = np.zeros((60, 80), dtype=np.int16)
    samples[:2], samples[-2:], samples[:, :2], samples[:, -2:] = 200, 200, 200, 200
    samples[20:22, 2:40] = 200
    world = World(ground=None)
    as_mesh(world, samples, 0.75)
    with_ball(world)
    kinds = world.sim.layouts[0].engine.model.geom_type.tolist()
    assert mujoco.mjtGeom.mjGEOM_HFIELD not in kinds and kinds.count(int(mujoco.mjtGeom.mjGEOM_PLANE)) == 1
    i, j = np.meshgrid(np.arange(0.25, 59.0, 0.5), np.arange(0.25, 79.0, 0.5), indexing="ij")
    found = heights(world, np.stack((i, j), -1).reshape(-1, 2) * H - BORDER).reshape(i.shape)
    row, column = i.astype(int), j.astype(int)
    corners = np.stack([samples[row + a, column + b] for a in (0, 1) for b in (0, 1)])
    np.testing.assert_allclose(found[corners.min(0) == 200], 1.0, atol=1e-6)  # walls are vertical at their samples
    np.testing.assert_allclose(found[corners.min(0) == 0], 0.0, atol=1e-6)


@pytest.mark.parametrize("others", [0, 30])  # few blocks are bodies of their own
def test_walls_of_box_meshes_hold_what_runs_into_them(others):
    world = World(ground=None, dt=0.002)
    for number in range(others):
        mesh(world, *box_mesh((9, number, 0.0), (9.5, number + 0.5, 1.0)), friction=0.0)
    mesh(world, *box_mesh((-5, -5, -0.5), (5, 5, 0.0)), friction=0.0)
    mesh(world, *box_mesh((2, -5, 0.0), (2.2, 5, 1.0)), friction=0.0)
    ball = rubbed(gym.create_sphere(world.sim, 0.1, options()), 0.0)
    world.add((ball, (0, 0, 0.1)))
    world.prepare()
    world.step(0.05)
    world.move(0, vel=[4.0, 0, 0])
    world.step(1.0)
    state = world.read(ROOT)[0]
    assert state[0] < 1.93 and state[2] == pytest.approx(0.1, abs=0.01)


def test_a_tilted_plane_and_its_distance():
    world = World(ground=None)
    plane = gymapi.PlaneParams()
    plane.normal, plane.distance = gymapi.Vec3(0.6, 0, 0.8), -1.0  # points p with p . normal = 1
    gym.add_ground(world.sim, plane)
    with_ball(world)
    np.testing.assert_allclose(heights(world, [(0, 0), (1, 0), (0, 1)]), [1.25, 0.5, 1.25], atol=1e-6)


def test_a_slope_slides_as_its_angle_and_friction_say():
    world = World(ground=None, substeps=4)
    x = np.arange(60)[:, None] + np.zeros((1, 40))
    as_field(world, (x * 10).astype(np.int16), friction=0.0)  # 0.05 m a step of 0.1 m
    slab = rubbed(gym.create_box(world.sim, 0.5, 0.5, 0.1, options(density=300)), 0.4)
    angle = np.arctan(0.5)
    turn = gymapi.Quat.from_axis_angle(gymapi.Vec3(0, 1, 0), -angle)
    world.add((slab, gymapi.Transform(gymapi.Vec3(2.0, 0.0, (2.0 + BORDER) * 0.5 + 0.05 / np.cos(angle)), turn)))
    world.prepare()
    world.step(0.2)
    before = float(world.read(ROOT)[0, 7:10].norm())
    world.step(0.6)
    slide = (float(world.read(ROOT)[0, 7:10].norm()) - before) / 0.6
    assert slide == pytest.approx(9.81 * (np.sin(angle) - 0.2 * np.cos(angle)), rel=0.05)


def test_grounds_that_cannot_be_had_are_refused_by_name():
    world = World(ground=None)
    ramp = (
        np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0.5], [0, 1, 0.5], [0.5, 0.5, 2]], float),
        np.array([[0, 1, 4], [1, 2, 4]]),
    )
    with pytest.raises(NotImplementedError, match=r"neither a box nor a surface.*add_heightfield.*test_ground.py:\d+"):
        mesh(world, *ramp)
    mesh(world, *box_mesh((-5, -5, -0.5), (5, 5, 0.0)), friction=0.5)
    mesh(world, *box_mesh((2, -5, 0.0), (2.2, 5, 1.0)), friction=1.0)
    with pytest.raises(NotImplementedError, match="a ground of several frictions"):
        with_ball(world)
    world = World(ground=None)
    as_field(world, rows())
    gym.create_env(world.sim, gymapi.Vec3(-1, -1, 0), gymapi.Vec3(1, 1, 1), 1)
    env = gym.create_env(world.sim, gymapi.Vec3(-1, -1, 0), gymapi.Vec3(1, 1, 1), 1)
    for one in world.sim.envs:
        gym.create_actor(one, gym.create_sphere(world.sim, 0.05), gymapi.Transform(), "ball", 0, 0)
    assert env is world.sim.envs[1]
    with pytest.raises(NotImplementedError, match="create_env with zeros"):
        world.prepare()


def test_a_surface_of_any_triangles_is_sampled():
    """As `pydelatin` leaves a height map: few triangles where it is flat."""
    x, y = np.meshgrid([0.0, 0.5, 0.9, 4.0], [0.0, 1.3, 2.0, 3.0], indexing="ij")
    height = 0.3 * x + 0.2 * np.maximum(y - 1.3, 0.0)
    points = np.stack((x, y, height), axis=-1).reshape(-1, 3)
    squares = [4 * i + j for i in range(3) for j in range(3)]
    faces = [corner for k in squares for corner in ((k, k + 4, k + 5), (k, k + 5, k + 1))]
    order = np.random.default_rng(0).permutation(len(faces))  # not in the order of a grid
    world = World(ground=None)
    mesh(world, points, np.array(faces)[order])
    world.add((gym.create_sphere(world.sim, 0.1, options()), (2, 1, 5)))
    world.prepare()
    places = np.array([[0.3, 0.4], [2.7, 0.9], [3.1, 2.6], [1.2, 1.3]])
    wanted = 0.3 * places[:, 0] + 0.2 * np.maximum(places[:, 1] - 1.3, 0.0)
    np.testing.assert_allclose(heights(world, places), wanted, atol=0.01)


def test_a_surface_with_a_wall_or_two_layers_is_refused():
    corners, faces = box_mesh((0, 0, 0), (1, 1, 1))
    two_boxes = np.concatenate((corners, corners * 2)), np.concatenate((faces, faces + 8))
    hole = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [1, 1, 1]], float), np.array([[0, 1, 4], [1, 2, 4]])
    for points, triangles in (two_boxes, hole):
        with pytest.raises(NotImplementedError, match="one height at each place"):
            mesh(World(ground=None), points, triangles)
