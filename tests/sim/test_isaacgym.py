"""Isaac Gym as a simulator: MAPush's real code over MuJoCo by this project's Isaac Gym API (docs/gym_api.md)."""

import json
import math
import runpy
import types
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.sim import isaacgym, mqe
from mapush_stack.task.geometry import rotate
from mapush_stack.task.resets import draw_start
from tests.cli import runner
from tests.conftest import small_config
from tests.sim.test_obstacles import make, walk_against
from tests.system.test_exit_training import scalars

pytestmark = pytest.mark.usefixtures("mapush")
FAR = [[-5.0, 0.0], [5.0, 0.0], [0.0, 5.0]]


def simulator(*overrides, object_name="cuboid", num_envs=4, friction=None):
    from mapush_stack.sim.isaacgym import IsaacGymSimulator
    from mapush_stack.sim.simulator import SimulationRequest

    asked_for = ("sim.backend=isaacgym", "sim.robot=go1", "sim.device=cpu", f"sim.num_envs={num_envs}")
    config = small_config(*asked_for, *overrides, object_name=object_name)
    given = torch.full((num_envs,), 0.55) if friction is None else torch.tensor(friction)
    request = SimulationRequest(config.sim, config.object.body, config.team_kinds, given, 0, torch.device("cpu"))
    return config, IsaacGymSimulator(request)


@pytest.fixture
def another(monkeypatch):
    """Allow a second simulation, as MuJoCo does."""
    from mapush_stack.sim import isaacgym

    return lambda: monkeypatch.setattr(isaacgym, "_spent", False)


def start(config, size, seed=0):
    zeros = torch.zeros(size, dtype=torch.int64)
    return draw_start(config.task, config.object.task, seed, torch.arange(size), zeros).state


def placed(config, sim, robot_xy, robot_yaw=0.0):
    """Put every environment's robots at `robot_xy` [A][2], at rest, the object on the floor."""
    state = start(config, sim.num_envs)
    pos, rpy = state.robot_pos.clone(), torch.zeros_like(state.robot_rpy)
    pos[..., :2] = torch.tensor(robot_xy)
    rpy[..., 2] = robot_yaw
    sim.reset(torch.arange(sim.num_envs), state._replace(robot_pos=pos, robot_rpy=rpy))


def command(sim, vx=0.0, vy=0.0, yaw_rate=0.0):
    return torch.tensor([vx, vy, yaw_rate]).expand(sim.num_envs, sim.num_robots, 3)


def same_angles(found, wanted, tolerance=1e-4):
    return (torch.remainder(found - wanted + 1, 2 * math.pi) - 1).abs().max() < tolerance


@pytest.mark.parametrize("object_name, robots", [("cuboid", 2), ("tblock", 2), ("cylinder", 3)])
def test_a_reset_puts_everything_where_it_was_drawn(object_name, robots):
    config, sim = simulator(object_name=object_name)
    assert sim.num_robots == robots
    drawn = start(config, 4)
    sim.reset(torch.arange(4), drawn)
    state = sim.state()
    for name in ("robot_pos", "object_pos"):
        assert torch.allclose(getattr(state, name), getattr(drawn, name), atol=1e-5)
    for name in ("robot_rpy", "object_rpy"):
        assert same_angles(getattr(state, name), getattr(drawn, name))
    for name in ("robot_lin_vel", "robot_ang_vel", "object_lin_vel", "object_ang_vel"):
        assert torch.allclose(getattr(state, name), getattr(drawn, name), atol=1e-6)
    assert state.healthy.all()
    # The physics takes it over too: after one control step nothing is far from where it was.
    moved = sim.step(command(sim)).at(0)
    assert (moved.robot_pos - drawn.robot_pos)[..., :2].abs().max() < 0.05
    assert (moved.object_pos - drawn.object_pos)[..., :2].abs().max() < 0.05


def test_the_arena_begins_where_mapush_puts_the_object():
    _, sim = simulator()
    assert torch.allclose(sim._centre, sim.task.env_origins + torch.tensor([12.0, 0.0, 0.0]))
    assert sim.task.env_origins[0].tolist() == [1.0, 13.0, 0.0]


def test_joints_start_around_the_stance_and_depend_on_seed_and_episode_alone(another):
    config, sim = simulator()
    sim.reset(torch.arange(4), start(config, 4))
    first, stance = sim.task.dof_pos.clone(), sim.task.default_dof_pos
    ratio = first / stance
    assert ratio.min() > 0.69 and ratio.max() < 1.31 and ratio.std() > 0.1
    sim.reset(torch.arange(4), start(config, 4))
    assert not torch.allclose(sim.task.dof_pos, first)
    another()
    _, other = simulator()
    other.reset(torch.tensor([2]), start(config, 4).at([2]))
    assert torch.equal(other.task.dof_pos[2], first[2])


def test_a_reset_leaves_other_environments_alone():
    config, sim = simulator()
    sim.reset(torch.arange(4), start(config, 4))
    before = sim.step(command(sim, 0.3), 5).at(-1)
    memory = sim.state_dict()["history_locomotion_obs"].clone().view(4, 2, -1)
    mask = torch.tensor([False, True, False, True])
    sim.reset(torch.arange(4), start(config, 4), mask)
    after = sim.state()
    assert torch.equal(after.robot_pos[~mask], before.robot_pos[~mask])
    assert torch.allclose(after.robot_pos[mask], start(config, 4).robot_pos[mask], atol=1e-5)
    history = sim.task.history_locomotion_obs.view(4, 2, -1)
    assert (history[mask] == 0).all() and torch.equal(history[~mask], memory[~mask])
    sim.reset(torch.arange(4), start(config, 4), torch.zeros(4, dtype=torch.bool))
    assert torch.equal(sim.state().robot_pos, after.robot_pos)


def test_resets_before_a_step_do_not_undo_each_other():
    config, sim = simulator()
    placed(config, sim, FAR[:2])
    sim.step(command(sim))
    drawn = start(config, 4)
    for ids in ([0, 2], [1], [3]):
        sim.reset(torch.tensor(ids), drawn.at(ids))
    moved = sim.step(command(sim)).at(0)
    assert (moved.robot_pos - drawn.robot_pos)[..., :2].abs().max() < 0.05


@pytest.mark.parametrize("heading", [0.0, math.pi / 2, -2.0])
def test_commands_are_velocities_in_the_heading_frame(heading):
    config, sim = simulator()
    placed(config, sim, FAR[:2], robot_yaw=heading)
    sim.step(command(sim, 0.5, -0.2), 50)
    path = sim.step(command(sim, 0.5, -0.2), 101)
    # While the robots find their gait they turn a little.
    assert same_angles(path.robot_rpy[..., 2], torch.tensor(heading), 0.2)
    wanted = rotate(torch.tensor([0.5, -0.2]), path.robot_rpy[..., 2]).mean(0)
    assert torch.allclose(path.robot_lin_vel[..., :2].mean(0), wanted, atol=0.05)
    assert torch.allclose((path.robot_pos[-1] - path.robot_pos[0])[..., :2] / 2, wanted, atol=0.05)
    sim.step(command(sim, 0.0, 0.0, 0.5), 50)
    turning = sim.step(command(sim, 0.0, 0.0, 0.5), 100)
    assert torch.allclose(turning.robot_ang_vel[..., 2].mean(0), torch.tensor(0.5), atol=0.05)


def test_velocities_are_the_derivatives_of_positions():
    config, sim = simulator("sim.threads=1")
    sim.reset(torch.arange(4), start(config, 4))
    sim.step(command(sim), 20)
    path = sim.step(command(sim, 0.4, 0.1, 0.3), 100)
    for position, velocity in ((path.robot_pos, path.robot_lin_vel), (path.object_pos, path.object_lin_vel)):
        mean = 0.5 * (velocity[1:] + velocity[:-1])
        assert ((position[1:] - position[:-1]) / 0.02 - mean).abs().median() < 5e-3
    turned = torch.remainder(path.robot_rpy[1:, ..., 2] - path.robot_rpy[:-1, ..., 2] + 3, 2 * math.pi) - 3
    spin = 0.5 * (path.robot_ang_vel[1:, ..., 2] + path.robot_ang_vel[:-1, ..., 2])
    assert (turned / 0.02 - spin).abs().median() < 0.02


def test_a_robot_pushes_the_object():
    config, sim = simulator()
    placed(config, sim, [[-1.2, 0.0], [5.0, 5.0]])
    path = sim.step(command(sim, 0.5), 250)
    assert (path.object_pos[-1, :, 0] > 0.5).all()
    assert torch.allclose(path.object_pos[-1, :, 2], torch.tensor(0.25), atol=0.05)


def test_obstacles_stop_robots_and_stay_for_all_episodes(another):
    common = ["sim.robot=go1", "sim.device=cpu", "sim.num_envs=4", "task.episode_seconds=0.2"]
    env = make("sim.backend=isaacgym", *common)
    walk_against(env)
    mujoco = make(*common)
    for one in (env, mujoco):
        one.reset()
    assert torch.equal(env.obstacles.layout.centre, mujoco.obstacles.layout.centre)
    before, goal = env.obstacles.layout.centre.clone(), env.goal.clone()
    done = [env.step(torch.zeros(4, 2, 3)).episode.done for _ in range(4)]
    assert torch.stack(done).any(0).all()
    assert torch.equal(env.obstacles.layout.centre, before) and torch.equal(env.goal, goal)
    another()
    large = make("sim.backend=isaacgym", *common, "task.obstacles.arena=[30,30]")
    assert large.simulator._centre[0, 0] > 16 and large.obstacles.layout.centre.abs().max() > 16
    walk_against(large)


def test_teams_train_and_go_around_obstacles(tmp_path):
    options = ["--preset", "long-way", "sim.backend=isaacgym", "sim.device=cpu"]
    options += ["--robot", "go1", "sim.num_envs=4", "task.obstacles.layouts=4"]
    out, run = runner.train_small(tmp_path, "--no-evaluation", *options)
    assert "trained at" in out and "mapush/obstacle_contact" in scalars(run)
    shipped = ["evaluate", "--pretrained", "long-way-go1", "--episodes", 2, "--json"]
    (found,) = json.loads(runner.mapush(*shipped, "--set", "sim.backend=isaacgym", "--set", "sim.device=cpu")[0])
    assert found["success_rate"] == 1.0


def test_repeat_is_so_many_single_steps(another):
    config, one = simulator()
    another()
    _, other = simulator()
    for sim in (one, other):
        sim.reset(torch.arange(4), start(config, 4))
    path = one.step(command(one, 0.5, 0.1, 0.2), 10)
    for k in range(10):
        for a, b in zip(path.at(k), other.step(command(other, 0.5, 0.1, 0.2)).at(0)):
            assert torch.equal(a, b)


def test_a_saved_simulation_goes_on(another):
    config, one = simulator()
    one.reset(torch.arange(4), start(config, 4))
    one.step(command(one, 0.5, 0.0, 0.1), 30)
    saved = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    path = one.step(command(one, 0.5), 20)
    another()
    _, other = simulator()
    other.load_state_dict(saved)
    # The contacts of the last step are forgotten, and their solver's first guess.
    again = other.step(command(other, 0.5), 20)
    assert (path.robot_pos - again.robot_pos).abs().max() < 1e-3
    assert (path.object_pos - again.object_pos).abs().max() < 1e-3


def test_an_episode_does_not_depend_on_the_one_before(another):
    config, one = simulator()
    one.reset(torch.arange(4), start(config, 4, seed=1))
    one.step(command(one, -0.5, 0.3), 30)
    one._starts.zero_()
    one.reset(torch.arange(4), start(config, 4))
    another()
    _, other = simulator()
    other.reset(torch.arange(4), start(config, 4))
    for a, b in zip(one.step(command(one, 0.4), 10), other.step(command(other, 0.4), 10)):
        assert torch.equal(a, b)


def test_the_object_that_mapush_trained_last_does_not_matter(mapush, monkeypatch, another):
    from mqe.envs.configs import go1_push_mid_config

    paths = []
    for last in ("cuboid", "cylinder"):
        published = runpy.run_path(str(mapush / "task" / last / "config.py"))["Go1PushMidCfg"]
        monkeypatch.setattr(go1_push_mid_config, "Go1PushMidCfg", published)
        another()
        config, sim = simulator()
        sim.reset(torch.arange(4), start(config, 4))
        paths.append(sim.step(command(sim, 0.4), 5))
    assert all(torch.equal(a, b) for a, b in zip(*paths))


def test_mapush_ends_no_episode_by_itself():
    config, sim = simulator()
    # Nearer to each other than MAPush's rule allows, and older than its time limit.
    placed(config, sim, [[-3.0, 0.17], [-3.0, -0.17]])
    sim.task.episode_length_buf[:] = 2000
    path = sim.step(command(sim), 10)
    assert torch.allclose(path.robot_pos[-1, ..., 0], torch.tensor(-3.0), atol=0.2)
    assert (path.robot_pos[-1, :, 0] - path.robot_pos[-1, :, 1]).norm(dim=-1).max() < 0.45


def test_a_diverged_environment_is_reported_and_harms_no_other():
    config, sim = simulator()
    sim.reset(torch.arange(4), start(config, 4))
    sim.step(command(sim))
    state = sim.task.sim.layouts[0].engine.state
    state["qpos"][2, 0] = float("nan")
    state["qvel"][1, -6] = 1e5  # of an object that was thrown
    path = sim.step(command(sim), 3)
    assert path.healthy.all(0).tolist() == [True, False, False, True]
    assert all(tensor.isfinite().all() for tensor in path[:-1])
    sim.reset(torch.tensor([1, 2]), start(config, 4).at([1, 2]))
    assert sim.step(command(sim), 3).healthy.all()


def test_friction_is_each_environments_own():
    given = [0.2, 0.5, 0.8, 1.1]
    _, sim = simulator(friction=given, object_name="tblock")
    task = sim.task
    for env, handles, wanted in zip(task.envs, task.npc_handles, given):
        shapes = task.gym.get_actor_rigid_shape_properties(env, handles[0])
        assert len(shapes) == 2 and all(abs(shape.friction - wanted) < 1e-6 for shape in shapes)


def test_a_second_simulation_in_a_process_is_refused():
    simulator()
    with pytest.raises(UserError, match="Isaac Gym has one simulation in a process"):
        simulator()


def test_a_step_copies_nothing_to_the_host(monkeypatch):
    config, sim = simulator()
    sim.reset(torch.arange(4), start(config, 4))

    def copied(*arguments):
        raise AssertionError("a tensor went to the host")

    for name in ("cpu", "item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, copied)
    path = sim.step(command(sim, 0.3), 3)
    monkeypatch.undo()
    assert path.healthy.all()


def test_closing_releases_it_once():
    _, sim = simulator()
    task = sim.task
    sim.close()
    sim.close()
    assert not task.sim.layouts


def test_a_tree_without_its_networks_is_named(mapush, monkeypatch):
    monkeypatch.setattr(mqe, "_NEEDED", ("mqe/utils/no_such.jit",))
    with pytest.raises(UserError, match=r"is no complete source tree of MAPush: mqe/utils/no_such\.jit is missing"):
        mqe.find_source()


@pytest.mark.parametrize(
    "object_name, file",
    [
        ("cuboid", "cuboid/SmallBox"),
        ("tblock", "Tblock/SuperSmallTblock"),
        ("cylinder", "cylinder/BigCylinder"),
    ],
)
def test_the_objects_file_is_mapushs_in_all_that_physics_sees(mapush, tmp_path, object_name, file):
    mqe.write_urdf(small_config(object_name=object_name).object.body.parts, tmp_path / "object.urdf")

    def physics(path):
        rows = []
        for link in ElementTree.parse(str(path)).getroot().iter("link"):
            inertia, geometry = link.find("inertial/inertia"), link.find("collision/geometry")[0]
            numbers = [link.find("inertial/mass").get("value"), *(inertia.get(name) for name in ("ixx", "iyy", "izz"))]
            sizes = geometry.get("size") or f"{geometry.get('radius')} {geometry.get('length')}"
            for where in ("inertial", "collision"):
                origin = link.find(f"{where}/origin")
                numbers += ["0 0 0" if origin is None else origin.get("xyz")]
            rows.append((geometry.tag, [float(n) for text in (*numbers, sizes) for n in text.split()]))
        return rows

    assert physics(tmp_path / "object.urdf") == physics(mapush / "resources" / "objects" / f"{file}.urdf")


def test_contact_pairs_are_those_of_this_process_simulation(monkeypatch, another):
    monkeypatch.setenv("MAPUSH_CONTACT_PAIR_MULTIPLIER", "3")
    _, sim = simulator(num_envs=4)
    assert isaacgym.contact_pairs() is None  # MuJoCo's contacts have room as they need it
    contacts = np.array([(0,), (3,), (-1,)], dtype=[("env0", "i4")])  # the last one is none
    monkeypatch.setattr(sim.task, "gym", types.SimpleNamespace(get_rigid_contacts=lambda sim: contacts))
    assert sim.contact_pairs() == (3 * 2**23, 2, True)
    monkeypatch.undo()
    sim.close()
    assert isaacgym.contact_pairs() is None
