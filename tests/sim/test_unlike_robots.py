"""The rover and the planar robot's variants: what makes them unlike, from the simulator to the command line."""

import json

import numpy
import pytest
import torch

from mapush_stack.errors import UserError
from tests.cli.runner import mapush, train_small
from tests.conftest import small_config

FORCES = {"planar": 60, "planar-weak": 30, "planar-strong": 120, "rover": 120, "planar-fast": 60, "planar-slow": 60}


def make(kind, *overrides, object_name="cuboid-24kg"):
    """A simulator with one robot of `kind`, and the start of its environment."""
    from mapush_stack.envs.factory import make_env

    config = small_config("sim.num_envs=1", *overrides, object_name=object_name)
    env = make_env(config.task, config.object, config.sim, 0, team=[kind, kind])
    env.reset()
    return env.simulator


def drive(simulator, place, command, steps=100):
    """Robot 0 starts at `place`, x and y, with its front to +x; robot 1 stands far away."""
    level, away = torch.zeros(1, 2, 3), torch.tensor([[[*place, 0.3], [0.0, 9.0, 0.3]]])
    still = torch.zeros(1, 3)
    start = simulator.state()._replace(robot_pos=away, robot_rpy=level, robot_lin_vel=level, robot_ang_vel=level)
    flat = start.object_pos * torch.tensor([0.0, 0.0, 1.0])
    start = start._replace(object_pos=flat, object_rpy=still, object_lin_vel=still, object_ang_vel=still)
    simulator.reset(torch.arange(1), start)
    return simulator.step(torch.tensor([[command, [0.0, 0.0, 0.0]]]), steps)


@pytest.mark.parametrize("kind", FORCES)
def test_only_the_strong_move_24_kg_alone(mujoco, kind):
    path = drive(make(kind), (-1.0, 0.0), [0.5, 0.0, 0.0], 200)
    assert path.healthy.all()
    moved = float(path.object_pos[-1, 0, 0] - path.object_pos[100, 0, 0])  # it has landed by then
    assert moved > 0.1 if FORCES[kind] > 100 else abs(moved) < 0.03, moved


@pytest.mark.parametrize("kind, speed", [("planar-fast", 0.8), ("planar-slow", 0.2), ("planar-weak", 0.4)])
def test_a_fast_robot_and_a_slow_one_follow_the_same_command(mujoco, kind, speed):
    path = drive(make(kind), (0.0, 4.0), [0.0, 0.4, 0.0])
    assert float(path.robot_lin_vel[-1, 0, 0, 1]) == pytest.approx(speed, abs=0.01)


def test_a_rover_goes_ahead_at_its_top_speed_and_never_sideways(mujoco):
    simulator = make("rover")
    path = drive(simulator, (0.0, 4.0), [3.0, 0.5, 0.0])
    assert torch.allclose(path.robot_lin_vel[-1, 0, 0], torch.tensor([2.0, 0.0, 0.0]), atol=1e-3)
    # While it turns, its wheels leave it no slip: where it goes is where it looks.
    path = drive(simulator, (0.0, 4.0), [0.5, 0.0, 0.5])
    yaw, velocity = path.robot_rpy[50:, 0, 0, 2], path.robot_lin_vel[50:, 0, 0]
    slip = velocity[:, 1] * torch.cos(yaw) - velocity[:, 0] * torch.sin(yaw)
    assert slip.abs().max() < 0.02 and yaw[-1] > 0.8


@pytest.mark.parametrize("other", ["planar", "go1"])
def test_a_rover_pushes_a_robot_aside_that_starts_in_it(mujoco, other):
    """Neither can be lifted: a force upwards would leave it there."""
    from mapush_stack.envs.factory import make_env

    config = small_config("sim.num_envs=32", "sim.backend=mujoco")
    env = make_env(config.task, config.object, config.sim, 0, team=[other, "rover"])
    env.reset()
    simulator, state = env.simulator, env.sim_state
    place, turn = state.robot_pos.clone(), torch.zeros(32, 2, 3)
    place[:, :, :2] = torch.tensor([[4.0, 0.02], [4.26, 0.0]])
    turn[:, 1, 2] = torch.arange(32) / 32 * 6.28
    still = torch.zeros_like(place)
    start = state._replace(robot_pos=place, robot_rpy=turn, robot_lin_vel=still, robot_ang_vel=still)
    simulator.reset(torch.arange(32), start)
    path = simulator.step(torch.zeros(32, 2, 3), 100)
    apart = (path.robot_pos[-1, :, 0, :2] - path.robot_pos[-1, :, 1, :2]).norm(dim=-1)
    assert path.healthy.all() and apart.min() > 0.33, apart
    env.close()


def test_a_setting_of_a_kind_is_its_own(mujoco):
    path = drive(make("rover", "sim.rover.max_force=40"), (-1.0, 0.0), [0.5, 0.0, 0.0], 200)
    assert (path.object_pos[-1] - path.object_pos[100]).abs().max() < 0.03
    path = drive(make("planar-fast", "sim.planar-fast.speed=0.1"), (0.0, 4.0), [0.4, 0.0, 0.0])
    assert float(path.robot_lin_vel[-1, 0, 0, 0]) == pytest.approx(0.04, abs=0.01)


def test_a_mixed_team_trains_evaluates_and_goes_on(mujoco, tmp_path):
    out, run = train_small(tmp_path, "--team", "planar-slow,rover", "sim.rover.max_force=100")
    assert "1 planar-slow and 1 rover robots push the cuboid" in out
    sections = json.loads((run / "config.json").read_text())["sim"]
    assert sections["rover"]["max_force"] == 100 and sections["planar-slow"]["speed"] == 0.5
    out, _ = mapush("evaluate", run, "--episodes", 2, "--json")
    assert json.loads(out)[-1]["robot"] == "planar-slow+rover"
    out, _ = mapush("evaluate", run, "--episodes", 200, "--set", "sim.num_envs=200", "--json")
    assert json.loads(out)[-1]["valid_episodes"] < 200  # robots of unlike heights may start too near each other, too
    more = ["--from", run, "--steps", 320, "--no-evaluation", "--results", tmp_path / "more"]
    assert "trained at" in mapush("train", *more)[0]
    _, err = mapush("train", "--from", run, "--team", "planar,planar", "--results", tmp_path / "other", code=2)
    assert err.startswith("mapush:") and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "options, said",
    [
        (["--team", "go1,rover", "--backend", "isaacgym"], "robot must be go1 with backend=isaacgym, not"),
        (["--team", "planar,rovr"], "did you mean rover?"),
        (["--team", "planar,rover", "sim.rover.max_force=0"], "sim.rover.max_force=0 is not allowed"),
        (["--team", "planar-fast,planar", "sim.planar-fast.speed=9"], "sim.planar-fast.speed=9 is not allowed"),
        (["--team", "planar,rover", "sim.rover.fused=true"], "sim.rover.fused"),
        (
            ["--team", "planar,rover", "--algo", "mappo", "learner.share_actor=true"],
            "must be false for a team of several kinds",
        ),
    ],
)
def test_what_an_unlike_team_cannot_have_is_one_sentence(mujoco, tmp_path, options, said):
    _, err = mapush("train", *options, "--results", tmp_path, code=2)
    assert said in err and len(err.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_pettingzoo_has_spaces_of_each_robots_own(mujoco):
    pytest.importorskip("pettingzoo")
    from mapush_stack.envs.pettingzoo import parallel_env

    config = small_config("team=[planar, rover]", "sim.backend=mujoco")
    env = parallel_env(config.task, config.object, config.sim, team=config.team_kinds)
    assert [env.action_space(agent).shape for agent in env.possible_agents] == [(3,), (2,)]
    seen, _ = env.reset(seed=1)
    assert [len(seen[agent]) for agent in env.agents] == [22, 24]
    env.step({"robot_0": numpy.zeros(3), "robot_1": numpy.zeros(2)})
    with pytest.raises(UserError, match=r"robot_1.*\(2,\)|robot_1.* 2 "):
        env.step({"robot_0": numpy.zeros(3), "robot_1": numpy.zeros(3)})
