"""Pictures, and what is said where none can be drawn."""

import math

import numpy as np
import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.gym_api import gymtorch
from mapush_stack.sim import opengl
from tests.gym_api.scenes import World, box, gym, gymapi

RED, BLUE = (0.9, 0.1, 0.1), (0.1, 0.1, 0.9)


@pytest.fixture(scope="module")
def drawing():
    """Skips where no OpenGL library can draw."""
    try:
        opengl.choose_gl()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def studio(drawing):
    """A red cube in front of the origin, 2 m away, and a blue one to the left; a camera of 64 x 48."""
    world = World(gravity=0.0)
    cube = box(world, 0.4)
    env = world.add((cube, (2.2, 0, 1)), (cube, (0, 2.2, 1)))
    properties = gymapi.CameraProperties()
    properties.width, properties.height, properties.horizontal_fov = 64, 48, 60.0
    camera = gym.create_camera_sensor(env, properties)
    for actor, colour in enumerate((RED, BLUE)):
        gym.set_rigid_body_color(env, actor, 0, gymapi.MESH_VISUAL, gymapi.Vec3(*colour))
    world.prepare()
    gym.set_camera_location(camera, env, gymapi.Vec3(0, 0, 1), gymapi.Vec3(1, 0, 1))
    return world, env, camera


def picture(world, env, camera, kind=gymapi.IMAGE_COLOR):
    gym.step_graphics(world.sim)
    gym.render_all_camera_sensors(world.sim)
    return gym.get_camera_image(world.sim, env, camera, kind)


def colours(world, env, camera):
    image = picture(world, env, camera)
    assert image.shape == (48, 256) and image.dtype == np.uint8
    return image.reshape(48, 64, 4).astype(int)


def is_red(pixels):
    return (pixels[..., 0] > 2 * pixels[..., 2]) & (pixels[..., 0] > 60)


def is_blue(pixels):
    return (pixels[..., 2] > 2 * pixels[..., 0]) & (pixels[..., 2] > 60)


def test_colours_and_the_field_of_view(studio):
    pixels = colours(*studio)
    red = is_red(pixels)
    assert red[24, 32] and not is_blue(pixels).any() and (pixels[..., 3] == 255).all()
    # 0.4 m at 2 m, of a picture that is 2 * 2 m * tan(30 degrees) wide.
    assert red[24].sum() == pytest.approx(64 * 0.4 / (4 * math.tan(math.radians(30))), abs=1.5)
    assert red[:, 32].sum() == pytest.approx(red[24].sum(), abs=1.5)  # pixels are square


def test_depth_is_negative_metres_and_the_sky_is_endless(studio):
    depth = picture(*studio, gymapi.IMAGE_DEPTH)
    assert depth.shape == (48, 64) and depth.dtype == np.float32
    assert depth[24, 32] == pytest.approx(-2.0, abs=0.02) and depth[0, 0] == -np.inf
    assert depth[47, 0] == pytest.approx(-1.0 / math.tan(math.radians(30)) * 64 / 48, rel=0.05)  # the ground


def test_a_camera_on_a_body_follows_it(studio):
    world, env, camera = studio
    place = gymapi.Transform(gymapi.Vec3(0.3, 0, 0), gymapi.Quat())
    gym.attach_camera_to_body(camera, env, 1, place, gymapi.FOLLOW_TRANSFORM)
    half = math.sqrt(0.5)
    world.move(1, pos=[2.2, 2.2, 1], quat=[0, 0, -half, half])  # looks along -y, at the red one
    assert is_red(colours(world, env, camera))[24, 32]
    pose = gym.get_camera_transform(world.sim, env, camera)
    assert list(pose.p) == pytest.approx([2.2, 1.9, 1.0], abs=1e-5)
    world.move(1, quat=[half, 0, 0, half])  # its z is the world's -y: what was above is beside
    assert gym.get_camera_transform(world.sim, env, camera).r.rotate(gymapi.Vec3(0, 0, 1)).y == pytest.approx(-1.0)
    gym.attach_camera_to_body(camera, env, 1, place, gymapi.FOLLOW_POSITION)
    pose = gym.get_camera_transform(world.sim, env, camera)
    assert list(pose.p) == pytest.approx([2.5, 2.2, 1.0]) and list(pose.r) == [0, 0, 0, 1]


def test_a_picture_is_of_the_state_as_it_is_and_of_its_own_environment(drawing, tmp_path):
    world = World(gravity=0.0)
    cube = box(world, 0.4)
    properties = gymapi.CameraProperties()
    properties.width, properties.height = 64, 48
    for _ in range(2):
        env = world.add((cube, (2.2, 0, 1)))
        gym.create_camera_sensor(env, properties)
        gym.set_camera_location(0, env, gymapi.Vec3(0, 0, 1), gymapi.Vec3(1, 0, 1))
    gym.set_rigid_body_color(world.envs[1], 0, 0, gymapi.MESH_VISUAL_AND_COLLISION, gymapi.Vec3(*RED))
    world.prepare()
    one, two = (colours(world, env, 0) for env in world.envs)
    assert is_red(two)[24, 32] and not is_red(one).any()
    world.move(1, pos=[2.2, 9.0, 1])
    assert not is_red(colours(world, world.envs[1], 0)).any()
    path = tmp_path / "picture.png"
    gym.write_camera_image_to_file(world.sim, world.envs[0], 0, gymapi.IMAGE_COLOR, str(path))
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    np.testing.assert_array_equal(np.array(image.open(path)), one)


def test_optical_flow_is_refused_by_name(studio):
    with pytest.raises(NotImplementedError, match=r"IMAGE_OPTICAL_FLOW is not supported.*test_camera.py:\d+"):
        picture(*studio, gymapi.IMAGE_OPTICAL_FLOW)


def test_segmentation_shows_the_numbers_of_bodies(studio):
    world, env, camera = studio
    assert gym.get_rigid_body_segmentation_id(env, 0, 0) == 0
    gym.set_rigid_body_segmentation_id(env, 0, 0, 7)
    seen = picture(world, env, camera, gymapi.IMAGE_SEGMENTATION)
    assert seen.shape == (48, 64) and seen.dtype == np.int32 and seen[24, 32] == 7 and set(seen.flatten()) == {0, 7}
    assert ((seen == 7) != is_red(colours(world, env, camera))).mean() < 0.005  # but for soft edges


def test_tensors_of_pictures_are_drawn_anew_by_render_all_camera_sensors(drawing):
    world = World(gravity=0.0)
    properties = gymapi.CameraProperties()
    properties.width, properties.height, properties.enable_tensors = 64, 48, True
    env = world.add((box(world, 0.4), (2.2, 0, 1)))
    camera = gym.create_camera_sensor(env, properties)
    gym.set_camera_location(camera, env, gymapi.Vec3(0, 0, 1), gymapi.Vec3(1, 0, 1))
    gym.set_rigid_body_color(env, 0, 0, gymapi.MESH_VISUAL, gymapi.Vec3(*RED))
    kinds = (gymapi.IMAGE_DEPTH, gymapi.IMAGE_COLOR)  # before prepare_sim, as programs do
    depth, colour = (gymtorch.wrap_tensor(gym.get_camera_image_gpu_tensor(world.sim, env, 0, kind)) for kind in kinds)
    world.prepare()
    for distance in (2.0, 3.0):
        world.move(0, pos=[distance + 0.2, 0, 1])
        gym.render_all_camera_sensors(world.sim)
        gym.start_access_image_tensors(world.sim)
        assert depth[24, 32] == pytest.approx(-distance, abs=0.02) and depth.shape == (48, 64)
        assert colour.dtype == torch.uint8 and colour.shape == (48, 64, 4) and is_red(colour.int().numpy())[24, 32]
        gym.end_access_image_tensors(world.sim)


def test_matrices_of_a_camera_tell_where_in_the_world_a_pixel_is(studio):
    """As Isaac Gym's examples make points of a depth picture."""
    world, env, camera = studio
    gym.set_camera_location(camera, env, gymapi.Vec3(0.5, -0.3, 2), gymapi.Vec3(2.2, 0.1, 1))
    depth = picture(world, env, camera, gymapi.IMAGE_DEPTH)
    view, proj = gym.get_camera_view_matrix(world.sim, env, camera), gym.get_camera_proj_matrix(world.sim, env, camera)
    across, up = 2 / proj[0, 0], 2 / proj[1, 1]
    places = {}
    for row, column in ((24, 32), (20, 12), (45, 50)):
        u, v, d = -(column + 0.5 - 32) / 64, (row + 0.5 - 24) / 48, depth[row, column]
        places[row, column] = np.array([d * across * u, d * up * v, d, 1.0]) @ np.linalg.inv(view)
    assert np.abs(places[24, 32][:3] - [2.2, 0, 1]).max() < 0.3  # on the cube
    for row, column in ((20, 12), (45, 50)):
        assert places[row, column][2] == pytest.approx(0.0, abs=0.03)  # on the ground


def test_the_package_to_install_is_named_where_nothing_can_draw(monkeypatch):
    world = World()
    env = world.add((box(world), (0, 0, 1)))
    camera = gym.create_camera_sensor(env, gymapi.CameraProperties())
    world.prepare()
    monkeypatch.setattr("mapush_stack.gym_api.camera._renderers", {})
    monkeypatch.setattr(opengl, "_GL_LIBRARIES", ("nonsense",))
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.raises(UserError, match="apt-get install libosmesa6"):
        gym.get_camera_image(world.sim, env, camera, gymapi.IMAGE_COLOR)
