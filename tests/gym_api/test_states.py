"""Tensors: who is where in them, and that setters write only what they are told."""

import numpy as np
import pytest
import torch

from mapush_stack.gym_api import gymtorch
from mapush_stack.gym_api.layout import Layout
from tests.gym_api.scenes import BODIES, DOFS, ROOT, World, box, gym, gymapi, load, options, quadruped

mujoco = pytest.importorskip("mujoco", reason="MuJoCo 4 needs Python 3.11")


@pytest.fixture
def mixed(tmp_path):
    """Environments with different actors: robot and box, box alone, robot, box and robot again."""
    return unprepared(tmp_path).prepare()


def unprepared(tmp_path):
    world = World(gravity=0.0, ground=None)
    robot = load(world, quadruped(), tmp_path, collapse_fixed_joints=True, default_dof_drive_mode=3)
    thing, post = box(world), gym.create_sphere(world.sim, 0.1, options(fix_base_link=True))
    world.add((robot, (0, 0, 1)), (thing, (1, 0, 1)))
    world.add((thing, (0, 1, 1)))
    world.add((post, (0, 2, 1)), (robot, (1, 2, 1)))
    world.add((robot, (0, 3, 1)), (thing, (1, 3, 1)))
    return world


def test_numbers_in_the_simulation_are_known_before_it_is_prepared(tmp_path):
    """visual_wholebody keeps those of its boxes while it creates environments."""
    world = unprepared(tmp_path)

    def numbers():
        return [
            (
                gym.find_actor_rigid_body_index(env, 0, gym.get_actor_rigid_body_names(env, 0)[0], gymapi.DOMAIN_SIM),
                gym.find_actor_dof_index(env, 0, "FR_hip_joint", gymapi.DOMAIN_SIM),
            )
            for env in world.envs
        ]

    before = numbers()
    assert before[2:] == [(16, -1), (31, 27)]
    world.prepare()
    assert numbers() == before


def test_rows_of_the_tensors_are_env_by_env_and_actor_by_actor(mixed):
    assert len(mixed.sim.layouts) == 3
    counts = [range(gym.get_actor_count(env)) for env in mixed.envs]
    indices = [gym.get_actor_index(e, a, gymapi.DOMAIN_SIM) for e, numbers in zip(mixed.envs, counts) for a in numbers]
    assert indices == list(range(7))
    places = [[0, 0, 1], [1, 0, 1], [0, 1, 1], [0, 2, 1], [1, 2, 1], [0, 3, 1], [1, 3, 1]]
    np.testing.assert_allclose(mixed.read(ROOT)[:, :3], places, atol=1e-6)
    assert gym.get_sim_rigid_body_count(mixed.sim) == 14 + 1 + 1 + 1 + 14 + 14 + 1 == len(mixed.read(BODIES))
    roots = [0, 14, 15, 16, 17, 31, 45]
    np.testing.assert_allclose(mixed.read(BODIES)[roots, :3], places, atol=1e-6)
    found = [gym.find_actor_rigid_body_index(mixed.envs[2], 1, "FR_hip", domain) for domain in range(3)]
    assert found == [4, 5, 21] and gym.find_actor_rigid_body_handle(mixed.envs[2], 1, "FR_hip") == 5
    assert [gym.find_actor_dof_index(mixed.envs[2], 1, "FR_hip_joint", domain) for domain in range(3)] == [3, 3, 15]
    assert gym.find_actor_rigid_body_handle(mixed.envs[2], 1, "nobody") == -1
    assert gym.find_actor_index(mixed.envs[2], "actor1", gymapi.DOMAIN_SIM) == 4
    assert gym.get_sim_dof_count(mixed.sim) == 36 == len(mixed.read(DOFS))


def test_indexed_setters_write_only_the_actors_that_they_are_given(mixed):
    roots, dofs = mixed.read(ROOT), mixed.read(DOFS)
    before, joints = roots.clone(), dofs.clone()
    new = torch.randn(7, 13)
    new[:, 3:7] = torch.nn.functional.normalize(new[:, 3:7], dim=-1)
    angles = torch.randn(36, 2)
    chosen = torch.tensor([4, 6, 1], dtype=torch.int32)
    gym.set_actor_root_state_tensor_indexed(mixed.sim, gymtorch.unwrap_tensor(new), gymtorch.unwrap_tensor(chosen), 2)
    gym.set_dof_state_tensor_indexed(mixed.sim, angles, torch.tensor([4], dtype=torch.int32), 1)
    before[[4, 6]] = new[[4, 6]]
    joints[12:24] = angles[12:24]
    torch.testing.assert_close(mixed.read(ROOT), before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed.read(DOFS), joints)
    effort = torch.ones(36)
    gym.set_dof_actuation_force_tensor_indexed(mixed.sim, effort, torch.tensor([5], dtype=torch.int32), 1)
    still = mixed.read(DOFS)[:12].clone()
    mixed.step()
    assert (mixed.read(DOFS)[24:, 1] > 0).sum() >= 8
    torch.testing.assert_close(mixed.read(DOFS)[:12], still)


def test_setting_all_states_and_reading_them_gives_the_same(mixed):
    roots, dofs = torch.randn(7, 13), torch.randn(36, 2)
    roots[:, 3:7] = torch.nn.functional.normalize(roots[:, 3:7], dim=-1)
    roots[3, 7:] = 0.0  # a held actor has no speed
    gym.set_actor_root_state_tensor(mixed.sim, roots)
    gym.set_dof_state_tensor(mixed.sim, dofs)
    torch.testing.assert_close(mixed.read(ROOT), roots, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed.read(DOFS), dofs)


def test_body_states_are_those_of_mujocos_own_kinematics(mixed):
    roots, dofs = torch.randn(7, 13), torch.randn(36, 2)
    roots[:, 3:7] = torch.nn.functional.normalize(roots[:, 3:7], dim=-1)
    gym.set_actor_root_state_tensor(mixed.sim, roots)
    gym.set_dof_state_tensor(mixed.sim, dofs)
    states, row = mixed.read(BODIES), 0
    for env in mixed.envs:
        layout = next(layout for layout in mixed.sim.layouts if env in layout.envs)
        data, model = layout.engine.data(layout.row(env.index)), layout.engine.model
        mujoco.mj_forward(model, data)
        for name in (name for names in layout.scene.bodies for name in names):
            body, velocity = model.body(name).id, np.zeros(6)
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_BODY, body, velocity, 0)
            wanted = [*data.xpos[body], *data.xquat[body][[1, 2, 3, 0]], *velocity[3:], *velocity[:3]]
            wanted[7:10] = _com_velocity(model, data, body)
            found = states[row].numpy()
            found[3:7] *= np.sign(np.dot(wanted[3:7], found[3:7]))
            np.testing.assert_allclose(found, wanted, atol=2e-5, err_msg=name)
            row += 1
    assert row == len(states)


def _com_velocity(model, data, body):
    """Of the centre of mass in the world's axes, by MuJoCo's Jacobian."""
    jacobian = np.zeros((3, model.nv))
    mujoco.mj_jacBodyCom(model, data, jacobian, None, body)
    return jacobian @ data.qvel


def test_an_asset_that_is_loaded_for_every_environment_is_one_model(tmp_path):
    world = World()
    (tmp_path / "robot.urdf").write_text(quadruped())
    for collapse in (False, False, False, True):
        robot = gym.load_asset(world.sim, str(tmp_path), "robot.urdf", options(collapse_fixed_joints=collapse))
        world.add((robot, (0, 0, 1)), (box(world), (0, 2, 1)))
    assert len(world.prepare().sim.layouts) == 2


def test_setters_take_what_acquire_returned_and_refuse_a_part_of_it(tmp_path):
    world = World()
    robot = load(world, quadruped(), tmp_path, default_dof_drive_mode=3)
    for _ in range(3):
        world.add((robot, (0, 0, 1)), (box(world), (0, 2, 1)))
    world.prepare()
    roots, dofs = gym.acquire_actor_root_state_tensor(world.sim), gym.acquire_dof_state_tensor(world.sim)
    gymtorch.wrap_tensor(roots)[:, 0] = gymtorch.wrap_tensor(dofs)[:, 0] = 0.5
    for kind, actor in ((torch.int32, 2), (torch.int64, 4)):
        chosen = gymtorch.unwrap_tensor(torch.tensor([actor, 0], dtype=kind))
        gym.set_actor_root_state_tensor_indexed(world.sim, roots, chosen, 1)
        gym.set_dof_state_tensor_indexed(world.sim, dofs, chosen, 1)
        gym.set_dof_actuation_force_tensor_indexed(world.sim, torch.ones(36, dtype=torch.float64), chosen, 1)
    assert world.read(ROOT)[:, 0].tolist() == [0.0, 0.0, 0.5, 0.0, 0.5, 0.0]
    assert world.read(DOFS)[:, 0].view(3, 12).mean(1).tolist() == [0.0, 0.5, 0.5]
    assert world.sim.force.view(3, 12).mean(1).tolist() == [0.0, 1.0, 1.0]
    with pytest.raises(ValueError, match=r"the whole simulation, 6 x 13 numbers.*shape \(1, 13\)"):
        gym.set_actor_root_state_tensor_indexed(world.sim, torch.zeros(1, 13), torch.tensor([0]), 1)
    with pytest.raises(ValueError, match=r"60 x 3 numbers"):
        gym.apply_rigid_body_force_tensors(world.sim, torch.ones(1, 3), None, gymapi.ENV_SPACE)
    rows = gym.get_actor_dof_properties(world.envs[0], 0)
    rows["hasLimits"] = False
    with pytest.raises(NotImplementedError, match="another hasLimits after prepare_sim"):
        gym.set_actor_dof_properties(world.envs[0], 0, rows)
    bodies = gym.get_actor_rigid_body_properties(world.envs[0], 1)
    bodies[0].mass = bodies[0].com.x = bodies[0].inertia.x.x = 99.0
    again = gym.get_actor_rigid_body_properties(world.envs[0], 1)[0]
    assert max(again.mass, again.com.x, again.inertia.x.x) < 99.0
    assert gym.prepare_sim(world.sim) and len(world.sim.layouts) == 1  # again, as some tasks do


def test_simulations_of_one_process_and_actors_without_joints_or_shapes(tmp_path):
    worlds = [World(), World()]
    for number, world in enumerate(worlds):
        ghost = load(world, '<robot name="ghost"><link name="only"/></robot>', tmp_path)
        for _ in range(number + 1):
            world.add((ghost, (0, 0, 1)))
        world.prepare()
        gym.set_dof_actuation_force_tensor(world.sim, torch.zeros(0))
    for world in worlds:
        assert world.read(DOFS).shape == (0, 2)
        world.step(0.1)
    assert [len(world.read(ROOT)) for world in worlds] == [1, 2]
    assert worlds[0].read(ROOT)[0, 2] == worlds[1].read(ROOT)[0, 2] < 0.98
    params = gym.get_sim_params(worlds[0].sim)
    params.gravity.z = 1.0  # a copy: randomisation adds to what it read at first
    assert gym.get_sim_params(worlds[0].sim).gravity.z == pytest.approx(-9.81)


def test_states_of_one_actor_by_numpy(mixed):
    states = gym.get_actor_rigid_body_states(mixed.envs[2], 1, gymapi.STATE_ALL)
    assert len(states) == 14 and states["pose"]["p"]["y"][0] == pytest.approx(2.0)
    assert states["pose"]["r"]["w"][0] == pytest.approx(1.0) and states["vel"]["linear"]["x"][0] == 0.0
    place = gym.get_rigid_transform(mixed.envs[2], gym.get_actor_rigid_body_handle(mixed.envs[2], 1, 0))
    assert list(place.p) == pytest.approx([1.0, 2.0, 1.0])
    states["pose"]["p"]["z"][0], states["vel"]["linear"]["x"][0] = 5.0, 2.0
    assert gym.set_actor_rigid_body_states(mixed.envs[2], 1, states, gymapi.STATE_ALL)
    torch.testing.assert_close(mixed.read(ROOT)[4, [2, 7]], torch.tensor([5.0, 2.0]))
    forces = gym.get_actor_dof_forces(mixed.envs[2], 1)
    assert forces.shape == (12,)


def test_jacobians_and_mass_matrices_agree_with_the_motion(tmp_path):
    world = World(gravity=0.0, ground=None)
    robot = load(world, quadruped(), tmp_path, collapse_fixed_joints=True, default_dof_drive_mode=3)
    held = {"fix_base_link": True, "armature": 0.02}
    arm = load(world, quadruped(), tmp_path, collapse_fixed_joints=True, default_dof_drive_mode=3, **held)
    for _ in range(2):
        world.add((robot, (0, 0, 1)), (arm, (0, 3, 1)))
    world.prepare()
    free = gymtorch.wrap_tensor(gym.acquire_jacobian_tensor(world.sim, "actor0"))
    held = gymtorch.wrap_tensor(gym.acquire_jacobian_tensor(world.sim, "actor1"))
    mass = gymtorch.wrap_tensor(gym.acquire_mass_matrix_tensor(world.sim, "actor1"))
    roots, dofs = world.read(ROOT), world.read(DOFS)
    roots[:, 7:] = torch.randn(4, 6)
    dofs[:] = 0.5 * torch.randn(48, 2)
    gym.set_actor_root_state_tensor(world.sim, roots)
    gym.set_dof_state_tensor(world.sim, dofs)
    bodies = world.read(BODIES).view(2, 28, 13)
    gym.refresh_jacobian_tensors(world.sim)
    gym.refresh_mass_matrix_tensors(world.sim)
    assert free.shape == (2, 14, 6, 18) and held.shape == (2, 13, 6, 12) and mass.shape == (2, 12, 12)
    speeds = dofs[:, 1].view(2, 2, 12)
    whole = torch.cat((roots.view(2, 2, 13)[:, 0, 7:], speeds[:, 0]), dim=-1)
    torch.testing.assert_close((free @ whole[:, None, :, None])[..., 0], bodies[:, :14, 7:], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close((held @ speeds[:, 1, None, :, None])[..., 0], bodies[:, 15:, 7:], atol=1e-3, rtol=1e-3)
    layout = world.sim.layouts[0]
    model, data, whole = layout.engine.model, layout.engine.data(0), np.zeros((30, 30))
    mujoco.mj_forward(model, data)
    mujoco.mj_fullM(model, data, whole)
    own = layout.slots.joint_qvel[12:].numpy()
    np.testing.assert_allclose(mass[0], whole[np.ix_(own, own)], atol=1e-5)
    with pytest.raises(ValueError, match="no actor is called 'arm'; there are 'actor0', 'actor1'"):
        gym.acquire_jacobian_tensor(world.sim, "arm")


def test_what_a_program_changes_after_it_was_given_changes_nothing():
    """Programs use one pose, one set of options and one list of properties for all their actors."""
    world, pose, common = World(ground=None), gymapi.Transform(), options(disable_gravity=True)
    first = gym.create_box(world.sim, 0.1, 0.1, 0.1, common)
    common.disable_gravity = False
    second = gym.create_box(world.sim, 0.1, 0.1, 0.1, common)
    bodies = None
    for number, asset in enumerate((first, second)):
        env = gym.create_env(world.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
        pose.p.x = float(number)
        gym.create_actor(env, asset, pose, "box", number, 0)
        bodies = bodies or gym.get_actor_rigid_body_properties(env, 0)
        bodies[0].mass = 1.0 + number
        gym.set_actor_rigid_body_properties(env, 0, bodies)
    world.prepare()
    world.step(0.1)
    assert world.read(ROOT)[:, 0].tolist() == [0.0, 1.0]
    assert world.read(ROOT)[0, 9] == 0.0 and world.read(ROOT)[1, 9] < -0.9
    gym.apply_rigid_body_force_tensors(world.sim, torch.tensor([[1.0, 0, 0]] * 2), None, gymapi.ENV_SPACE)
    world.step()
    np.testing.assert_allclose(world.read(ROOT)[:, 7], [0.005, 0.0025], rtol=1e-3)


@torch.jit.script
def _second_row(states: torch.Tensor) -> torch.Tensor:
    return states[1:2] * 1.0


LOOKS = {"view": lambda t: t[1:2], "list": lambda t: torch.cat([t, t])[1:2], "script": _second_row}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_states_that_a_program_holds_and_never_uses_are_not_computed(mixed, monkeypatch, look):
    computed = []
    bodies = Layout.bodies
    monkeypatch.setattr(Layout, "bodies", lambda self: computed.append(1) or bodies(self))
    states = mixed.read(BODIES)
    mixed.step()
    mixed.read(BODIES)
    assert not computed
    assert look(states)[0, 6] > 0.5 and len(computed) == 3  # the quaternion's w, for each of three layouts
    view = states[:, 2]
    mixed.move(0, pos=(0, 0, 3))
    gym.refresh_rigid_body_state_tensor(mixed.sim)
    assert len(computed) == 6 and view[0] == 3.0
