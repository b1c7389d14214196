"""MAPush's own `openrl_ws/train.py` and `test.py`, unedited, over MuJoCo."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from .conftest import MAPUSH, gym, run

PPO = ["--algo", "ppo", "--config", "./openrl_ws/cfgs/ppo.yaml", "--seed", "1", "--headless"]


def train(task="go1push_mid", num_envs=200):
    """One update of 200 steps of each environment."""
    words = ["openrl_ws/train.py", "--task", task, "--exp_name", "cuboid", "--num_envs", num_envs]
    return [*words, "--train_timesteps", num_envs * 200, *PPO, "--use_tensorboard"]


def test_train_learns_from_two_hundred_environments(mapush):
    out = gym(*train(), cwd=mapush, path=[mapush])
    assert "Episode: 0/1" in re.sub(r"\s+", " ", out) and "nan" not in out.lower().split("policy_loss")[-1]
    (run_,) = mapush.glob("results/*_cuboid")
    assert list(run_.rglob("events.out.tfevents.*")) and (run_ / "task" / "config.py").is_file()


def test_the_upper_layer_trains(mapush):
    assert "start training" in gym(*train("go1push_upper", 4), cwd=mapush, path=[mapush])


def test_test_evaluates_a_published_policy(mapush):
    published = Path(os.environ["MAPUSH_SRC"], "results/10-15-23_cuboid/checkpoints/rl_model_100000000_steps/module.pt")
    if not published.is_file():
        pytest.skip("this checkout of MAPush has no published checkpoints")
    words = ["--task", "go1push_mid", "--num_envs", 8, "--test_mode", "calculator", "--checkpoint", published.resolve()]
    out = gym("openrl_ws/test.py", *words, *PPO, cwd=mapush, path=[mapush])
    assert re.search(r"^success rate: +[01]\.\d", out, re.MULTILINE) and "finished time: " in out


def test_below_the_guard_it_ends_cleanly(mapush):
    words = [*MAPUSH, "guard", "--", *MAPUSH, "gym", "run", "--", sys.executable, *train(num_envs=4)]
    assert "start training" in run(*words, cwd=mapush, path=[mapush])
    words[-1:] = ["--use_tensorboard", "--task", "no_such_task"]
    assert "KeyError: 'no_such_task'" in run(*words, cwd=mapush, path=[mapush], code=1)


def test_the_probe_measures_it(mapush, tmp_path):
    words = ["vram-probe", "--device", "cpu", "--start", 4, "--max-envs", 4, "--updates", 1, "--json"]
    words += ["--rate", r"Episode: (?P<updates>\d+)/", "--out", tmp_path / "probe"]
    command = [*MAPUSH, "gym", "run", "--", sys.executable, *train(num_envs="{num_envs}")]
    command[command.index("--train_timesteps") + 1] = "{num_envs}000000"
    out = run(*MAPUSH, *words, "--run", " ".join(map(str, command)), cwd=mapush, path=[mapush])
    answer, _ = json.JSONDecoder().raw_decode(out[out.index("\n{") + 1 :])
    (trial,) = answer["trials"]
    assert trial["outcome"] == "fits" and trial["peak_mib"] > 200
