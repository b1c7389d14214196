"""Calls for a single joint, body or contact, and the structured rows that programs make."""

import numpy as np
import pytest
import torch

from tests.gym_api.scenes import BODIES, DOFS, ROOT, World, box, gym, gymapi, load, options, pendulum, quadruped


@pytest.fixture
def world(tmp_path):
    """Two environments with a box and a driven pendulum under a held base."""
    world = World(gravity=-9.81)
    arm = load(world, pendulum(), tmp_path, fix_base_link=True, default_dof_drive_mode=1)
    for _ in range(2):
        env = world.add((box(world), (3, 0, 0.2)), (arm, (0, 0, 1)))
        rows = gym.get_actor_dof_properties(env, 1)
        rows["stiffness"], rows["damping"] = 1000.0, 20.0
        gym.set_actor_dof_properties(env, 1, rows)
    return world


def test_rows_are_made_as_programs_make_them():
    states = np.zeros(3, dtype=gymapi.DofState.dtype)
    states["pos"][1] = 0.5
    bodies = np.zeros(2, gymapi.RigidBodyState.dtype)
    bodies["pose"]["p"]["z"], bodies["pose"]["r"]["w"] = 2.0, 1.0
    assert bodies.view(np.float32).reshape(2, 13)[:, [2, 6]].tolist() == [[2.0, 1.0]] * 2 and states["pos"].sum() == 0.5
    lines = np.empty((2, 2), gymapi.Vec3.dtype)
    lines[0][1] = (1, 2, 3)
    assert gymapi.Vec3.from_buffer(lines[0, 1]) == gymapi.Vec3(1, 2, 3)
    place = gymapi.Transform.from_buffer(bodies["pose"][0])
    assert place.p.z == 2.0 and place.r == gymapi.Quat() == gymapi.Quat.from_buffer([0, 0, 0, 1])


def test_one_joint_is_read_and_driven_by_its_number(world):
    env = world.envs[1]
    hinge = gym.find_actor_dof_handle(env, 1, "hinge")
    assert hinge == gym.get_actor_dof_handle(env, 1, 0) == 0
    gym.set_dof_target_position(env, hinge, 0.4)  # before prepare_sim too
    world.prepare().step(1.0)
    assert gym.get_dof_position(env, hinge) == pytest.approx(0.4, abs=0.01)
    assert gym.get_dof_target_position(env, 0) == pytest.approx(0.4)
    assert world.read(DOFS)[0, 0].abs() < 0.01 and abs(gym.get_dof_velocity(env, hinge)) < 0.01
    frame = gym.get_dof_frame(env, hinge)
    np.testing.assert_allclose(frame.origin, (0, 0, 1), atol=1e-6)
    np.testing.assert_allclose(frame.origin + frame.axis * 0.5, (0, 0.5, 1), atol=1e-6)
    with pytest.raises(IndexError, match="degree of freedom 1 is not there: this environment has 1"):
        gym.set_dof_target_position(env, 1, 0.0)
    for read in (gym.get_dof_position, gym.get_dof_velocity, gym.get_dof_target_position, gym.get_dof_target_velocity):
        with pytest.raises(IndexError, match="degree of freedom -1 is not there"):
            read(env, -1)
    asset = gym.get_actor_asset(env, 1)
    assert gym.get_dof_type_string(gym.get_asset_dof_type(asset, 0)) == "Rotation"


def test_a_body_is_moved_by_its_number_and_shapes_are_found_by_body(world, tmp_path):
    env = world.envs[1]
    cube, bob = gym.get_rigid_handle(env, "actor0", "box"), gym.get_rigid_handle(env, "actor1", "bob")
    assert (cube, bob, gym.get_rigid_handle(env, "actor1", "nothing")) == (0, 2, -1)
    assert gym.get_rigid_name(env, bob) == "bob"
    gym.set_rigid_transform(env, cube, gymapi.Transform(gymapi.Vec3(3, 1, 2)))
    gym.set_rigid_linear_velocity(env, cube, gymapi.Vec3(1, 0, 0))
    gym.set_rigid_angular_velocity(env, cube, gymapi.Vec3(0, 0, 2))
    world.prepare()
    assert world.read(ROOT)[2].tolist() == [3, 1, 2, 0, 0, 0, 1, 1, 0, 0, 0, 0, 2] and world.read(ROOT)[0, 2] < 0.3
    with pytest.raises(NotImplementedError, match="set_rigid_transform of a body that hangs on another"):
        gym.set_rigid_transform(env, bob, gymapi.Transform())
    for wrong in (-1, 3):
        with pytest.raises(IndexError, match=f"body {wrong} is not there: this environment has 3"):
            gym.set_rigid_transform(env, wrong, gymapi.Transform())
    states = world.read(BODIES).clone()
    states[3, :3] = torch.tensor([5.0, 6.0, 7.0])
    gym.set_rigid_body_state_tensor(world.sim, states)
    assert world.read(ROOT)[2, :3].tolist() == [5, 6, 7] and world.read(ROOT)[0, :2].tolist() == [3, 0]
    robot = load(world, quadruped(), tmp_path, collapse_fixed_joints=True)
    ranges = gym.get_asset_rigid_body_shape_indices(robot)
    calf = gym.find_asset_rigid_body_index(robot, "FL_calf")
    assert sum(one.count for one in ranges) == gym.get_asset_rigid_shape_count(robot)
    assert ranges[calf].count == 2 and ranges[calf].start == sum(one.count for one in ranges[:calf])


def test_what_a_search_did_not_find_is_no_actor_and_no_body(world):
    world.prepare()
    nobody = gym.find_actor_handle(world.envs[0], "nobody")
    with pytest.raises(IndexError, match="actor -1 is not there: this environment has 2, counted from 0"):
        gym.set_actor_rigid_shape_properties(world.envs[0], nobody, [])
    for call in (gym.apply_body_forces, gym.get_rigid_transform):
        for number in (-1, 3):
            with pytest.raises(IndexError, match=f"body {number} is not there: this environment has 3"):
                call(world.envs[1], number, *([gymapi.Vec3(1, 0, 0)] if call == gym.apply_body_forces else []))


def test_a_simulation_that_was_destroyed_does_not_go_on(world):
    states = world.prepare().read(ROOT)
    gym.destroy_sim(world.sim)
    assert states[0, 2] == pytest.approx(0.2)
    for use in (gym.simulate, gym.refresh_actor_root_state_tensor, gym.prepare_sim):
        with pytest.raises(RuntimeError, match="was destroyed; make another by create_sim"):
            use(world.sim)


def test_states_can_be_read_while_environments_are_created(world):
    """As NVIDIA's examples do, which take a hand's place as a goal and keep the first states for a reset."""
    env = world.envs[1]
    gym.set_actor_dof_states(env, 1, np.array([(0.5 * np.pi, 0.0)], dtype=gymapi.DofState.dtype), gymapi.STATE_ALL)
    assert gym.get_actor_dof_states(env, 1, gymapi.STATE_POS)["pos"] == pytest.approx(0.5 * np.pi)
    assert gym.get_actor_dof_states(world.envs[0], 1, gymapi.STATE_POS)["pos"] == 0.0
    assert list(gym.get_rigid_transform(env, 0).p) == pytest.approx([3, 0, 0.2])
    frame = gym.get_dof_frame(env, 0)
    assert list(frame.axis) == pytest.approx([0, 1, 0], abs=1e-6)
    gym.create_actor(env, gym.get_actor_asset(env, 0), gymapi.Transform(gymapi.Vec3(7, 0, 0.2)), "later", 1, 0)
    first = np.copy(gym.get_sim_rigid_body_states(world.sim, gymapi.STATE_ALL))
    assert first["pose"]["p"]["x"].tolist() == [3, 0, 0, 3, 0, 0, 7] and not world.sim.layouts
    world.prepare()
    now = gym.get_sim_rigid_body_states(world.sim, gymapi.STATE_ALL)
    np.testing.assert_allclose(now.view(np.float32), first.view(np.float32), atol=1e-6)
    kinds = [gym.get_asset_joint_type(gym.get_actor_asset(env, 1), 0), gymapi.JOINT_FIXED]
    assert [gym.get_joint_type_string(kind) for kind in kinds] == ["Revolute", "Fixed"]


def test_contacts_are_listed_with_the_bodies_that_touch_and_the_forces_between_them(tmp_path):
    world = World(ground=1.0)
    heavy = box(world, 0.4, 10.0)
    for friction in (1.0, 0.5):
        env = world.add((heavy, (0, 0, 0.2)), (box(world, 0.2, 2.0, friction), (0, 0, 0.5)))
        bodies = gym.get_actor_rigid_body_properties(env, 1)
        bodies[0].mass = 4.0 * friction
        gym.set_actor_rigid_body_properties(env, 1, bodies)
    world.add((heavy, (0, 0, 3.0)), (box(world, 0.2, 2.0), (0, 0, 5)))
    world.prepare().step(3.0)
    for env, mass, friction in zip(world.envs, (4.0, 2.0), (1.0, 0.75)):
        rows = gym.get_env_rigid_contacts(env)
        pairs = [tuple(sorted(pair)) for pair in rows[["body0", "body1"]].tolist()]
        assert set(pairs) == {(-1, 0), (0, 1)}
        upper = rows[[pair == (0, 1) for pair in pairs]]
        assert upper["lambda"].sum() == pytest.approx(mass * 9.81, rel=0.02)
        assert upper["friction"] == pytest.approx(friction) and set(upper["env0"]) == {env.index}
        assert np.abs(upper["normal"]["z"]) == pytest.approx(1.0) and (upper["initialOverlap"] <= 0).all()
        spot = upper["localPos1" if upper["body1"][0] == 1 else "localPos0"]
        assert spot["z"] == pytest.approx(-0.1, abs=2e-3)  # under the small box, in its own frame
        net = gym.get_env_rigid_contact_forces(env)
        assert net["z"] == pytest.approx([10 * 9.81, mass * 9.81], rel=0.02)
    assert len(gym.get_rigid_contacts(world.sim)) == sum(len(gym.get_env_rigid_contacts(env)) for env in world.envs)


def test_numbers_of_parameters_are_rounded_to_float32():
    """A program that sizes a queue by ceil(0.01 / dt) needs what Isaac Gym gives: 3."""
    params = gymapi.SimParams()
    params.dt = 0.005
    assert np.ceil(0.01 / params.dt) == 3 and params.dt == np.float32(0.005)
    assert gymapi.SimParams().dt == np.float32(1 / 60) and options(density=0.1).density == np.float32(0.1)


def test_actors_of_several_sizes_are_as_large_and_as_heavy_as_their_size_says(tmp_path):
    world = World(ground=1.0)
    ball, cube = gym.create_sphere(world.sim, 0.1, options(density=1000.0)), box(world, 0.2, 2.0)
    arm = load(world, pendulum(), tmp_path, fix_base_link=True)
    sizes = (1.0, 2.0, np.array([0.5]))
    for size in sizes:
        env = world.add((ball, (0, 0, 0.5)), (cube, (3, 0, 0.5)), (arm, (0, 3, 2)))
        heavier = gym.get_actor_rigid_body_properties(env, 1)
        heavier[0].mass *= 3
        gym.set_actor_rigid_body_properties(env, 1, heavier)
        for actor in range(3):
            gym.set_actor_scale(env, actor, size)
    world.prepare()
    assert len(world.sim.layouts) == 3  # the arm's joints; without it one model has all sizes
    world.step(2.0)
    for row, size in enumerate((1.0, 2.0, 0.5)):
        env = world.envs[row]
        assert gym.get_actor_scale(env, 0) == size
        np.testing.assert_allclose(world.read(ROOT)[3 * row : 3 * row + 2, 2], [0.1 * size] * 2, atol=2e-3)
        masses = [gym.get_actor_rigid_body_properties(env, actor)[0].mass for actor in (0, 1)]
        assert masses == pytest.approx([4 / 3 * np.pi * size**3, 6 * size**3])
        forces = world.read("net_contact_force")[4 * row : 4 * row + 2, 2]
        np.testing.assert_allclose(forces, np.array(masses) * 9.81, rtol=0.02)
        bob = gym.find_actor_rigid_body_handle(env, 2, "bob")
        assert gym.get_actor_rigid_body_properties(env, 2)[1].com.z == pytest.approx(-0.5 * size) and bob == 3
    with pytest.raises(NotImplementedError, match="set_actor_scale after prepare_sim"):
        gym.set_actor_scale(world.envs[0], 0, 3.0)


def test_balls_of_many_sizes_are_one_model():
    world = World(ground=None)
    ball, sizes = gym.create_sphere(world.sim, 0.1, options(density=1000.0)), np.linspace(0.5, 2.0, 16)
    table = box(world, 1.0, fix_base_link=True)
    for size in sizes:
        env = world.add((ball, (0, 0, 0.62 * size)), (table, (0, 0, 0)))
        for actor in range(2):
            gym.set_actor_scale(env, actor, size)
    world.prepare().step(2.0)
    assert len(world.sim.layouts) == 1
    np.testing.assert_allclose(world.read(ROOT)[::2, 2], 0.6 * sizes, atol=2e-3)
    with pytest.raises(ValueError, match="-1 is no size"):
        gym.set_actor_scale(World().add((ball, (0, 0, 0))), 0, -1)
