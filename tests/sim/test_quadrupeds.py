import json
import math

import pytest
import torch

from mapush_stack.locomotion import gait, kinematics, policy
from mapush_stack.sim.robots import ROBOTS
from mapush_stack.sim.robots.quadruped import proprioception
from mapush_stack.task.resets import draw_start
from mapush_stack.walking import tracking
from tests.cli.runner import mapush, train_small
from tests.conftest import small_config

pytestmark = pytest.mark.usefixtures("mujoco")


def simulator(*overrides, num_envs=4, object_name="cuboid", robot="go1"):
    from mapush_stack.envs.factory import make_simulator

    config = small_config(f"sim.robot={robot}", f"sim.num_envs={num_envs}", *overrides, object_name=object_name)
    team = [robot] * config.object.task.num_robots
    return config, make_simulator(config.sim, config.object.body, team, torch.full((num_envs,), 0.55), 0)


def test_the_go1_has_the_published_masses_and_limits():
    _, sim = simulator()
    model = sim.engine.model
    assert model.body("robot0").subtreemass[0] == pytest.approx(12.743, abs=2e-3)
    # unitree_ros, const.xacro: position limits in radians, torque limits in N m.
    assert model.joint("robot0_FL_calf").range.tolist() == pytest.approx([-2.818, -0.888])
    assert model.joint("robot1_RR_hip").range.tolist() == pytest.approx([-0.863, 0.863])
    assert model.actuator("robot0_RL_calf").forcerange.tolist() == [-35.55, 35.55]
    assert model.actuator("robot0_RL_thigh").forcerange.tolist() == [-23.7, 23.7]
    # The rotor's 1.118e-4 kg m^2 seen through 6.33:1.
    assert model.dof_armature[model.joint("robot0_FR_hip").dofadr[0]] == pytest.approx(0.00448, abs=1e-5)


def test_the_go2_has_the_published_masses_and_limits():
    _, sim = simulator(robot="go2")
    model = sim.engine.model
    # unitree_ros, go2_description.urdf: 6.921 kg, and four legs of 0.678, 1.152, 0.154 and 0.04 kg.
    assert model.body("robot0").subtreemass[0] == pytest.approx(15.017, abs=1e-3)
    assert model.joint("robot0_FL_thigh").range.tolist() == pytest.approx([-1.5708, 3.4907])
    assert model.joint("robot1_RL_thigh").range.tolist() == pytest.approx([-0.5236, 4.5379])
    assert model.actuator("robot0_RL_calf").forcerange.tolist() == [-35.55, 35.55]
    assert model.body("robot1_RR_hip").pos.tolist() == pytest.approx([-0.1934, -0.0465, 0.0])


@pytest.mark.parametrize("robot, mass", [("go1", 1.009), ("go2", 1.152)])
def test_left_and_right_legs_mirror_each_other(robot, mass):
    left, right = (ROBOTS[robot].links(side, 1.0)["thigh"] for side in (1.0, -1.0))
    assert left.mass == pytest.approx(right.mass) == pytest.approx(mass)
    assert left.centre[1] == pytest.approx(-right.centre[1]) and left.centre[0] == pytest.approx(right.centre[0])
    assert left.tensor[1, 2] == pytest.approx(-right.tensor[1, 2])


def test_contacts_are_as_documented():
    _, sim = simulator()
    model = sim.engine.model

    def meet(a, b):
        first, second = model.geom(a), model.geom(b)
        return bool(first.contype & second.conaffinity or second.contype & first.conaffinity)

    assert meet("floor", "robot0_FL_foot") and meet("floor", "robot0_trunk") and not meet("floor", "robot0_FL_calf")
    for part in ("robot0_FL_foot", "robot0_FL_thigh", "robot0_FL_calf", "robot0_trunk"):
        assert meet("object0", part)
    assert meet("robot0_envelope", "robot1_envelope") and meet("robot0_trunk", "robot1_trunk")
    assert not meet("robot0_envelope", "object0") and not meet("robot0_FL_calf", "robot1_FL_calf")
    assert model.geom("robot0_FL_foot").friction[0] == pytest.approx(0.55)


@pytest.mark.parametrize("robot", ["go1", "go2"])
def test_the_kinematics_are_those_of_the_model(robot):
    import mujoco

    _, sim = simulator(robot=robot)
    tracking.start(sim, at_object=False)
    sim.step(torch.tensor([0.4, 0.1, 0.3]).expand(4, 2, 3), 17)
    qpos, _ = sim.engine.read()
    data = mujoco.MjData(sim.engine.model)
    data.qpos[:] = qpos[0].numpy()
    mujoco.mj_kinematics(sim.engine.model, data)
    feet = kinematics.foot_positions(qpos[0, 14:26], ROBOTS[robot].legs)
    rotation = torch.tensor(data.body("robot0").xmat.reshape(3, 3), dtype=torch.float32)
    placed = feet @ rotation.T + qpos[0, 7:10]
    found = torch.stack([torch.tensor(data.geom(f"robot0_{leg}_foot").xpos) for leg in gait.LEGS]).float()
    assert torch.allclose(placed, found, atol=1e-5)


def test_a_robot_senses_itself_in_its_own_frame():
    config, sim = simulator()
    state = draw_start(config.task, config.object.task, 0, torch.arange(4), torch.zeros(4, dtype=torch.int64)).state
    yaw = torch.full_like(state.robot_rpy, 0.0)
    yaw[..., 2] = math.pi / 2
    ahead = torch.zeros_like(state.robot_lin_vel)
    ahead[..., 1] = 0.7
    sim.reset(torch.arange(4), state._replace(robot_rpy=yaw, robot_lin_vel=ahead))
    body = proprioception(sim.team.groups[0].joints(*sim.engine.read()))
    assert torch.allclose(body.linear_velocity, torch.tensor([0.7, 0.0, 0.0]).expand(4, 2, 3), atol=1e-5)
    assert torch.allclose(body.gravity, torch.tensor([0.0, 0.0, -1.0]).expand(4, 2, 3), atol=1e-5)
    # Joints start at the stance times U(0.7, 1.3), every robot with its own draw.
    scale = body.joint_pos / torch.tensor(gait.STANCE)
    assert 0.7 <= scale.min() < 0.75 and 1.25 < scale.max() <= 1.3 and not torch.equal(scale[0], scale[1])


def test_starts_do_not_depend_on_the_number_of_environments():
    angles = []
    for size in (2, 5):
        config, sim = simulator(num_envs=size)
        ids = torch.arange(size)
        sim.reset(ids, draw_start(config.task, config.object.task, 0, ids, torch.zeros_like(ids)).state)
        sim.reset(ids[1:2], draw_start(config.task, config.object.task, 0, ids[1:2], torch.ones_like(ids[1:2])).state)
        angles.append(sim.engine.read()[0][:2])
    assert torch.equal(*angles)


@pytest.fixture(scope="module")
def blind_file(tmp_path_factory):
    """An untrained policy that sees four frames without the velocity."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("walker") / "blind.safetensors"
    policy.save(policy.WalkingPolicy([8], gait.View(4, linear_velocity=False)), file)
    return file


@pytest.mark.parametrize("kind", ["shipped", "blind", "upstream"])
def test_a_saved_team_walks_on_bit_for_bit(kind, blind_file):
    worse = [f"sim.go1.walking_policy={blind_file}", "sim.go1.delay=0.03", "sim.go1.noise=1"]
    options = worse if kind == "blind" else [f"sim.go1.walking_policy={kind}"]
    config, one = simulator(*options)
    ids = torch.arange(4)
    one.reset(ids, draw_start(config.task, config.object.task, 0, ids, torch.zeros_like(ids)).state)
    command = torch.tensor([0.4, 0.0, 0.2]).expand(4, 2, 3)
    one.step(command, 30)
    saved = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    path = one.step(command, 20)
    kept = {"shipped": set(), "blind": {"history", "sent", "ticks"}, "upstream": {"history"}}
    assert {"history", "sent", "ticks"} & set(saved_names(saved)) == kept[kind]
    _, other = simulator(*options)
    other.load_state_dict(saved)
    for a, b in zip(path, other.step(command, 20)):
        assert torch.equal(a, b)


def saved_names(state):
    return [name.rpartition(".")[2] for name in state]


def test_a_reset_forgets_one_environments_past(blind_file):
    config, sim = simulator(f"sim.go1.walking_policy={blind_file}", "sim.go1.delay=0.04", "sim.go1.noise=1")
    ids = torch.arange(4)
    start = draw_start(config.task, config.object.task, 0, ids, torch.zeros_like(ids)).state
    sim.reset(ids, start)
    sim.step(torch.tensor([0.4, 0.0, 0.2]).expand(4, 2, 3), 10)
    robots = sim.team.groups[0].robots
    before = robots.state_dict()
    sim.reset(ids[1:3], type(start)(*(part[1:3] for part in start)), torch.tensor([False, True]))
    after = robots.state_dict()
    for name in ("action", "phase", "history", "sent"):
        assert before[name][2].any() and not after[name][2].any(), name
        assert torch.equal(before[name][[0, 1, 3]], after[name][[0, 1, 3]]), name


def test_noise_is_each_environments_own_and_does_not_depend_on_their_number(blind_file):
    histories = []
    for size in (2, 3):
        config, sim = simulator(f"sim.go1.walking_policy={blind_file}", "sim.go1.noise=1", num_envs=size)
        ids = torch.arange(size)
        sim.reset(ids, draw_start(config.task, config.object.task, 0, ids, torch.zeros_like(ids)).state)
        sim.step(torch.zeros(size, 2, 3), 2)
        histories.append(sim.team.groups[0].robots.state_dict()["history"][:2])
    assert torch.equal(*histories)
    quiet, noisy = (simulator(f"sim.go1.noise={level}", num_envs=2)[1] for level in (0, 1))
    for sim in (quiet, noisy):
        tracking.start(sim, at_object=False)
        sim.step(torch.zeros(2, 2, 3), 1)
    quiet, noisy = (sim.team.groups[0].robots.state_dict()["action"] for sim in (quiet, noisy))
    assert not torch.equal(quiet, noisy)


def test_a_delay_of_a_step_holds_the_action_back_for_a_step():
    controls = []
    for delay in (0.0, 0.02):
        _, sim = simulator(f"sim.go1.delay={delay}")
        tracking.start(sim, at_object=False)
        robots = sim.team.groups[0].robots
        joints = sim.team.groups[0].joints(*sim.engine.read())
        commands = torch.tensor([0.5, 0.0, 0.0]).expand(4, 2, 3)
        controls.append([robots.control(commands, joints) for _ in range(2)])
    (first, _), (held, then) = controls
    assert torch.allclose(held, torch.tensor(gait.STANCE).expand_as(held)) and torch.allclose(first, then)


def test_the_friction_cone_can_be_chosen():
    import mujoco

    for cone, number in (("pyramidal", mujoco.mjtCone.mjCONE_PYRAMIDAL), ("elliptic", mujoco.mjtCone.mjCONE_ELLIPTIC)):
        assert simulator(f"sim.cone={cone}")[1].engine.model.opt.cone == number


@pytest.mark.parametrize("robot, dt", [("go1", "0.01"), ("go1", "0.005"), ("go2", "0.02"), ("go2", "0.005")])
def test_the_shipped_policy_follows_commands(robot, dt):
    _, sim = simulator(f"sim.{robot}.physics_dt={dt}", "sim.threads=2", robot=robot)
    still = tracking.track(sim, "stand", (0.0, 0.0, 0.0))
    assert still.fallen == 0 and still.moved < 0.03
    forward = tracking.track(sim, "forward", (0.5, 0.0, 0.0))
    assert forward.fallen == 0 and forward.measured[0] == pytest.approx(0.5, rel=0.1)
    lateral = tracking.track(sim, "left", (0.0, 0.3, 0.0))
    assert lateral.fallen == 0 and lateral.measured[1] == pytest.approx(0.3, rel=0.15)
    turn = tracking.track(sim, "turn", (0.0, 0.0, 0.5))
    assert turn.fallen == 0 and turn.measured[2] == pytest.approx(0.5, rel=0.15)


def test_upstreams_interface_gives_way_to_what_is_pushed():
    turned = []
    for name in ("shipped", "upstream"):
        _, sim = simulator(f"sim.go1.walking_policy={name}", "sim.threads=2")
        tracking.start(sim, at_object=True)
        state = sim.step(torch.tensor([0.5, 0.0, 0.3]).expand(4, 2, 3), 150)
        assert not tracking.fallen(state).any()
        turned.append(state.robot_rpy[-1, :, :, 2].mean(0))
    (told, free), (untold, apart) = (part.tolist() for part in turned)
    assert free == pytest.approx(0.9, abs=0.15) and told == pytest.approx(free, abs=0.1)
    assert apart == pytest.approx(0.9, abs=0.25) and untold < told - 0.08


@pytest.mark.slow
def test_the_blind_policy_stands_still_and_walks_with_worse_hardware():
    worse = ["sim.go1.noise=1", "sim.go1.delay=0.02", "sim.cone=elliptic", "sim.go1.physics_dt=0.005"]
    _, sim = simulator("sim.go1.walking_policy=blind", "sim.threads=2", *worse)
    still = tracking.track(sim, "stand", (0.0, 0.0, 0.0))
    assert still.fallen == 0 and still.moved < 0.02
    forward = tracking.track(sim, "forward", (0.5, 0.0, 0.0))
    assert forward.fallen == 0 and forward.measured[0] == pytest.approx(0.5, abs=0.06)
    backward = tracking.track(sim, "backward", (-0.5, 0.0, 0.0))
    assert backward.fallen == 0 and backward.measured[0] == pytest.approx(-0.5, abs=0.05)


@pytest.mark.parametrize("robot", ["go1", "go2"])
def test_the_shipped_policy_pushes_the_box(robot):
    _, sim = simulator("sim.threads=2", robot=robot)
    pushed = tracking.push_object(sim)
    assert pushed.fallen == 0 and pushed.measured[0] == pytest.approx(0.4, rel=0.25)


def test_a_team_of_both_trains_and_is_evaluated(tmp_path):
    out, run = train_small(tmp_path, "--team", "go1,go2")
    assert "1 go1 and 1 go2 robots push the cuboid" in out
    assert json.loads(mapush("evaluate", run, "--episodes", 2, "--json")[0])[-1]["robot"] == "go1+go2"
