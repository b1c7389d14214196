"""Isaac Gym's API over MuJoCo Warp on an NVIDIA GPU; skipped where there is none."""

import numpy as np
import pytest
import torch

from mapush_stack.gym_api import gymapi, gymtorch
from tests.gym_api.scenes import DOFS, ROOT, World, box, gym, load, quadruped
from tests.gym_api.test_physics import deceleration, slab

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no NVIDIA GPU")
G = 9.81


@pytest.fixture(autouse=True)
def on_warp(monkeypatch):
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    monkeypatch.setenv("MAPUSH_GYM", "warp")


def test_boxes_slide_by_their_own_friction_and_the_ground_carries_them():
    world = World(ground=0.1, substeps=2)
    frictions = [0.1, 0.5, 0.9]
    for friction in frictions:
        world.add((slab(world, friction), (0, 0, 0.05)))
    world.prepare()
    world.step(0.05)
    wanted = [0.5 * (friction + 0.1) * G for friction in frictions]
    np.testing.assert_allclose(deceleration(world, range(3), wanted, [0.0, 0.8, 0.4]).cpu(), wanted, rtol=0.03)
    world.step(1.0)
    forces, body = world.read("net_contact_force"), gym.get_actor_rigid_body_properties(world.envs[0], 0)[0]
    np.testing.assert_allclose(forces[:, 2].cpu(), body.mass * G, rtol=0.01)


def test_a_robot_falls_as_on_the_cpu(tmp_path, monkeypatch):
    states = {}
    for engine in ("warp", "mujoco"):
        monkeypatch.setenv("MAPUSH_GYM", engine)
        world = World()
        robot = load(world, quadruped(), tmp_path, collapse_fixed_joints=True, default_dof_drive_mode=1)
        for height in (0.5, 0.6):
            env = world.add((robot, (0, 0, height)))
            rows = gym.get_actor_dof_properties(env, 0)
            rows["stiffness"], rows["damping"] = 100.0, 3.0
            gym.set_actor_dof_properties(env, 0, rows)
        world.prepare()
        bodies = world.read("rigid_body_state")
        world.step(0.3)
        gym.refresh_rigid_body_state_tensor(world.sim)
        states[engine] = [tensor.cpu().clone() for tensor in (world.read(ROOT), world.read(DOFS), bodies)]
    for gpu, cpu in zip(states["warp"], states["mujoco"]):
        torch.testing.assert_close(gpu, cpu, atol=0.02, rtol=0.02)


def test_room_for_contacts_grows_and_that_is_told(monkeypatch, capsys):
    monkeypatch.setenv("MAPUSH_GYM_CONTACTS", "1")
    world = World()
    for _ in range(4):
        world.add(*((box(world), (x, 0, 0.2)) for x in range(3)))
    world.prepare()
    world.step(2.5)
    said = capsys.readouterr().err
    assert "contacts did not fit into their room" in said and "MAPUSH_GYM_CONTACTS=" in said
    roots = world.read(ROOT).view(4, 3, 13)
    roots.zero_()
    roots[..., 0], roots[..., 2], roots[..., 6] = torch.arange(3), 0.3, 1.0
    gym.set_actor_root_state_tensor(world.sim, gymtorch.unwrap_tensor(roots))
    world.step(1.0)
    np.testing.assert_allclose(world.read(ROOT)[:, 2].cpu().numpy(), 0.2, atol=0.005)


def test_robots_far_from_the_middle_of_a_height_field_stay_on_it(tmp_path):
    world = World(ground=None)
    heights = (40 * np.random.default_rng(0).random((600, 600))).astype(np.int16)
    params = gymapi.HeightFieldParams()
    params.row_scale = params.column_scale = 0.25
    params.vertical_scale, params.nbRows, params.nbColumns = 0.005, 600, 600
    gym.add_heightfield(world.sim, heights.flatten(), params)
    robot = load(world, quadruped(), tmp_path, collapse_fixed_joints=True, default_dof_drive_mode=3)
    for number in range(128):
        world.add((robot, (2.0 + number % 8, 2.0 + 0.1 * number, 0.7)))
    world.prepare()
    generator = torch.Generator(device="cuda").manual_seed(1)
    for _ in range(400):
        torques = 20 * torch.randn(128 * 12, device="cuda", generator=generator)
        gym.set_dof_actuation_force_tensor(world.sim, torques)
        world.step()
    roots = world.read(ROOT)
    assert torch.isfinite(roots).all() and (roots[:, 2] > 0.0).all() and (roots[:, 7:10].norm(dim=-1) < 10).all()
