"""What a command line says twice, or in numbers that cannot be met exactly."""

import json

import pytest

from tests.cli.runner import mapush, train_small
from tests.conftest import SMALL


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "--steps", 2, "training.total_steps=1"], ["--steps 2", "training.total_steps=1"]),
        (["train", "--seed", 2, "training.seed=1"], ["--seed 2", "training.seed=1"]),
        (["train", "--robot", "go1", "sim.robot=planar"], ["--robot go1", "sim.robot=planar"]),
        (["train", "--team", "go1,planar", "team=[planar, go1]"], ["--team go1,planar", "team=[planar, go1]"]),
        (["train", "--backend", "mujoco", "sim.backend=warp"], ["--backend mujoco", "sim.backend=warp"]),
        (["train", "--algo", "happo", "learner.algorithm=mappo"], ["--algo happo", "learner.algorithm=mappo"]),
        (["train", "--learner", "harl", "learner.library=native"], ["--learner harl", "learner.library=native"]),
        (["train", "--object", "tblock", "object=cuboid"], ["--object tblock", "object=cuboid"]),
        (
            ["evaluate", "x", "--episodes", 4, "--set", "evaluation.episodes=5"],
            ["--episodes 4", "evaluation.episodes=5"],
        ),
        (["play", "x", "--seed", 4, "--set", "evaluation.seed=5"], ["--seed 4", "evaluation.seed=5"]),
        (["sweep", "--steps", 4, "training.total_steps=5"], ["--steps 4", "training.total_steps=5"]),
        (["vram-probe", "--robot", "go1", "sim.robot=planar"], ["--robot go1", "sim.robot=planar"]),
        (
            ["walk", "test", "--dt", "0.01", "--set", "sim.go1.physics_dt=0.02"],
            ["--dt 0.01", "sim.go1.physics_dt=0.02"],
        ),
        (["walk", "train", "--out", "x", "--scenes", 4, "--set", "sim.num_envs=5"], ["--scenes 4", "sim.num_envs=5"]),
    ],
)
def test_two_values_of_a_field_are_refused_with_both_named(arguments, words, tmp_path):
    out, err = mapush(*arguments, cwd=tmp_path, code=2)
    assert err == f"mapush: {words[0]} and {words[1]} contradict each other; leave one of them out\n" and not out
    assert not list(tmp_path.iterdir())


def test_of_two_overrides_the_last_one_counts(mujoco, tmp_path):
    fields = ["training.total_steps=480", "training.seed=1", "training.seed=2"]
    train_small(tmp_path, *fields, "--no-evaluation")
    (run,) = tmp_path.rglob("config.json")
    assert json.loads(run.read_text())["training"]["seed"] == 2


def test_the_same_value_may_be_said_twice(mujoco, tmp_path):
    out, _ = train_small(tmp_path, "--steps", "4.8e2", "training.total_steps=480", "--seed", "1", "--no-evaluation")
    assert "trained at 480 steps" in out and "whole updates" not in out


def test_steps_that_are_no_whole_updates_are_said_before_the_training(mujoco, tmp_path):
    out, _ = train_small(tmp_path, "training.total_steps=500", "--no-evaluation")
    lines = out.splitlines()
    assert "500 steps of 0.02 s" in lines[0] and lines[1] == "trains 640 steps: whole updates of 160"
    assert lines[2].startswith("run directory") and "trained at 640 steps" in out


@pytest.mark.parametrize("option", [["--from", "damaged.safetensors"], ["--learner", "openrl", "--team", "go1,planar"]])
def test_nothing_is_introduced_before_a_refusal(mujoco, tmp_path, option):
    (tmp_path / "damaged.safetensors").write_bytes(b"nothing")
    out, err = mapush("train", *SMALL, *option, cwd=tmp_path, code=2)
    assert not out and err.startswith("mapush: ") and len(err.splitlines()) == 1
