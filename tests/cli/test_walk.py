import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mapush_stack.locomotion import policy
from tests.cli.runner import mapush

pytestmark = pytest.mark.usefixtures("mujoco")


OPTIONS = ["--robots", 4, "--minutes", 0.02, "--set", "sim.threads=1", "--set", "sim.backend=mujoco"]


@pytest.mark.slow
def test_walk_test_prints_a_table():
    out, _ = mapush("walk", "test", *OPTIONS)
    assert "forward 0.5" in out and "push the object at 0.4" in out and "falls" in out


@pytest.mark.slow
def test_a_harder_test_is_one_and_its_parts_can_be_changed():
    options = [*OPTIONS[:2], "--minutes", 0, *OPTIONS[4:], "--json"]
    plain, hard, late = (
        json.loads(mapush("walk", "test", *options, *more)[0])
        for more in ([], ["--hard"], ["--hard", "--set", "sim.go1.delay=0.04"])
    )
    assert plain["under"] == {"delay": 0.0, "noise": 0.0, "cone": "pyramidal", "step": 0.01}
    assert hard["under"] == {"delay": 0.02, "noise": 1.0, "cone": "elliptic", "step": 0.005}
    assert late["under"] == {**hard["under"], "delay": 0.04}
    plain, hard, late = (told["tracking"] for told in (plain, hard, late))
    assert plain != hard != late and {row["name"] for row in plain} == {row["name"] for row in hard}
    assert next(row for row in hard if row["name"] == "forward 0.5")["measured"][0] == pytest.approx(0.5, rel=0.1)


def test_walk_test_gives_json():
    found = json.loads(mapush("walk", "test", *OPTIONS, "--json")[0])
    assert found["endurance"]["robots"] == 4 and found["endurance"]["falls"] == 0
    rows = {row["name"]: row for row in found["tracking"]}
    assert rows["forward 0.5"]["measured"][0] == pytest.approx(0.5, rel=0.1)
    assert rows["stand"]["moved"] < 0.02


@pytest.mark.parametrize("verb", ["test", "train"])
@pytest.mark.parametrize("robot, said", [("rover", "has no legs to walk with; give one of: go1, go2"), ("go3", "go2")])
def test_a_robot_that_does_not_walk_is_refused(tmp_path, verb, robot, said):
    out = ["--out", tmp_path / "walk"] if verb == "train" else []
    _, err = mapush("walk", verb, "--robot", robot, *out, code=2)
    assert said in err and err.count("\n") == 1 and not (tmp_path / "walk").exists()


@pytest.mark.parametrize(
    "options, said",
    [
        (["--frames", 4], "--frames 4 is for policies that are not told their velocity; add --blind"),
        (["--imitate", "shipped"], "--imitate shipped is for policies that are not told their velocity; add --blind"),
        (["--blind", "--imitate", "blind"], "--imitate blind is not told its velocity; give one that is, such as ship"),
        (["--blind", "--start", "blind"], "--start blind is for imitation; add --imitate"),
        (["--blind", "--imitate", "shipped", "--start", "shipped"], "--start shipped does not see 6 frames without"),
    ],
)
def test_options_of_training_that_do_not_fit_are_refused(tmp_path, options, said):
    _, err = mapush("walk", "train", *options, "--out", tmp_path / "walk", code=2)
    assert said in err and err.count("\n") == 1
    assert not (tmp_path / "walk").exists()


def test_a_robots_own_policy_is_named_in_what_is_refused():
    _, err = mapush("walk", "test", "--robot", "go2", "--policy", "nowhere.safetensors", code=2)
    assert "sim.go2.walking_policy=nowhere.safetensors" in err and err.count("\n") == 1


def test_a_policy_that_is_not_there_is_refused():
    _, err = mapush("walk", "test", "--policy", "nowhere.safetensors", code=2)
    assert "there is no such file" in err and err.count("\n") == 1


@pytest.mark.skipif(importlib.util.find_spec("rsl_rl") is not None, reason="rsl_rl is installed")
def test_training_without_rsl_rl_says_what_to_install(tmp_path):
    options = ["--scenes", 1, "--iterations", 1, "--backend", "mujoco", "--out", tmp_path / "walk"]
    _, err = mapush("walk", "train", *options, code=2)
    assert "pip install 'mapush_stack[walk]'" in err and err.count("\n") == 1
    assert not (tmp_path / "walk").exists()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("rsl_rl") is None, reason="rsl_rl is not installed")
def test_training_writes_a_policy_and_its_record(tmp_path):
    options = ["--robot", "go2", "--scenes", 4, "--iterations", 2, "--backend", "mujoco", "--out", tmp_path]
    out, _ = mapush("walk", "train", *options)
    assert "2 / 2 iterations" in out and "this takes hours" in out and "Actor Model" not in out
    record = json.loads((tmp_path / "go2_walk.json").read_text())
    assert record["walker_steps"] == 2 * 24 * 8 and len(record["curve"]) == 2
    mapush(
        "walk", "test", "--robot", "go2", "--policy", tmp_path / "go2_walk.safetensors", "--robots", 2, "--minutes", 0
    )


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("rsl_rl") is None, reason="rsl_rl is not installed")
def test_a_blind_policy_is_trained_and_walks(tmp_path):
    options = ["--scenes", 4, "--iterations", 2, "--backend", "mujoco", "--out", tmp_path, "--blind", "--frames", 4]
    mapush("walk", "train", *options)
    record = json.loads((tmp_path / "go1_blind_walk.json").read_text())
    assert record["view"] == {"frames": 4, "linear_velocity": False}
    mapush("walk", "test", "--policy", tmp_path / "go1_blind_walk.safetensors", "--robots", 2, "--minutes", 0)


@pytest.mark.slow
def test_a_policy_is_imitated_without_rsl_rl(tmp_path):
    options = ["--scenes", 2, "--iterations", 2, "--backend", "mujoco", "--out", tmp_path, "--blind"]
    out, _ = mapush("walk", "train", *options, "--imitate", "shipped", "--start", "blind")
    record = json.loads((tmp_path / "go1_blind_walk.json").read_text())
    shipped = json.loads(Path(policy.__file__).with_name("go1_walk.json").read_text())
    assert "2 / 2 iterations" in out and "MuJoCo on the CPU, 2 scenes of two robots: this takes minutes" in out
    assert record["imitation"]["teacher"] == shipped["sha256"]
    mapush("walk", "test", "--policy", tmp_path / "go1_blind_walk.safetensors", "--robots", 2, "--minutes", 0)
    _, err = mapush("walk", "train", *options, code=2)
    assert "holds a policy already, go1_blind_walk.safetensors; give another folder" in err and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("imitating", [False, True])
def test_a_stopped_training_writes_what_it_has(tmp_path, imitating):
    if not imitating:
        pytest.importorskip("rsl_rl")
    more, name = (["--blind", "--imitate", "shipped"], "go1_blind_walk") if imitating else ([], "go1_walk")
    command = [sys.executable, "-m", "mapush_stack", "walk", "train", "--backend", "mujoco", "--scenes", "1"]
    command += ["--iterations", "100000", "--out", str(tmp_path), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        while "10 / 100000 iterations" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    record = json.loads((tmp_path / f"{name}.json").read_text())
    assert 10 <= record["iterations"] < 100000 and record["walker_steps"] == record["iterations"] * 24 * 2
    assert (tmp_path / f"{name}.safetensors").is_file()
