"""Files of assets: meshes, masses by density, and what is wrong with a file in one sentence."""

import numpy as np
import pytest
import torch

from mapush_stack.gym_api import gymutil, rlgpu, support
from tests.gym_api.scenes import ROOT, World, box, gym, gymapi, load, options, pendulum, quadruped

CUBE = """v -1 -1 -1\nv -1 -1 1\nv -1 1 -1\nv -1 1 1\nv 1 -1 -1\nv 1 -1 1\nv 1 1 -1\nv 1 1 1
f 1 2 4\nf 1 4 3\nf 5 7 8\nf 5 8 6\nf 1 5 6\nf 1 6 2\nf 3 4 8\nf 3 8 7\nf 1 3 7\nf 1 7 5\nf 2 6 8\nf 2 8 4\n"""


def one_link(inside):
    return f'<robot name="thing"><link name="link">{inside}</link></robot>'


def shape(inside, place="0 0 0"):
    return f'<collision><origin xyz="{place}"/><geometry>{inside}</geometry></collision>'


def test_a_mesh_collides_where_it_is_and_weighs_what_it_fills(tmp_path):
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "cube.obj").write_text(CUBE)
    world = World()
    mesh = shape('<mesh filename="package://thing/meshes/cube.obj" scale="0.1 0.1 0.2"/>', "0 0 0.05")
    asset = load(world, one_link(mesh), tmp_path, density=500.0)
    env = world.add((asset, (0, 0, 0.16)))
    body = gym.get_actor_rigid_body_properties(env, 0)[0]
    assert body.mass == pytest.approx(500 * 0.2 * 0.2 * 0.4, rel=1e-4) and body.com.z == pytest.approx(0.05)
    assert body.inertia.x.x == pytest.approx(body.mass * (0.2**2 + 0.4**2) / 12, rel=1e-3)
    world.prepare()
    world.step(1.0)
    assert world.read(ROOT)[0, 2] == pytest.approx(0.15, abs=2e-3)


@pytest.mark.parametrize(
    ("geometry", "volume", "across"),
    [
        ('<box size="0.2 0.4 0.6"/>', 0.048, 0.048 * (0.4**2 + 0.6**2) / 12),
        ('<sphere radius="0.3"/>', 4 / 3 * np.pi * 0.027, 4 / 3 * np.pi * 0.027 * 0.4 * 0.09),
        ('<cylinder radius="0.1" length="0.5"/>', np.pi * 0.005, np.pi * 0.005 * (3 * 0.01 + 0.25) / 12),
    ],
)
def test_a_body_without_a_mass_is_filled_with_its_density(tmp_path, geometry, volume, across):
    world = World()
    env = world.add((load(world, one_link(shape(geometry)), tmp_path, density=100.0), (0, 0, 1)))
    body = gym.get_actor_rigid_body_properties(env, 0)[0]
    assert body.mass == pytest.approx(100 * volume) and body.inertia.x.x == pytest.approx(100 * across)


def test_cylinders_become_capsules_if_the_program_wants_it(tmp_path):
    text = one_link(shape('<cylinder radius="0.1" length="0.5"/>'))
    for round_ends, height in ((False, 0.25), (True, 0.35)):
        world = World()
        asset = load(world, text, tmp_path, replace_cylinder_with_capsule=round_ends)
        world.add((asset, (0, 0, 0.4)))
        world.prepare()
        world.step(0.6)
        assert world.read(ROOT)[0, 2] == pytest.approx(height, abs=5e-3)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("<robot", ValueError, r"asset.urdf is not XML"),
        ('<robot name="x"><link name="a"/><link name="b"/></robot>', ValueError, "one root link, and this file has 2"),
        (
            pendulum().replace("continuous", "floating"),
            NotImplementedError,
            r"joint hinge of type 'floating'.*scenes.py:\d+",
        ),
        (one_link(shape('<cone radius="1"/>')), NotImplementedError, "shape of type 'cone'"),
        (one_link(shape('<mesh filename="gone.stl"/>')), FileNotFoundError, "the mesh gone.stl is not there"),
        (pendulum().replace('link="bob"', 'link="bobby"'), ValueError, "hinge joins a link that is not there"),
        (one_link(shape('<box size="1 x 1"/>')), ValueError, r"load_asset: .*asset.urdf: .*'x'"),
        (one_link(shape('<box size="1 1"/>')), ValueError, r"load_asset: .*asset.urdf: '1 1' is not three numbers"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_is_wrong_with_it(tmp_path, text, error, words):
    with pytest.raises(error, match=words):
        load(World(), text, tmp_path)


def test_a_number_with_something_after_it_counts_up_to_there(tmp_path):
    world = World()
    env = world.add(
        (load(world, one_link(shape('<box size="0.2 0.2 0.2&gt;&gt;"/>')), tmp_path, density=1000.0), (0, 0, 1))
    )
    assert gym.get_actor_rigid_body_properties(env, 0)[0].mass == pytest.approx(8.0)


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError, match=r"load_asset: .*nowhere/robot.urdf is not there"):
        gym.load_asset(World().sim, "nowhere", "robot.urdf", options())


def test_an_mjcf_file_with_a_ball_joint_or_a_mistake(tmp_path):
    body = (
        '<mujoco><worldbody><body name="a"><joint type="ball" name="hip"/><geom size=".1"/></body></worldbody></mujoco>'
    )
    with pytest.raises(NotImplementedError, match="the ball joint hip"):
        load(World(), body, tmp_path, "robot.xml")
    with pytest.raises(ValueError, match=r"load_asset: .*robot.xml"):
        load(World(), body.replace("geom", "gem"), tmp_path, "robot.xml")


@pytest.mark.parametrize(
    "call",
    [
        lambda sim: gym.create_rigid_body_attractor(None, None),
        lambda sim: gymapi.AttractorProperties(),
        lambda sim: gymutil.check_buckets(gym, [], {}),
        lambda sim: rlgpu.VecTaskGPU(None),
        lambda sim: {"tendons": gym.set_actor_tendon_properties}["tendons"](None, 0, []),
        lambda sim: gym.create_sim(0, -1, gymapi.SIM_FLEX, gymapi.SimParams()),
    ],
)
def test_what_is_not_there_is_refused_by_name_with_the_line_that_asks(call):
    sim = World().sim
    with pytest.raises(
        NotImplementedError,
        match=r"^(gym|rlgpu|SIM_FLEX).*is not supported.*test_files.py:\d+\)$",
    ):
        call(sim)


def test_constants_and_records_that_isaac_gyms_own_tasks_set():
    made, params = gymapi.AssetOptions(), gymapi.SimParams()
    made.vhacd_params.resolution = 300000
    assert gymapi.AssetOptions().vhacd_params.resolution != 300000
    made.vhacd_params, made.mesh_normal_mode = gymapi.VhacdParams(), gymapi.COMPUTE_PER_VERTEX
    params.physx.contact_collection = gymapi.ContactCollection(1)
    assert gymapi.DEFAULT_VIEWER_WIDTH == 1600 and gymapi.MeshType.MESH_VISUAL == gymapi.MESH_VISUAL


def test_joints_are_counted_with_those_that_fix_a_body(tmp_path):
    world = World()
    robot = load(world, quadruped(), tmp_path)
    names = gym.get_asset_joint_names(robot)
    assert gym.get_asset_joint_count(robot) == len(names) == gym.get_asset_rigid_body_count(robot) - 1 == 18
    env = world.add((robot, (0, 0, 1)))
    # Task franka_cube_stack finds a row of the Jacobian by the joint of a body.
    foot = gym.find_asset_rigid_body_index(robot, "FL_foot")
    assert gym.get_actor_joint_dict(env, 0)["FL_foot_joint"] == foot - 1
    assert gym.get_actor_joint_count(env, 0) == 18


def test_a_body_with_a_mass_and_no_inertia_and_a_geom_with_a_material_that_is_not_there(tmp_path):
    """Isaac Gym's own cartpole and humanoid."""
    cart = load(World(), one_link('<inertial><mass value="1"/></inertial>'), tmp_path)
    body = '<body><freejoint/><geom size=".1" material="grid" density="1000"/></body>'
    ball = load(World(), f"<mujoco><worldbody>{body}</worldbody></mujoco>", tmp_path, "ball.xml")
    world = World()
    world.add((cart, (0, 0, 1)), (ball, (0, 2, 1)))
    world.prepare().step(0.1)
    assert world.read(ROOT).isfinite().all() and (world.sim.layouts[0].engine.field("body_inertia")[0, 1:] > 0).all()


def test_a_file_with_moments_of_inertia_that_no_body_has(tmp_path):
    """Isaac Gym's own Kuka hand."""
    wrong = '<inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0.02" ixz="0" iyz="0"/>'
    robot = load(World(), one_link(f'<inertial><mass value="1"/>{wrong}</inertial>'), tmp_path)
    world = World()
    world.add((robot, (0, 0, 1)))
    world.prepare().step(0.1)
    assert world.read(ROOT).isfinite().all()


def test_motors_of_an_mjcf_file_can_be_read_and_its_tendons_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(support, "_used", [])
    text = (
        '<mujoco><worldbody><body><freejoint/><geom size=".1"/><body name="leg"><joint name="hip" axis="0 1 0"/>'
        '<geom size=".1" pos=".3 0 0"/></body></body></worldbody>'
        '<tendon><fixed name="t"><joint joint="hip" coef="1"/></fixed></tendon>'
        '<actuator><motor name="m" gear="15" joint="hip" ctrlrange="-1 1"/></actuator></mujoco>'
    )
    ant = load(World(), text, tmp_path, "ant.xml")
    assert [motor.motor_effort for motor in gym.get_asset_actuator_properties(ant)] == [15.0]
    assert (gym.get_asset_actuator_count(ant), gym.get_asset_actuator_name(ant, 0)) == (1, "m")
    assert gym.get_asset_actuator_joint_name(ant, 0) == "hip" and support._used == ["tendon"]


def test_a_field_that_does_not_exist_cannot_be_set():
    with pytest.raises(AttributeError, match="'AssetOptions' object has no attribute 'fix_base'"):
        gymapi.AssetOptions().fix_base = True


@pytest.mark.parametrize("one", [np.array([2.5]), torch.tensor([2.5]), np.float32(2.5), 2.5])
def test_fields_take_arrays_and_tensors_that_hold_one_number(one):
    body = gymapi.RigidBodyProperties()
    body.mass += one
    assert body.mass == 2.5 and tuple(gymapi.Vec3(one, 0, one)) == (2.5, 0, 2.5)


def test_tensors_need_an_environment_and_prepare_what_the_program_has_not():
    for use in (gym.acquire_actor_root_state_tensor, gym.prepare_sim):
        with pytest.raises(ValueError, match="at least one environment"):
            use(World().sim)
    world = World()
    world.add((box(world), (0, 0, 1)))
    assert world.read(ROOT)[0, 2] == 1.0
    with pytest.raises(RuntimeError, match="create_env must be called before prepare_sim"):
        world.add()


def test_what_has_no_effect_is_told_once(capsys, monkeypatch):
    monkeypatch.setattr(support, "_used", [])
    monkeypatch.setattr(support, "_told", [])
    for thickness in (0.01, 0.03):
        world = World()
        world.sim.params.physx.contact_offset = 0.01
        world.add((gym.create_box(world.sim, 1, 1, 1, options(thickness=thickness, density=500.0)), (0, 0, 1)))
        gym.subscribe_viewer_keyboard_event(None, gymapi.KEY_ESCAPE, "QUIT")
        world.prepare()
    told = capsys.readouterr().err
    for name in ("PhysXParams.contact_offset", "AssetOptions.thickness", "subscribe_viewer_keyboard_event"):
        assert told.count(name) == 1 and support.IGNORED[name] in told
    assert told.count("\n") == 1 and "density" not in told


DAE = """<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema">
<asset><unit meter="0.01"/><up_axis>Y_UP</up_axis></asset>
<library_geometries>
<geometry id="g"><mesh><source id="p"><float_array>{points}</float_array></source>
<source id="n"><float_array>9 9 9 -9 -9 -9</float_array></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene><node><translate>0 5 0</translate>
<node><rotate>0 0 1 90</rotate><scale>1 2 1</scale><instance_geometry url="#g"/></node></node></visual_scene>
</library_visual_scenes></COLLADA>"""


def test_a_collada_mesh_collides_where_its_scene_has_it(tmp_path):
    points = " ".join(f"{x} {y} {z}" for x in (-10, 10) for y in (-10, 10) for z in (-10, 10))
    (tmp_path / "cube.dae").write_text(DAE.format(points=points))
    world = World()
    asset = load(world, one_link(shape('<mesh filename="cube.dae" scale="2 1 1"/>')), tmp_path, density=100.0)
    env = world.add((asset, (0, 0, 0.3)))
    body = gym.get_actor_rigid_body_properties(env, 0)[0]
    # 10 cm to each side, turned about z and then twice as long along what was y; up 5 cm; y of the file is up.
    assert body.mass == pytest.approx(100 * 0.8 * 0.2 * 0.2, rel=1e-3) and body.com.z == pytest.approx(0.05)
    world.prepare().step(1.0)
    assert world.read(ROOT)[0, 2] == pytest.approx(0.05, abs=2e-3)
    for text, words in (("<x", "is not XML"), ("<COLLADA/>", "has no points")):
        (tmp_path / "cube.dae").write_text(text)
        with pytest.raises(ValueError, match=f"load_asset: .*asset.urdf: the mesh .*cube.dae {words}"):
            load(world, one_link(shape('<mesh filename="cube.dae"/>')), tmp_path)


def test_a_mesh_of_an_mjcf_file_collides(tmp_path):
    corners = " ".join(f"{x} {y} {z}" for x in (0, 0.2) for y in (0, 0.2) for z in (0, 0.4))
    text = f'<mujoco><asset><mesh name="m" vertex="{corners}"/></asset><worldbody><body><freejoint/>'
    text += '<geom type="mesh" mesh="m" density="100" pos="0 0 0.1"/></body></worldbody></mujoco>'
    world = World()
    env = world.add((load(world, text, tmp_path, "brick.xml"), (0, 0, 0.2)))
    assert gym.get_actor_rigid_body_properties(env, 0)[0].mass == pytest.approx(1.6)
    gym.set_actor_scale(env, 0, 2.0)
    world.prepare().step(1.0)
    assert world.read(ROOT)[0, 2] == pytest.approx(-0.2, abs=3e-3)  # the file's mesh begins 0.1 m above its body
