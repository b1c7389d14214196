"""A learned high level over a trained team."""

import json
import math

import pytest
import torch

from mapush_stack.envs.factory import make_env
from mapush_stack.envs.leader import Led
from mapush_stack.envs.push_env import PushEnv
from mapush_stack.evaluation import pretrained
from mapush_stack.learning.contract import TeamPolicy
from mapush_stack.training import session
from mapush_stack.training.config import overridden
from mapush_stack.training.run_directory import find_checkpoints
from tests.cli.runner import mapush
from tests.conftest import SMALL

pytestmark = pytest.mark.usefixtures("mujoco")
TEAM = "long-way-planar"
CHANGES = ["task.obstacles.layouts=8", "task.episode_seconds=2.0"]


def led_config(*changes):
    run, found = find_checkpoints(pretrained.path(TEAM))
    config = overridden(run.config(), [*SMALL[:3], *CHANGES, *changes], "", ["leader"])
    leader = config.leader.model_copy(update={"team": run.config().learner})
    return config.model_copy(update={"leader": leader}), found[-1][1]


def led_env(*changes, auto_reset=True):
    config, weights = led_config(*changes)
    env = made(config, session.led_by(config, weights), auto_reset)
    env.reset()
    return env


def made(config, led=None, auto_reset=True):
    return make_env(config.task, config.object, config.sim, 5, auto_reset=auto_reset, team=["planar"] * 2, led=led)


def test_a_leader_that_wants_nothing_leaves_the_team_to_the_planner():
    env, alone = led_env(), made(led_config()[0])
    seen, _ = alone.reset()
    for _ in range(3):
        step, led = alone.step(env._led_team.act(seen)), env.step(torch.zeros(8, 1, 3))
        seen = step.observations
        assert all(torch.equal(one, other) for one, other in zip(alone.sim_state, env.sim_state))
        assert torch.allclose(step.rewards.mean(-1, keepdim=True), led.rewards)


class Stub(TeamPolicy):
    """Remembers what it saw, and wants to go too fast."""

    def act(self, observations):
        self.seen = observations
        return torch.full((8, 2, 3), 3.0)


@pytest.mark.parametrize("aligned", ["false", "true"])
def test_a_team_is_led_as_the_leader_orders(aligned):
    config, team = led_config(f"task.obstacles.aligned={aligned}")[0], Stub()
    env = made(config, Led(config.leader, team))
    env.reset()
    env.target[:, 3:4] = 1.0  # in a narrow gap, the yaw counts
    wanted, order = env.target.clone(), torch.tensor([1.0, 0.0, -1.0, 1.0])[: env.spec.action_size]
    slowed = env._ordered(order.expand(8, -1))
    assert torch.allclose(slowed, torch.full_like(slowed, 0.3))  # of full speed
    assert not torch.allclose(team.seen, seen_by(env, wanted), atol=1e-2)
    way = wanted[:, :2] - env.sim_state.object_pos[:, :2]
    wanted[:, :2] += 0.5 * way / torch.linalg.vector_norm(way, dim=-1, keepdim=True)
    if aligned == "true":
        wanted[:, 2] += math.radians(30)
    assert torch.allclose(team.seen, seen_by(env, wanted), atol=1e-5)


def seen_by(env, target):
    """What the team's robots see."""
    return PushEnv._observe(env, env.sim_state, target, env.episodes.here)


def test_what_a_leader_saw_last_is_of_the_course_that_ended():
    steps = [
        led_env("task.episode_seconds=0.1", auto_reset=again).step(torch.zeros(8, 1, 3)) for again in (True, False)
    ]
    assert steps[0].truncated.all()
    assert torch.equal(steps[0].final_state, steps[1].final_state)
    assert not torch.allclose(steps[0].state, steps[0].final_state)


@pytest.mark.slow
def test_a_leader_is_trained_evaluated_and_compared(tmp_path):
    small = [one for one in SMALL if "evaluation" not in one]
    mapush(
        "train", "--pretrained", TEAM, "--with", "leader", *small, *CHANGES, "--results", tmp_path, "--no-evaluation"
    )
    run = next(tmp_path.glob("mapush/*/mappo/leader/seed*"))
    absent = ["--absent", 1, "--episodes", 4, "--json"]
    row = json.loads(mapush("evaluate", run / "models/rl_model_480_steps", "--episodes", 4, "--json")[0])[0]
    assert row["episodes"] == 4
    assert '"absent": [' in mapush("evaluate", run / "models/rl_model_480_steps", *absent)[0]
    options = ["--sets", "random-2", "--layouts", 4, "--set", "task.episode_seconds=3", "--set", "sim.threads=1"]
    text, _ = mapush("bench", "long-way", run, "--rows", "ours,learned", *options)
    assert "random-2, learned: 0 of 4" in text and "random-2, ours: 0 of 4" in text
    for command, says in (
        (["bench", "long-way", "--pretrained", TEAM, "--rows", "learned", *options], "is for a leader's run"),
        (["evaluate", run, "--frozen", 0], "--frozen 0 is for a team"),
        (["train", "--from", run, "--results", tmp_path], "it is a leader's run; give the run of a team"),
        (["train", "--preset", "long-way", "--with", "leader", *small], "a leader needs a trained team"),
        (["train", "--pretrained", "cuboid-planar", "--with", "leader"], "task.obstacles.arena is null"),
    ):
        _, err = mapush(*command, code=2)
        assert says in err and err.count("\n") == 1, err
