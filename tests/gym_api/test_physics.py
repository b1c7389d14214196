"""Bodies: friction, contact, damping, pushes, masses, gravity, who meets whom."""

import math

import numpy as np
import pytest
import torch

from tests.gym_api.scenes import BODIES, ROOT, World, box, gym, gymapi, load, options, quadruped, rubbed

G = 9.81


def slab(world, friction=1.0, **values):
    return rubbed(gym.create_box(world.sim, 0.5, 0.5, 0.1, options(density=300, **values)), friction)


def set_friction(env, actor, friction):
    shapes = gym.get_actor_rigid_shape_properties(env, actor)
    for shape in shapes:
        shape.friction = friction
    assert gym.set_actor_rigid_shape_properties(env, actor, shapes)


def deceleration(world, actors, speeds, headings):
    """Of actors that are pushed along headings, m/s^2, over a long way: a slide that is set off hops at first."""
    for actor, speed, heading in zip(actors, speeds, headings):
        world.move(actor, vel=[speed * math.cos(heading), speed * math.sin(heading), 0])
    world.step(0.4)
    first = world.read(ROOT)[actors, 7:9].norm(dim=-1).clone()
    world.step(0.5)
    return (first - world.read(ROOT)[actors, 7:9].norm(dim=-1)) / 0.5


@pytest.mark.parametrize("when", ["asset", "before", "after"])
def test_a_slide_slows_down_by_the_mean_friction_of_its_own_environment(when):
    world = World(ground=0.1, substeps=2)
    frictions = [0.1, 0.1, 0.5, 0.5, 0.3, 0.3]
    assets = {friction: slab(world, friction if when == "asset" else 0.9) for friction in frictions}
    for friction in frictions:
        env = world.add((assets[friction], (0, 0, 0.05)))
        if when == "before":
            set_friction(env, 0, friction)
    world.prepare()
    world.step(0.05)
    if when == "after":
        for env, friction in zip(world.envs, frictions):
            set_friction(env, 0, friction)
    wanted = [0.5 * (friction + 0.1) * G for friction in frictions]
    measured = deceleration(world, range(6), wanted, [0.0, math.pi / 4] * 3)
    np.testing.assert_allclose(measured, wanted, rtol=0.03)


def test_a_box_on_a_box_slides_by_the_mean_of_their_frictions_in_each_environment():
    world = World(ground=None, substeps=4)
    table = gym.create_box(world.sim, 8, 8, 0.2, options(fix_base_link=True))
    for _ in range(3):
        world.add((table, (0, 0, -0.1)), (slab(world), (0, 0, 0.05)), (slab(world), (0, 2, 0.05)))
    world.prepare()
    frictions = [(0.1, 0.2, 0.6), (0.3, 0.4, 0.1), (0.2, 0.6, 0.3)]
    for env, values in zip(world.envs, frictions):
        for actor, friction in enumerate(values):
            set_friction(env, actor, friction)
    wanted = [0.5 * (values[0] + values[k]) * G for values in frictions for k in (1, 2)]
    measured = deceleration(world, [1, 2, 4, 5, 7, 8], wanted, [0.0, 0.8] * 3)
    np.testing.assert_allclose(measured, wanted, rtol=0.03)


def test_contact_forces_carry_the_weight_and_hold_no_pushes(tmp_path):
    world = World()
    robot = load(world, quadruped(), tmp_path, collapse_fixed_joints=True, default_dof_drive_mode=1)
    env = world.add((box(world, mass=8.0), (0, 3, 0.2)), (robot, (0, 0, 0.33)))
    rows = gym.get_actor_dof_properties(env, 1)
    rows["stiffness"], rows["damping"] = 200.0, 5.0
    gym.set_actor_dof_properties(env, 1, rows)
    world.prepare()
    world.step(2.0)
    forces = world.read("net_contact_force")
    torch.testing.assert_close(forces[0], torch.tensor([0.0, 0.0, 8.0 * G]), rtol=0.01, atol=0.05)
    mass = sum(body.mass for body in gym.get_actor_rigid_body_properties(env, 1))
    assert mass == pytest.approx(10.6)
    torch.testing.assert_close(forces[1:].sum(0), torch.tensor([0.0, 0.0, mass * G]), rtol=0.01, atol=0.5)
    feet = [gym.find_actor_rigid_body_handle(env, 1, f"{leg}_calf") for leg in ("FL", "FR", "RL", "RR")]
    assert (forces[feet, 2] > 10).all()
    push = torch.zeros(len(forces), 3)
    push[0, 2] = 20.0
    gym.apply_rigid_body_force_tensors(world.sim, push, None, gymapi.ENV_SPACE)
    world.step()
    torch.testing.assert_close(world.read("net_contact_force")[0, 2], torch.tensor(8.0 * G - 20.0), rtol=0.2, atol=0.0)


def test_root_velocity_is_that_of_the_centre_of_mass():
    world = World(gravity=0.0, ground=None)
    env = world.add((box(world, mass=2.0), (0, 0, 1)))
    bodies = gym.get_actor_rigid_body_properties(env, 0)
    bodies[0].com = gymapi.Vec3(0.3, 0.1, 0.0)
    gym.set_actor_rigid_body_properties(env, 0, bodies)
    world.prepare()
    world.move(0, vel=[0.5, 0, 0], spin=[0, 0, 2.0])
    torch.testing.assert_close(world.read(ROOT)[0, 7:], torch.tensor([0.5, 0, 0, 0, 0, 2.0]))
    com = []
    for _ in range(2):
        state = world.read(ROOT)[0].double().numpy().copy()
        turn = 2 * math.atan2(state[5], state[6])
        cos, sin = math.cos(turn), math.sin(turn)
        com.append(state[:2] + np.array([0.3 * cos - 0.1 * sin, 0.3 * sin + 0.1 * cos]))
        world.step(0.5)
    np.testing.assert_allclose(com[1] - com[0], [0.25, 0.0], atol=2e-3)
    torch.testing.assert_close(world.read(ROOT)[0, 7:9], torch.tensor([0.5, 0.0]), atol=6e-3, rtol=0)
    torch.testing.assert_close(world.read(BODIES), world.read(ROOT))


def test_spins_are_in_the_axes_of_the_world_and_quaternions_end_with_w():
    world = World(gravity=0.0, ground=None)
    world.add((box(world), (0, 0, 1)))
    world.prepare()
    half = math.sqrt(0.5)
    world.move(0, quat=[half, 0, 0, half], spin=[0, 0, 1.0])  # a quarter about x: the body's y is the world's z
    world.step(0.5)
    state = world.read(ROOT)[0]
    torch.testing.assert_close(state[10:], torch.tensor([0.0, 0.0, 1.0]), atol=1e-4, rtol=0)
    wanted = gymapi.Quat.from_axis_angle(gymapi.Vec3(0, 0, 1), 0.5) * gymapi.Quat(half, 0, 0, half)
    torch.testing.assert_close(state[3:7], torch.tensor(list(wanted)), atol=1e-3, rtol=0)


def test_damping_takes_its_share_of_speed_and_spin():
    world = World(gravity=0.0, ground=None)
    for linear, angular in ((0.0, 0.5), (0.7, 0.0), (0.0, 0.0)):
        asset = gym.create_box(world.sim, 0.6, 0.3, 0.1, options(linear_damping=linear, angular_damping=angular))
        world.add((asset, (0, 0, 1)))
    for env in world.envs:  # a mass of its own changes no share
        bodies = gym.get_actor_rigid_body_properties(env, 0)
        bodies[0].mass *= 3.0
        gym.set_actor_rigid_body_properties(env, 0, bodies, recomputeInertia=True)
    world.prepare()
    for actor in range(3):
        world.move(actor, vel=[1.0, 0.5, 0], spin=[0, 0, 3.0])
    world.step(1.0)
    state = world.read(ROOT)
    e = math.exp
    torch.testing.assert_close(state[:, 12] / 3.0, torch.tensor([e(-0.5), 1.0, 1.0]), rtol=0.02, atol=0)
    torch.testing.assert_close(state[:, 7], torch.tensor([1.0, e(-0.7), 1.0]), rtol=0.02, atol=0)


@pytest.mark.parametrize("restitution", [0.0, 0.5, 0.8])
def test_a_ball_bounces_by_its_restitution(restitution):
    world = World(dt=0.001)
    ball = gym.create_sphere(world.sim, 0.1, options())
    env = world.add((ball, (0, 0, 0.6)))
    shapes = gym.get_actor_rigid_shape_properties(env, 0)
    shapes[0].restitution = 2 * restitution  # the ground has none, and the mean counts
    gym.set_actor_rigid_shape_properties(env, 0, shapes)
    world.prepare()
    fastest = [0.0, 0.0]

    def look():
        speed = float(world.read(ROOT)[0, 9])
        fastest[0], fastest[1] = min(fastest[0], speed), max(fastest[1], speed)

    world.step(0.6, before=look)
    assert fastest[1] == pytest.approx(-restitution * fastest[0], abs=0.45)


def test_forces_and_torques_act_for_one_step_and_where_they_are_told():
    world = World(gravity=0.0, ground=None)
    asset = box(world, 0.4, mass=2.0)
    for _ in range(5):
        world.add((asset, (0, 0, 1)))
    world.prepare()
    moment = 2.0 * 0.4**2 / 6
    forces, torques, places = torch.zeros(5, 3), torch.zeros(5, 3), world.read(BODIES)[:, :3].clone()
    forces[0, 0], torques[1, 2] = 10.0, 1.0
    gym.apply_rigid_body_force_tensors(world.sim, forces, torques, gymapi.ENV_SPACE)
    forces.zero_()
    forces[2, 1], places[2, 0] = 10.0, 0.2
    gym.apply_rigid_body_force_at_pos_tensors(world.sim, forces, places, gymapi.ENV_SPACE)
    half = math.sqrt(0.5)
    for actor in (3, 4):
        world.move(actor, quat=[0, 0, half, half])  # a quarter about z: its x is the world's y
    forces.zero_()
    forces[3, 0] = 10.0
    gym.apply_rigid_body_force_tensors(world.sim, forces, None, gymapi.LOCAL_SPACE)
    forces.zero_()
    places.zero_()
    forces[4, 0], places[4, 1] = 10.0, 0.2
    gym.apply_rigid_body_force_at_pos_tensors(world.sim, forces, places, gymapi.LOCAL_SPACE)
    for _ in range(2):  # nothing more in the second step
        world.step()
        state = world.read(ROOT)
        push = 10.0 / 2.0 * world.dt
        wanted = torch.tensor([[push, 0, 0], [0, 0, 0], [0, push, 0], [0, push, 0], [0, push, 0]])
        torch.testing.assert_close(state[:, 7:10], wanted, rtol=1e-3, atol=1e-6)
        turn = world.dt / moment
        torch.testing.assert_close(state[:, 12], torch.tensor([0, turn, 2 * turn, 0, -2 * turn]), rtol=1e-3, atol=1e-6)
        gym.apply_rigid_body_force_tensors(world.sim, torch.zeros(5, 3), torch.zeros(5, 3), gymapi.ENV_SPACE)


@pytest.mark.parametrize("after", [False, True])
def test_mass_inertia_and_centre_are_those_of_each_environment(after):
    world = World(gravity=0.0, ground=None)
    asset = box(world, 0.4, mass=2.0)
    for _ in range(4):
        world.add((asset, (0, 0, 1)))
    if after:
        world.prepare()
        world.step()
    for number, env in enumerate(world.envs):
        bodies = gym.get_actor_rigid_body_properties(env, 0)
        if number in (1, 2):
            bodies[0].mass = 6.0
        if number == 3:
            bodies[0].inertia = gymapi.Mat33(
                gymapi.Vec3(0.2, 0, 0), gymapi.Vec3(0, 0.3, 0.05), gymapi.Vec3(0, 0.05, 0.4)
            )
        assert gym.set_actor_rigid_body_properties(env, 0, bodies, recomputeInertia=number == 2)
    if not after:
        world.prepare()
    forces, torques = torch.tensor([[10.0, 0, 0]] * 4), torch.tensor([[0.0, 0, 1.0]] * 4)
    gym.apply_rigid_body_force_tensors(world.sim, forces, torques, gymapi.ENV_SPACE)
    world.step()
    state, moment = world.read(ROOT), 2.0 * 0.4**2 / 6
    masses = torch.tensor([2.0, 6.0, 6.0, 2.0])
    torch.testing.assert_close(state[:, 7], 10.0 * world.dt / masses, rtol=1e-3, atol=0)
    spins = world.dt * torch.tensor([1 / moment, 1 / moment, 1 / (3 * moment), 0.3 / (0.3 * 0.4 - 0.05**2)])
    torch.testing.assert_close(state[:, 12], spins, rtol=1e-3, atol=0)
    for env in world.envs:  # and back to the asset's
        bodies = gym.get_actor_rigid_body_properties(env, 0)
        bodies[0].mass = 2.0
        gym.set_actor_rigid_body_properties(env, 0, bodies, recomputeInertia=True)
    for actor in range(4):
        world.move(actor, vel=[0, 0, 0], spin=[0, 0, 0], quat=[0, 0, 0, 1])
    gym.apply_rigid_body_force_tensors(world.sim, forces, torques, gymapi.ENV_SPACE)
    world.step()
    state = world.read(ROOT)
    torch.testing.assert_close(state[:, 7], torch.full((4,), 10.0 * world.dt / 2.0), rtol=1e-3, atol=0)
    torch.testing.assert_close(state[:, 12], torch.full((4,), world.dt / moment), rtol=1e-3, atol=0)


def test_gravity_can_be_changed_and_switched_off_for_an_asset():
    world = World(ground=None)
    world.add((box(world), (0, 0, 9)), (box(world, disable_gravity=True), (0, 5, 9)))
    world.prepare()
    world.step(0.1)
    torch.testing.assert_close(world.read(ROOT)[:, 9], torch.tensor([-0.981, 0.0]), rtol=1e-3, atol=1e-4)
    params = gym.get_sim_params(world.sim)
    params.gravity = gymapi.Vec3(0, 0, 2.0)
    gym.set_sim_params(world.sim, params)
    world.step(0.1)
    torch.testing.assert_close(world.read(ROOT)[:, 9], torch.tensor([-0.781, 0.0]), rtol=1e-3, atol=1e-4)


def test_who_meets_whom():
    """A ball falls onto a shelf that is held: filters that share a bit, and groups, let it through."""
    world = World(ground=None)
    ball, shelf = (
        gym.create_sphere(world.sim, 0.1, options()),
        gym.create_box(world.sim, 1, 1, 0.1, options(fix_base_link=True)),
    )
    cases = [(0, 0, 0, 0, True), (0, 0, 1, 2, True), (0, 0, 1, 3, False), (0, 1, 0, 0, False), (0, -1, 0, 0, True),
             (0, 0, -1, -1, True)]  # fmt: skip
    for one, other, first, second, _ in cases:
        env = gym.create_env(world.sim, gymapi.Vec3(), gymapi.Vec3(), 4)
        gym.create_actor(env, ball, gymapi.Transform(gymapi.Vec3(0, 0, 0.2)), "ball", one, first)
        gym.create_actor(env, shelf, gymapi.Transform(), "shelf", other, second)
    gym.prepare_sim(world.sim)
    world.step(0.5)
    heights = world.read(ROOT)[::2, 2]
    assert [float(height) > 0 for height in heights] == [meets for *_, meets in cases]


def test_held_actors_are_moved_by_the_program_and_carry_others():
    world = World(ground=None)
    lift = gym.create_box(world.sim, 1, 1, 0.1, options(fix_base_link=True))
    world.add((lift, (0, 0, 0)), (box(world, 0.2), (0, 0, 0.15)))
    world.prepare()
    world.step(0.3)
    half = math.sqrt(0.5)
    world.move(0, pos=[5.0, 0, 2.0], quat=[0, 0, half, half])
    world.move(1, pos=[5.0, 0, 2.15], vel=[0, 0, 0])
    world.step(0.5)
    state = world.read(ROOT)
    torch.testing.assert_close(state[0, :7], torch.tensor([5.0, 0, 2.0, 0, 0, half, half]))
    torch.testing.assert_close(state[1, :3], torch.tensor([5.0, 0, 2.15]), atol=3e-3, rtol=0)
    torch.testing.assert_close(world.read(BODIES)[:, :7], state[:, :7], atol=1e-5, rtol=0)


def test_a_thousand_random_resets_give_numbers(tmp_path):
    world, generator = World(), torch.Generator().manual_seed(0)
    robot = load(world, quadruped(), tmp_path, default_dof_drive_mode=3)
    thing = box(world, mass=4.0)
    for _ in range(100):
        world.add((robot, (0, 0, 0.4)), (thing, (0.5, 0, 0.2)))
    world.prepare()
    assert len(world.sim.layouts) == 1
    for _ in range(10):
        roots, dofs = world.read(ROOT).clone(), world.read("dof_state").clone()
        noise = torch.randn(roots.shape, generator=generator)
        roots[:, :3] = torch.tensor([0.0, 0.0, 0.4]) + 0.2 * noise[:, :3]
        roots[:, 3:7] = torch.nn.functional.normalize(noise[:, 3:7], dim=-1)
        roots[:, 7:] = 3.0 * noise[:, 7:]
        dofs[:, 0], dofs[:, 1] = (
            torch.randn(2, len(dofs), generator=generator) * torch.tensor([[1.0], [10.0]])
        ).unbind()
        gym.set_actor_root_state_tensor(world.sim, roots)
        gym.set_dof_state_tensor(world.sim, dofs)
        effort = 20.0 * torch.randn(len(dofs), generator=generator)
        gym.set_dof_actuation_force_tensor(world.sim, effort)
        world.step(0.1)
        for name in (ROOT, "dof_state", BODIES, "net_contact_force"):
            assert torch.isfinite(world.read(name)).all(), name
    assert world.read("dof_state")[:, 1].abs().max() <= 20.0 + 1e-4


def test_force_sensors_read_contacts_at_their_place_and_in_their_axes():
    world = World()
    half = math.sqrt(0.5)
    side = gymapi.Transform(gymapi.Vec3(0.1, 0, 0), gymapi.Quat(0, half, 0, half))  # its x is the body's -z
    fixed = gymapi.ForceSensorProperties()
    fixed.use_world_frame = True
    asset = box(world, 0.4, mass=8.0)
    assert gym.create_asset_force_sensor(asset, 0, side) == 0
    assert gym.create_asset_force_sensor(asset, 0, side, fixed) == 1
    for number in range(2):
        world.add((asset, (0, 0, 0.2)), (box(world), (0, 3, 0.2 + number)))
    world.prepare()
    world.step(0.5)
    sensors = world.read("force_sensor")
    weight = 8.0 * G
    wanted = torch.tensor([[-weight, 0, 0, 0, 0.1 * weight, 0], [0, 0, weight, 0, 0.1 * weight, 0]])
    torch.testing.assert_close(sensors, wanted.repeat(2, 1), rtol=0.01, atol=0.3)
    push = torch.zeros(4, 3)
    push[0, 2] = -30.0
    for _ in range(100):
        gym.apply_rigid_body_force_tensors(world.sim, push, None, gymapi.ENV_SPACE)
        world.step()
    torch.testing.assert_close(
        world.read("force_sensor")[1, [2, 4]], torch.tensor([1.0, 0.1]) * (weight + 30), rtol=0.01, atol=0.3
    )


def test_a_push_on_one_body_by_its_number():
    world = World(gravity=0.0, ground=None)
    env = world.add((box(world, mass=2.0), (0, 0, 0)), (box(world, mass=2.0), (0, 3, 0)))
    world.prepare()
    gym.apply_body_forces(env, 1, gymapi.Vec3(0, 0, 4.0), None, gymapi.ENV_SPACE)
    world.step()
    np.testing.assert_allclose(world.read(ROOT)[:, 9], [0.0, 0.01], rtol=1e-4)


def test_origins_of_environments_are_those_of_the_grid_and_states_are_in_their_frame():
    world = World()
    cube = box(world)
    for _ in range(3):
        env = gym.create_env(world.sim, gymapi.Vec3(-2, -1, 0), gymapi.Vec3(2, 1, 1), 2)
        gym.create_actor(env, cube, gymapi.Transform(gymapi.Vec3(0.5, 0, 0.2)), "cube", 0, 0)
        world.envs.append(env)
    world.prepare()
    assert [tuple(gym.get_env_origin(env)) for env in world.envs] == [(0, 0, 0), (4, 0, 0), (0, 2, 0)]
    np.testing.assert_allclose(world.read(ROOT)[:, :3], [[0.5, 0, 0.2]] * 3, atol=1e-6)


def test_a_bouncy_ground_does_not_throw_what_overlaps_it():
    """At 1/120 s the spring of a bouncy contact was too fast for the step: feet 2 cm deep got 28 m/s."""
    world = World(dt=1 / 60, substeps=2)
    ball = gym.create_sphere(world.sim, 0.1, options(density=1000.0))
    shapes = gym.get_asset_rigid_shape_properties(ball)
    shapes[0].restitution = 1.6
    gym.set_asset_rigid_shape_properties(ball, shapes)
    world.add((ball, (0, 0, 0.08)))
    world.prepare()
    highest = 0.0
    for _ in range(60):
        world.step()
        highest = max(highest, float(world.read(ROOT)[0, 2]))
    assert 0.1 < highest < 0.3
