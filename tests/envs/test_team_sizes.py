"""Teams of one and of eight through every door."""

import json

import numpy as np
import pytest
import torch

from mapush_stack.api import make_env
from tests.cli.runner import mapush
from tests.conftest import SMALL, small_config

GENERALIST = [
    "task.observation=sets",
    "task.global_state=observation",
    "task.placement=apart",
    "learner.algorithm=mappo",
    "learner.share_actor=true",
    "learner.policy.encoder=sets",
]


def team(count):
    return ",".join(["planar"] * count)


def test_a_policy_of_a_few_robots_and_random_objects_drives_one_and_eight(mujoco, tmp_path):
    options = [*SMALL, *GENERALIST, "task.team_size=[2,3]", "learner.policy.token_width=8"]
    mapush("train", "--object=random", f"--team={team(3)}", *options, f"--results={tmp_path}", "--no-evaluation")
    run = next(tmp_path.glob("mapush/*/*/*/*"))
    for arguments, name in (
        ([f"--team={team(1)}"], "random"),
        ([f"--team={team(8)}", "--object=tblock"], "tblock"),
        (["--object=cylinder", f"--team={team(8)}", "--absent=7"], "cylinder"),
        ([], "random"),
    ):
        out, _ = mapush("evaluate", run, *arguments, "--episodes=4", "--json", "--set=task.episode_seconds=1")
        row = json.loads(out)[-1]
        assert row["object"] == name and row["valid_episodes"] == 4


@pytest.mark.parametrize("count", [1, 8])
def test_the_adapters_take_teams_of_one_and_of_eight(mujoco, count):
    pytest.importorskip("pettingzoo", reason="PettingZoo is not installed")
    from mapush_stack.envs import pettingzoo

    config = small_config("task.observation=sets", "task.placement=apart", f"team=[{team(count)}]", "sim.num_envs=1")
    env = pettingzoo.parallel_env(config.task, config.object, config.sim, team=config.team_kinds)
    seen, _ = env.reset(seed=3)
    assert len(seen) == count
    seen, rewards, *_ = env.step({agent: np.zeros(3, np.float32) for agent in env.agents})
    assert len(rewards) == count and all(np.isfinite(numbers).all() for numbers in seen.values())
    env.close()


def test_eight_mixed_robots_push_an_object_of_their_own(mujoco):
    kinds = ["planar", "rover", "planar-strong", "planar-weak", "planar-fast", "planar-slow", "planar", "rover"]
    config = small_config(
        "task.observation=sets", "task.placement=apart", f"team=[{','.join(kinds)}]", "learner.policy.mirror=false",
        object_name="random",
    )  # fmt: skip
    env = make_env(config, seed=3)
    env.reset()
    for _ in range(10):
        step = env.step(torch.rand(8, 8, 3) - 0.5)
    assert bool(step.observations.isfinite().all()) and bool(step.path.healthy.all())
