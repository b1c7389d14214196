"""Teams of several kinds of robots, one of which is defined here."""

import io
import json
import shutil
from typing import Any

import pytest
import torch
from pydantic import Field
from rich.console import Console

from mapush_stack.errors import UserError
from mapush_stack.sim.contacts import ROBOT_FRICTION, SLIDING_ROBOT, friction, mean_friction
from mapush_stack.sim.robots import ROBOTS
from mapush_stack.sim.robots.base import Bodies, Joints, RobotKind, RobotSettings
from mapush_stack.sim.robots.planar import add_velocity_servo
from mapush_stack.sim.team import OBJECT_QPOS
from mapush_stack.task.geometry import rotate
from mapush_stack.task.robot import RobotTask
from mapush_stack.training.progress import ProgressDisplay
from tests.conftest import outcome, small_config

HEIGHT = 0.2
TEAMS = [["box", "box"], ["box", "planar", "go1"], ["planar-fast", "rover"], ["go1", "rover"], ["go2", "rover"]]
HEIGHTS = {"box": HEIGHT, "rover": 0.125}
SENSE_MIRRORS = {"box": (-1.0,), "rover": (1.0, -1.0)}


class BoxSettings(RobotSettings):
    time_constant: float = Field(0.1, gt=0, description="of the servos, s")


class Box(RobotKind[BoxSettings]):
    """A box that drives straight ahead and turns, and that feels how fast it turns."""

    settings_model = BoxSettings
    task = RobotTask(start_height=0.2, command_axes=(0, 2), sense_mirror=(-1.0,))
    positions = velocities = 3
    contacts = 8

    def add_to(self, spec: Any, name: str, object_friction: float) -> None:
        import mujoco

        body = spec.worldbody.add_body(name=name, pos=[0, 0, HEIGHT])
        body.mass, body.inertia, body.explicitinertial = 8.0, [0.2] * 3, True
        slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
        for joint, kind, axis in (("x", slide, [1, 0, 0]), ("y", slide, [0, 1, 0]), ("yaw", hinge, [0, 0, 1])):
            body.add_joint(name=f"{name}_{joint}", type=kind, axis=axis)
        rough = friction(mean_friction(ROBOT_FRICTION, object_friction))
        shape = {"type": mujoco.mjtGeom.mjGEOM_BOX, "size": [0.2, 0.15, 0.1]}
        body.add_geom(name=f"{name}_hull", friction=rough, **shape, **SLIDING_ROBOT._asdict())
        body.add_site(name=f"{name}_base")
        add_velocity_servo(spec, name, "vx", 0, 8.0 / self.settings.time_constant, 50.0)
        add_velocity_servo(spec, name, "yaw_rate", 5, 0.2 / self.settings.time_constant, 5.0)

    def bodies(self, joints: Joints) -> Bodies:
        qpos, qvel = joints
        flat = torch.zeros_like(qpos[..., 0])
        return Bodies(
            pos=torch.stack((qpos[..., 0], qpos[..., 1], flat + HEIGHT), dim=-1),
            rpy=torch.stack((flat, flat, qpos[..., 2]), dim=-1),
            lin_vel=torch.stack((qvel[..., 0], qvel[..., 1], flat), dim=-1),
            ang_vel=torch.stack((flat, flat, qvel[..., 2]), dim=-1),
        )

    def start(self, env_ids, start, mask) -> Joints:
        return Joints(
            qpos=torch.cat((start.robot_pos[..., :2], start.robot_rpy[..., 2:]), dim=-1),
            qvel=torch.cat((start.robot_lin_vel[..., :2], start.robot_ang_vel[..., 2:]), dim=-1),
        )

    def control(self, commands, joints):
        return torch.stack((commands[..., 0], commands[..., 2]), dim=-1)

    def senses(self, joints):
        return joints.qvel[..., 2:]


@pytest.fixture(autouse=True)
def box(monkeypatch):
    monkeypatch.setitem(ROBOTS._things, "box", Box)


def make(team, *overrides, size=4, seed=0):
    from mapush_stack.envs.factory import make_env

    config = small_config(f"sim.num_envs={size}", *overrides)
    return make_env(config.task, config.object, config.sim, seed, team=team)


def actions(env, step):
    generator = torch.Generator().manual_seed(step)
    return 2 * torch.rand(env.num_envs, env.spec.num_agents, env.spec.action_size, generator=generator) - 1


@pytest.mark.parametrize("team", TEAMS)
def test_each_robot_observes_and_steers_what_its_kind_says(mujoco, team):
    env = make(team)
    layout = {2: 22, 3: 28}[len(team)]
    for kind, agent in zip(team, env.spec.agents):
        senses = SENSE_MIRRORS.get(kind, ())
        assert agent.observation_size == len(agent.mirror.observation) == layout + len(senses)
        assert agent.mirror.observation[layout:] == senses
        assert agent.mirror.action == ((1.0, -1.0) if senses else (1.0, -1.0, -1.0))
    seen, _ = env.reset()
    for step in range(3):
        state = env.simulator.state()
        for robot, kind in enumerate(team):
            turns = kind in SENSE_MIRRORS
            assert torch.equal(seen[:, robot, -1], state.robot_ang_vel[:, robot, 2] if turns else torch.zeros(4))
            if kind == "rover":
                ahead = rotate(state.robot_lin_vel[:, robot, :2], -state.robot_rpy[:, robot, 2])[:, 0]
                assert torch.allclose(seen[:, robot, -2], ahead, atol=1e-5) and (step == 0 or ahead.any())
        seen = env.step(actions(env, step)).observations
    with pytest.raises(UserError, match=r"action must have the shape \[4, "):
        env.step(torch.zeros(4, len(team), 1))


def test_actions_reach_the_axes_that_they_are_for(mujoco, monkeypatch):
    env = make(["box", "planar", "go1"])
    given = []
    step = env.simulator.step
    monkeypatch.setattr(
        env.simulator, "step", lambda commands, repeat: given.append(commands) or step(commands, repeat)
    )
    env.reset()
    env.step(torch.tensor([[0.1, 0.2, 9.0], [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]).expand(4, 3, 3))
    # The limits are 0.5 m/s and 0.5 rad/s; what stands behind a box's two numbers is ignored.
    assert torch.allclose(given[0][0], 0.5 * torch.tensor([[0.1, 0.0, 0.2], [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]))


def test_walking_robots_of_two_kinds_start_with_joints_of_their_own(mujoco, monkeypatch):
    monkeypatch.setitem(ROBOTS._things, "other", type("Other", (ROBOTS["go1"],), {}))
    first = OBJECT_QPOS + 7
    starts = {}
    for team in (["go1", "go1"], ["go1", "other"], ["other", "planar", "go1"]):
        env = make(team)
        env.reset()
        starts[len(set(team))] = env.joint_positions
    one, two, three = starts[1], starts[2], starts[3]
    # Each robot's draw is that of its place in the team, whatever its kind.
    assert torch.equal(two, one)
    assert torch.equal(three[:, first : first + 12], one[:, first : first + 12])
    for joints, second in ((two, first + 19), (three, three.shape[1] - 12)):
        assert not torch.isclose(joints[:, first : first + 12], joints[:, second : second + 12]).any(-1).all()


@pytest.mark.parametrize("team", TEAMS)
def test_robots_follow_their_commands(mujoco, team):
    env = make(team, "task.target_distance=[2.9,3.0]")
    simulator, robots = env.simulator, len(team)
    env.reset()
    state = simulator.state()
    away = torch.stack([torch.tensor([5.0 * number, 9.0, 0.45]) for number in range(robots)]).expand(4, robots, 3)
    level = torch.zeros_like(state.robot_rpy)
    simulator.reset(torch.arange(4), state._replace(robot_pos=away, robot_rpy=level, robot_lin_vel=level))
    path = simulator.step(torch.tensor([0.4, 0.0, 0.0]).expand(4, robots, 3), 150)
    assert path.healthy.all()
    speeds = torch.tensor([0.8 if kind == "planar-fast" else 0.4 for kind in team])
    assert torch.allclose(path.robot_lin_vel[-50:, ..., 0].mean(0), speeds.expand(4, -1), atol=0.08)
    heights = torch.tensor([HEIGHTS.get(kind, 0.28) for kind in team])
    assert torch.allclose(path.robot_pos[-1, 0, :, 2], heights, atol=0.06)


@pytest.mark.parametrize("team", TEAMS)
def test_both_engines_give_the_same_trajectories(mujoco, team):
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    paths = []
    for backend in ("mujoco", "warp"):
        env = make(team, f"sim.backend={backend}", "sim.device=cpu")
        env.reset()
        state = env.simulator.state()
        away = state.robot_pos.clone()
        away[..., 0] = 6.0 * torch.arange(1, len(team) + 1)
        env.simulator.reset(torch.arange(4), state._replace(robot_pos=away))
        paths.append(env.simulator.step(torch.tensor([0.3, 0.1, 0.2]).expand(4, len(team), 3), 50))
    one, other = paths
    assert other.healthy.all()
    for name in ("robot_pos", "robot_rpy", "senses", "object_pos"):
        difference = (getattr(one, name) - getattr(other, name)).abs()
        if name != "object_pos":
            assert difference[:, :, [kind != "go1" for kind in team]].max() < 1e-3
        assert difference.max() < 2e-2, name


@pytest.mark.parametrize("backend", ["mujoco", "warp"])
@pytest.mark.parametrize("team", TEAMS)
def test_a_saved_team_goes_on_bit_for_bit(mujoco, team, backend):
    if backend == "warp":
        pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    overrides = (f"sim.backend={backend}", "sim.device=cpu")
    one, other = make(team, *overrides), make(team, *overrides)
    one.reset(), other.reset()
    for step in range(4):
        one.step(actions(one, step))
    other.load_state_dict({name: tensor.clone() for name, tensor in one.state_dict().items()})
    assert all(torch.equal(a, b) for a, b in zip(one.observe(), other.observe()))
    for step in range(3):
        for a, b in zip(*(outcome(env.step(actions(one, step)))[:4] for env in (one, other))):
            assert torch.equal(a, b)


@pytest.mark.parametrize("team", TEAMS)
def test_each_robot_is_drawn_and_one_without_looks_by_what_it_collides_with(mujoco, team):
    from mapush_stack.sim.drawing import SHOWN
    from mapush_stack.sim.visuals import ACCENTS, Stage

    env, config = make(team), small_config()
    model = Stage(config.object.body, env.simulator.team, 1.0).model
    shown = [model.geom(number) for number in range(model.ngeom) if model.geom(number).group[0] == SHOWN]
    for number, kind in enumerate(team):
        body = model.body(f"robot{number}").id
        own = [geom for geom in shown if model.body_rootid[geom.bodyid[0]] == body]
        if kind == "box":
            assert [geom.name for geom in own] == [f"robot{number}_hull"]
            assert own[0].rgba[:3] == pytest.approx(ACCENTS[number])
        else:  # trunk and legs, or wheels; what the others collide with is hidden
            assert len(own) > 10 and not any(geom.name for geom in own)


def test_the_finest_physics_step_of_the_team_is_taken(mujoco):
    assert make(["box", "planar"]).simulator.engine.model.opt.timestep == 0.02
    assert make(["box", "go1"], "sim.go1.physics_dt=0.01").simulator.engine.model.opt.timestep == 0.01
    assert make(["go1", "box"], "sim.go1.physics_dt=0.005").simulator.team.substeps == 4


def test_a_kinds_settings_are_a_section_of_the_configuration():
    sim = small_config("sim.box.time_constant=0.3").sim
    assert sim.of_kind("box") == sim.box == BoxSettings(time_constant=0.3)
    plain = json.loads(sim.model_dump_json())
    assert plain["box"] == {"physics_dt": 0.02, "time_constant": 0.3} and list(plain)[-3:] == ["planar", "go1", "box"]
    assert type(sim).model_validate_json(json.dumps(plain), strict=True) == sim
    with pytest.raises(UserError, match=r"sim\.box\.time_constant=0 is not allowed"):
        small_config("sim.box.time_constant=0")
    assert small_config().sim.of_kind("box") == BoxSettings()


def test_a_team_rearranges_nothing_it_need_not(mujoco):
    names = make(["planar", "planar"]).state_dict()
    assert not any("team" in name for name in names)
    assert {"simulator.team.phase", "simulator.team.starts"} <= set(make(["go1", "go1"]).state_dict())
    assert "simulator.team.go1.phase" in make(["planar", "go1"]).state_dict()


@pytest.mark.parametrize("team", TEAMS)
def test_a_team_is_trained_and_goes_on_from_its_checkpoint(mujoco, team, tmp_path):
    from mapush_stack.training import session
    from mapush_stack.training.checkpoint import load_model

    config = small_config(f"team=[{', '.join(team)}]", "learner.algorithm=happo", "sim.num_envs=4")
    assert config.object.task.num_robots == len(team)
    display = ProgressDisplay(Console(file=io.StringIO()), config.total_steps)
    run = session.start(config, tmp_path, ["test"], display).run
    weights = load_model(run.checkpoints()[-1][1])
    assert all(tensor.isfinite().all() for tensor in weights.values())
    saved = run.checkpoints()
    shutil.rmtree(saved[-1][1])
    session.resume(run.path, display)
    again = load_model(run.checkpoints()[-1][1])
    assert len(saved) > 1 and all(torch.equal(weights[name], again[name]) for name in weights)
