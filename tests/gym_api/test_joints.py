"""Joints: order, limits, drives, and what of it belongs to one environment."""

import math

import numpy as np
import pytest
import torch

from tests.gym_api.scenes import World, gym, gymapi, gymtorch, load, pendulum, quadruped

LEGS = ("FL", "FR", "RL", "RR")
JOINTS = [f"{leg}_{part}_joint" for leg in LEGS for part in ("hip", "thigh", "calf")]


def swing(tmp_path, count=1, gravity=0.0, mode=gymapi.DOF_MODE_EFFORT, inertia=0.2501, **values):
    """A world of pendulums that hang, with the moment of inertia 0.2501 kg m^2, and a function that changes rows."""
    world = World(gravity=gravity, ground=None)
    asset = load(world, pendulum(**values), tmp_path, fix_base_link=True, default_dof_drive_mode=int(mode))
    for _ in range(count):
        world.add((asset, (0, 0, 2)))

    def change(env, **fields):
        rows = gym.get_actor_dof_properties(world.envs[env], 0)
        for name, value in fields.items():
            rows[name] = value
        assert gym.set_actor_dof_properties(world.envs[env], 0, rows)

    return world, change


def drive(world, kind, values):
    getattr(gym, f"set_dof_{kind}_tensor")(world.sim, torch.tensor(values, dtype=torch.float32))


def test_bodies_and_joints_come_depth_first_by_the_names_of_the_joints(tmp_path):
    world = World()
    asset = load(world, quadruped(), tmp_path, collapse_fixed_joints=True)
    assert gym.get_asset_dof_names(asset) == JOINTS
    parts = [f"{leg}_{part}" for leg in LEGS for part in ("hip", "thigh", "calf")]
    assert gym.get_asset_rigid_body_names(asset) == ["base", *parts, "mast"]
    whole = load(world, quadruped(), tmp_path, collapse_fixed_joints=False)
    assert gym.get_asset_rigid_body_count(whole) == 1 + 2 + 4 * 4
    env = world.add((asset, (0, 0, 1)), (whole, (0, 5, 1)))
    masses = {
        name: body.mass for name, body in zip(["base", *parts, "mast"], gym.get_actor_rigid_body_properties(env, 0))
    }
    assert masses["base"] == pytest.approx(6.2) and masses["mast"] == pytest.approx(0.4)
    calf = gym.get_actor_rigid_body_properties(env, 0)[parts.index("FL_calf") + 1]
    assert calf.mass == pytest.approx(0.2) and calf.com.z == pytest.approx(-(0.15 * 0.1 + 0.05 * 0.2) / 0.2)
    assert calf.inertia.x.x == pytest.approx(1.1e-3 + 0.15 * 0.05 / 0.2 * 0.1**2)  # parallel axes


def test_limits_speeds_and_efforts_of_a_file_are_read(tmp_path):
    world = World()
    rows = gym.get_asset_dof_properties(load(world, quadruped(), tmp_path))
    assert rows["hasLimits"].all() and set(rows["velocity"]) == {20.0} and set(rows["effort"]) == {40.0}
    assert set(rows["lower"]) == {-2.5}
    free = gym.get_asset_dof_properties(load(world, pendulum(), tmp_path))[0]
    assert not free["hasLimits"] and free["effort"] > 1e30


def test_an_effort_turns_a_joint_by_its_inertia_and_stays_until_it_is_set_anew(tmp_path):
    world, _ = swing(tmp_path)
    world.prepare()
    drive(world, "actuation_force", [0.5])
    world.step(0.1)
    assert world.read("dof_state")[0, 1] == pytest.approx(0.5 / 0.2501 * 0.1, rel=2e-3)
    drive(world, "actuation_force", [0.0])
    world.step(0.1)
    assert world.read("dof_state")[0, 1] == pytest.approx(0.5 / 0.2501 * 0.1, rel=2e-3)


def test_a_position_drive_reaches_its_target_with_the_gains_of_its_environment(tmp_path):
    world, change = swing(tmp_path, 4, mode=gymapi.DOF_MODE_POS)
    change(0, stiffness=50.0, damping=7.0)
    change(1, stiffness=5.0, damping=20.0)
    change(2, stiffness=50.0, damping=7.0, effort=1.0)
    world.prepare()
    change(3, stiffness=50.0, damping=7.0, effort=1.0)
    drive(world, "position_target", [0.6, 0.6, 0.6, 0.6])
    world.step()
    first = world.read("dof_state")[:, 1].clone()
    torque = torch.tensor([30.0, 3.0, 1.0, 1.0])
    torch.testing.assert_close(first, torque * world.dt / 0.2501, rtol=0.3, atol=0)  # damping is implicit
    world.step(2.0)
    angles = world.read("dof_state")[:, 0]
    assert angles[0] == pytest.approx(0.6, abs=1e-3) and angles[2] == pytest.approx(0.6, abs=1e-3)
    assert angles[1] == pytest.approx(0.6 * (1 - math.exp(-2.0 * 5 / 20)), abs=0.02)
    drive(world, "position_target", [-0.3] * 4)
    world.step(2.0)
    assert world.read("dof_state")[0, 0] == pytest.approx(-0.3, abs=1e-3)


def test_a_velocity_drive_reaches_its_speed(tmp_path):
    world, change = swing(tmp_path, 1, mode=gymapi.DOF_MODE_VEL)
    change(0, damping=10.0, stiffness=100.0)
    world.prepare()
    drive(world, "velocity_target", [2.0])
    world.step(1.0)
    assert world.read("dof_state")[0, 1] == pytest.approx(2.0, abs=0.01)
    assert world.read("dof_force")[0] == pytest.approx(0.0, abs=0.1)


def test_joints_stop_at_their_limits_and_keep_to_their_speeds(tmp_path):
    world, change = swing(tmp_path, 3)
    for env in range(3):
        change(env, hasLimits=True, lower=-0.5, upper=0.5, velocity=6.0)
    world.prepare()
    change(1, upper=1.0)
    change(2, velocity=1.5)
    fastest = torch.zeros(3)
    drive(world, "actuation_force", [8.0] * 3)
    for _ in range(100):
        world.step()
        fastest = torch.maximum(fastest, world.read("dof_state")[:, 1].abs())
    np.testing.assert_allclose(fastest[2], 1.5, rtol=1e-3)
    assert fastest[0] > 2.0
    np.testing.assert_allclose(world.read("dof_state")[:, 0], [0.5, 1.0, 0.5], atol=0.03)
    change(1, upper=0.5)  # and back
    change(2, velocity=6.0)
    world.step(1.0)
    np.testing.assert_allclose(world.read("dof_state")[:, 0], [0.5, 0.5, 0.5], atol=0.03)


def test_a_speed_that_is_set_beyond_the_limit_is_cut(tmp_path):
    world, change = swing(tmp_path, 2)
    change(0, velocity=6.0)
    change(1, velocity=4.0)
    world.prepare()
    gym.set_dof_state_tensor(world.sim, torch.tensor([[0.0, 50.0], [0.0, 50.0]]))
    world.step()
    np.testing.assert_allclose(world.read("dof_state")[:, 1], [6.0, 4.0], rtol=1e-3)


def test_damping_armature_friction_and_springs_of_joints_that_nothing_drives(tmp_path):
    world, change = swing(tmp_path, 5, mode=gymapi.DOF_MODE_NONE)
    change(0, damping=0.1)
    change(1, armature=0.2501)
    world.prepare()
    change(2, damping=0.1)
    change(3, friction=0.1)
    change(4, stiffness=0.5)
    gym.set_dof_state_tensor(world.sim, torch.tensor([[0.0, 2.0]] * 4 + [[0.5, 0.0]]))
    world.step(0.5)
    e, speed = math.exp(-0.1 / 0.2501 * 0.5), 2.0 - 0.1 / 0.2501 * 0.5
    rate = math.sqrt(0.5 / 0.2501)
    wanted = [2 * e, 2.0, 2 * e, speed, -0.5 * rate * math.sin(0.5 * rate)]
    np.testing.assert_allclose(world.read("dof_state")[:, 1], wanted, rtol=0.02)
    change(2, damping=0.0)  # and back
    drive(world, "actuation_force", [0.0, 0.5, 0.0, 0.0, 0.0])
    before = world.read("dof_state")[:, 1].clone()
    world.step(0.2)
    assert world.read("dof_state")[2, 1] == pytest.approx(float(before[2]), rel=1e-3)
    assert world.read("dof_state")[1, 1] - before[1] == pytest.approx(0.5 * 0.2 / 0.5002, rel=1e-2)


def test_a_pendulum_swings_with_its_period(tmp_path):
    world, _ = swing(tmp_path, 1, gravity=-9.81)
    world.prepare()
    gym.set_dof_state_tensor(world.sim, torch.tensor([[0.1, 0.0]]))
    world.step(2 * math.pi * math.sqrt(0.2501 / (9.81 * 0.5)) / 2)
    assert world.read("dof_state")[0, 0] == pytest.approx(-0.1, abs=2e-3)


def test_an_mjcf_file_keeps_its_joints_masses_and_shapes(tmp_path):
    text = """<mujoco><compiler angle="radian"/><worldbody><geom type="plane" size="1 1 1"/>
      <body name="trunk" pos="0 0 1"><freejoint/><geom name="hull" type="box" size=".2 .1 .05" mass="3"/>
        <body name="arm" pos=".2 0 0"><joint name="shoulder" type="hinge" axis="0 1 0" range="-1 1" limited="true"
          damping=".2" stiffness="4" armature=".01"/><geom type="capsule" size=".02 .1" pos="0 0 -.1" mass=".5"/>
          <body name="rod" pos="0 0 -.2"><joint name="slider" type="slide" axis="0 0 1"/>
            <geom type="sphere" size=".03" mass=".1"/></body></body></body>
      </worldbody></mujoco>"""
    world = World(gravity=0.0, ground=None)
    asset = load(world, text, tmp_path, "robot.xml", default_dof_drive_mode=3)
    assert gym.get_asset_rigid_body_names(asset) == ["trunk", "arm", "rod"]
    assert gym.get_asset_dof_names(asset) == ["shoulder", "slider"]
    assert gym.get_asset_rigid_shape_count(asset) == 3
    rows = gym.get_asset_dof_properties(asset)
    np.testing.assert_allclose(rows["upper"][0], 1.0)
    assert list(rows["hasLimits"]) == [True, False] and rows["stiffness"][0] == 4.0
    env = world.add((asset, (0, 0, 1)))
    assert sum(body.mass for body in gym.get_actor_rigid_body_properties(env, 0)) == pytest.approx(3.6)
    world.prepare()
    gym.set_dof_state_tensor(world.sim, torch.tensor([[0.5, 0.0], [0.0, 0.0]]))
    world.step(0.05)
    assert world.read("dof_state")[0, 1] < -0.5  # its own spring pulls it back


def test_states_and_targets_of_one_actor_by_numpy(tmp_path):
    """The older calls, which IsaacGymEnvs and forks of legged_gym still make."""
    world, change = swing(tmp_path, 2, mode=gymapi.DOF_MODE_POS)
    change(1, stiffness=50.0, damping=7.0)
    env = world.prepare().envs[1]
    states = gym.get_actor_dof_states(env, 0, gymapi.STATE_ALL)
    states["pos"], states["vel"] = 0.4, 1.5
    assert gym.set_actor_dof_states(env, 0, states, gymapi.STATE_POS)
    np.testing.assert_allclose(world.read("dof_state"), [[0, 0], [0.4, 0]])
    assert gym.set_actor_dof_states(env, 0, states, gymapi.STATE_ALL)
    np.testing.assert_allclose(world.read("dof_state"), [[0, 0], [0.4, 1.5]])
    np.testing.assert_allclose(gym.get_actor_dof_position_targets(env, 0), [0.0])
    assert gym.set_actor_dof_position_targets(env, 0, np.array([0.2], dtype=np.float32))
    world.step(2.0)
    np.testing.assert_allclose(gym.get_actor_dof_states(env, 0, gymapi.STATE_POS)["pos"], [0.2], atol=1e-3)
    assert gymtorch.wrap_tensor(gym.acquire_dof_state_tensor(world.sim))[0, 0] == 0.0


def test_what_is_set_before_prepare_sim_holds_after_it_and_simulate_prepares(tmp_path):
    world, change = swing(tmp_path, 2, mode=gymapi.DOF_MODE_POS)
    change(1, stiffness=50.0, damping=7.0)
    states = np.zeros(1, dtype=gymapi.DofState.dtype)
    states["pos"] = 0.4
    gym.set_actor_dof_states(world.envs[1], 0, states, gymapi.STATE_ALL)
    gym.set_actor_dof_position_targets(world.envs[1], 0, np.array([0.4]))
    world.step(0.1)
    np.testing.assert_allclose(world.read("dof_state")[:, 0], [0.0, 0.4], atol=1e-5)
