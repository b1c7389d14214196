import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from mapush_stack.cli.train import _unsuitable
from mapush_stack.sim.simulator import Backend
from mapush_stack.training import checkpoint
from mapush_stack.training.run_directory import RunDirectory
from tests.cli.runner import SHORT, bytes_of, environment, mapush, start, the_run, train_small
from tests.conftest import SMALL, small_config

pytestmark = pytest.mark.usefixtures("mujoco")

LONG = [*SHORT, "training.total_steps=16000", "training.checkpoint_interval=480"]
"""A hundred updates with a checkpoint after every third."""


def wait_for(condition, process, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        if process.poll() is not None:
            return condition()
        time.sleep(0.005)
    raise AssertionError(f"nothing happened within {seconds} s: {process.communicate()}")


def checkpoints(results):
    return {path.name for path in results.glob("mapush/*/*/*/seed-*/models/rl_model_*")}


def test_train_trains_evaluates_and_names_the_run(tmp_path):
    out, run = train_small(tmp_path)
    assert "HAPPO" in out and "cuboid" in out and "480 / 480 steps" in out and "FPS" in out
    assert "95 % interval" in out and f"run directory: {run}" in out.replace("\n", "")
    assert [steps for steps, _ in RunDirectory(run).checkpoints()] == [160, 320, 480]
    files = [".lock", "config.json", "evaluations.json", "logs", "manifest.json", "models", "progress.json"]
    assert sorted(path.name for path in run.iterdir()) == files
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["command"][:2] == ["mapush", "train"] and manifest["packages"]["mujoco"]


def test_a_gpu_s_preset_on_a_cpu_is_told(tmp_path):
    out, _ = train_small(tmp_path, "--with", "gpu", "--object", "random", "--preset", "generalist", "--no-evaluation")
    assert "--with gpu is made for an NVIDIA GPU; leave it out to train on a CPU" in out.splitlines()
    assert "push random objects" in out
    assert "--with gpu" not in train_small(tmp_path / "plain", "--no-evaluation")[0]
    heavy, _ = train_small(tmp_path / "heavy", "--preset", "heavy", "--with", "heavy-gpu", "--no-evaluation")
    assert "--with heavy-gpu is made for an NVIDIA GPU; leave it out to train on a CPU" in heavy.splitlines()


@pytest.mark.parametrize(
    "change, slow",
    [
        ("team=[planar-strong,planar-weak]", False),
        ("team=[planar,planar-fast]", False),
        ("sim.planar.fused=false", True),
        ("sim.cone=elliptic", True),
        ("sim.robot=go1", True),
    ],
)
def test_warp_on_a_cpu_is_called_slow_only_without_the_kernel(change, slow):
    lines = _unsuitable(small_config(change), Backend("warp", torch.device("cpu"), ""))
    assert ["warp on a CPU is slow" in line for line in lines] == [True] * slow


def test_the_title_of_an_evaluation_names_random_objects():
    out, _ = mapush("evaluate", "--pretrained", "generalist-planar", "--episodes", "2", "--set", "sim.backend=mujoco")
    assert "2 first episodes of random objects, deterministic" in out


@pytest.mark.parametrize("algorithm", ["happo", "mappo"])
def test_the_same_seed_gives_the_same_checkpoints(tmp_path, algorithm):
    runs = [train_small(tmp_path / name, "--algo", algorithm, "--no-evaluation")[1] for name in ("one", "two")]
    assert len(checkpoints(tmp_path / "one")) == 3
    for a, b in zip(*(RunDirectory(run).checkpoints() for run in runs)):
        assert bytes_of(a[1]) == bytes_of(b[1])


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.slow
def test_a_signal_leaves_a_checkpoint_and_its_exit_code(tmp_path, number, code):
    process = start("train", "--results", tmp_path, *LONG)
    wait_for(lambda: len(checkpoints(tmp_path)) >= 2, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in err
    assert "stopped at" in out and "mapush train --resume" in out
    run = RunDirectory(the_run(tmp_path))
    last = checkpoint.load(run.checkpoints()[-1][1])
    assert f"stopped at {last.steps:,} steps" in out
    out, _ = mapush("train", "--resume", run.path, "--no-evaluation")
    assert "trained at 16,000 steps" in out

    whole = train_small(tmp_path / "whole", *LONG, "--no-evaluation")[1]
    assert bytes_of(run.checkpoints()[-1][1]) == bytes_of(RunDirectory(whole).checkpoints()[-1][1])


@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_run_killed_many_times_always_loads_and_ends_as_if_nothing_had_happened(tmp_path, times):
    dice = random.Random(1)
    longer = [*LONG, f"training.total_steps={2400 * times}"]
    results = tmp_path / "killed"
    kills = 0
    while kills < times:
        existing = list(results.glob("mapush/*/*/*/seed-*"))
        if existing:
            process = start("train", "--resume", existing[0], "--no-evaluation")
        else:
            process = start("train", "--results", results, *longer, "--no-evaluation")
        if kills % 4 == 0:
            time.sleep(dice.uniform(0.0, 3.0))  # somewhere in the start
        else:
            before = checkpoints(results)
            wait_for(lambda before=before: checkpoints(results) != before, process)
            time.sleep(dice.uniform(0.0, 0.06))  # somewhere in the next update or write
        process.kill()
        out, err = process.communicate()
        if process.returncode == 0:
            break  # it was faster
        assert process.returncode == -signal.SIGKILL, (out, err)
        kills += 1
        for path in results.glob("mapush/*/*/*/seed-*"):
            run = RunDirectory(path)
            run.config()
            for steps, folder in run.checkpoints():
                assert checkpoint.load(folder).steps == steps
    assert kills == times
    run = RunDirectory(the_run(results))
    mapush("train", "--resume", run.path, "--no-evaluation")
    assert not list(run.path.glob("**/.writing-*"))
    whole = train_small(tmp_path / "whole", *longer, "--no-evaluation")[1]
    assert bytes_of(run.checkpoints()[-1][1]) == bytes_of(RunDirectory(whole).checkpoints()[-1][1])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["learner.gama=1"], "mapush: there is no field learner.gama"),
        (["learner.gamma=2"], "mapush: learner.gamma=2 is not allowed"),
        (["--steps", "many"], "mapush: training.total_steps=many is not allowed"),
        (["--preset", "nope"], "mapush: there is no preset called nope"),
        (["--object", "sphere"], "mapush: there is no object called sphere"),
        (["--with", "nope"], "mapush: there is no part called nope"),
        (["--nope"], "mapush: No such option"),
        (["--resume", "/nowhere"], "mapush: /nowhere is not a run directory"),
        (["--resume", "/nowhere", "--seed", "3"], "mapush: --resume goes on with the run's own configuration"),
        (["sim.num_envs=100000", "training.rollout_length=100000"], "mapush: sim.num_envs=100000"),
    ],
)
def test_a_bad_request_is_one_sentence_and_exit_code_2(tmp_path, arguments, words):
    _, err = mapush("train", "--results", tmp_path / "results", *arguments, code=2)
    assert err.startswith(words) and err.count("\n") == 1, err
    assert not (tmp_path / "results").exists()


def test_a_results_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    _, err = mapush("train", "--results", tmp_path / "file", *SMALL, code=2)
    assert err.startswith("mapush: no run can be started under") and err.count("\n") == 1


def test_a_finished_run_is_not_resumed(tmp_path):
    _, run = train_small(tmp_path, "--no-evaluation")
    before = bytes_of(run / "models" / "rl_model_480_steps")
    _, err = mapush("train", "--resume", run, code=2)
    assert "is finished" in err and bytes_of(run / "models" / "rl_model_480_steps") == before


def test_a_damaged_last_checkpoint_is_told_and_kept(tmp_path):
    _, run = train_small(tmp_path, "--no-evaluation", "training.total_steps=1600")
    last = RunDirectory(run).checkpoints()[-1][1]
    (last / "model.safetensors").write_bytes(b"x")
    _, err = mapush("train", "--resume", run, code=2)
    assert "model.safetensors cannot be read" in err and (last / "model.safetensors").read_bytes() == b"x"


def test_help_lists_the_verbs_without_torch():
    code = "import sys; sys.modules['torch'] = None; from mapush_stack.cli.main import main; main(['--help'])"
    out = subprocess.run([sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE, text=True).stdout
    assert "train" in out and "evaluate" in out


def on_a_terminal(tmp_path):
    """What a training prints on a terminal."""
    master, slave = os.openpty()
    process = start("train", "--results", tmp_path, *SMALL, "--no-evaluation", stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):  # the terminal closes with the process
        while True:
            chunk = os.read(master, 65536)
            if not chunk:
                break
            seen += chunk
    os.close(master)
    assert process.wait(timeout=60) == 0
    return seen.decode(errors="replace")


def test_on_a_terminal_there_is_a_progress_bar_with_the_time_left(tmp_path):
    text = on_a_terminal(tmp_path)
    assert "training" in text and "FPS" in text and "success" in text and "480/480" in text
    assert "\x1b[" in text  # drawn in place


def test_on_a_terminal_that_cannot_redraw_there_are_lines(tmp_path, monkeypatch):
    """As under `mapush vram-probe --run`, which reads the rate from them."""
    monkeypatch.setenv("TERM", "dumb")
    assert re.search(r"480 / 480 steps +[\d,]+ FPS", on_a_terminal(tmp_path))


def test_a_team_goes_on_from_a_checkpoint_in_another_tier(tmp_path):
    _, planar = train_small(tmp_path / "planar", "--no-evaluation", "--algo", "mappo", "--seed", "3")
    options = ["--from", planar, "--robot", "go1", "--with", "finetune", "--steps", "160", "--no-evaluation"]
    mapush("train", "--results", tmp_path / "legs", *options)
    legs = the_run(tmp_path / "legs")
    config = RunDirectory(legs).config()
    # The source's configuration with the changes laid over it.
    assert (config.sim.robot, config.learner.algorithm, config.training.seed) == ("go1", "mappo", 3)
    assert config.experiment == "finetune" and config.learner.policy.network.hidden == [16]
    before = checkpoint.load_model(RunDirectory(planar).checkpoints()[-1][1])
    after = checkpoint.load_model(RunDirectory(legs).checkpoints()[-1][1])
    change = max(float((after[name] - before[name]).abs().max()) for name in before if name.endswith("weight"))
    assert 0 < change < 0.1


def test_a_run_that_started_from_weights_starts_from_them_again(tmp_path):
    """Killed before its first checkpoint and resumed, it ends with the same bytes."""
    _, source = train_small(tmp_path / "source", "--no-evaluation")
    ends = []
    for name in ("whole", "killed"):
        mapush("train", "--results", tmp_path / name, "--from", source, "--seed", "9", "--no-evaluation")
        run = the_run(tmp_path / name)
        if name == "killed":
            for _, folder in RunDirectory(run).checkpoints():
                shutil.rmtree(folder)
            mapush("train", "--resume", run, "--no-evaluation")
        ends.append(bytes_of(RunDirectory(run).checkpoints()[-1][1]))
    assert ends[0] == ends[1]


def test_weights_that_do_not_fit_are_refused_before_a_folder_appears(tmp_path):
    _, planar = train_small(tmp_path / "planar", "--no-evaluation")
    options = ["--from", planar, "learner.critic.hidden=[17]"]
    _, err = mapush("train", "--results", tmp_path / "other", *options, code=2)
    assert "do not fit the configuration's networks" in err and err.count("\n") == 1
    assert not (tmp_path / "other").exists()
    _, err = mapush("train", "--from", planar, "--resume", planar, code=2)
    assert "--resume goes on with the run's own configuration" in err
    _, err = mapush("train", "--from", tmp_path / "nowhere", code=2)
    assert "does not exist" in err
    _, err = mapush("train", "--pretrained", "cuboid-go2", code=2)
    assert "there is no pretrained policy called cuboid-go2" in err


def test_gpus_that_are_not_there_are_refused_in_one_sentence(tmp_path):
    _, err = mapush("train", "--results", tmp_path, "--gpus", "99", code=2)
    assert "--gpus 99 is not possible here: torch sees" in err and err.count("\n") == 1
    assert not any(tmp_path.iterdir())
