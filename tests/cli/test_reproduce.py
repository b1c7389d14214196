"""`mapush reproduce`: the same bytes again, and what stands in the way of them."""

import json
import shlex
import shutil
from types import SimpleNamespace

import pytest
import torch

from mapush_stack.cli.main import main
from mapush_stack.training import checkpoint, reproduction
from mapush_stack.training.run_directory import RunDirectory
from tests.cli.fabricate import with_config
from tests.cli.runner import bytes_of, mapush, the_run, train_small
from tests.conftest import SMALL

SAME = "the weights of all 3 checkpoints that both have are the same, byte for byte"


def here(*arguments):
    """Run `mapush ARGUMENTS` in this process; returns the exit code."""
    return main([str(argument) for argument in arguments])


def models(run):
    return [bytes_of(path)["model.safetensors"] for _, path in RunDirectory(run).checkpoints()]


def edited(run, **changes):
    """Change fields of a run's manifest; None takes a field away."""
    plain = {**json.loads((run / "manifest.json").read_text()), **changes}
    plain = {name: value for name, value in plain.items() if value is not None}
    (run / "manifest.json").write_text(json.dumps(plain))
    return plain


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run of three checkpoints, made by a process of its own."""
    pytest.importorskip("mujoco.batch", reason="MuJoCo 4 is not installed")
    return train_small(tmp_path_factory.mktemp("small"), "--no-evaluation", "--algo", "mappo", "--seed", "3")[1]


@pytest.fixture
def run(small, tmp_path):
    """A copy of it that may be changed."""
    return shutil.copytree(str(small), str(tmp_path / "run")) and tmp_path / "run"


def test_a_run_is_made_again_byte_for_byte(small, tmp_path):
    out, _ = mapush("reproduce", small, "--results", tmp_path)
    again = the_run(tmp_path)
    assert SAME in out and "nothing that the run's manifest records differs here" in out
    assert models(again) == models(small)
    assert RunDirectory(again).config() == RunDirectory(small).config()


@pytest.mark.usefixtures("mujoco")
def test_so_is_one_on_legs_that_started_from_weights(tmp_path, capsys):
    small = [override for override in SMALL if "hidden" not in override]  # the networks are the shipped ones
    options = ["--pretrained", "cuboid-planar", "--robot", "go1", "--with", "finetune", "--no-evaluation"]
    assert here("train", "--results", tmp_path / "one", *options, *small) == 0
    one = the_run(tmp_path / "one")
    capsys.readouterr()
    assert here("reproduce", one, "--results", tmp_path / "two") == 0
    out = capsys.readouterr().out
    assert SAME in out
    # The command that is named does it too.
    line = next(line for line in out.splitlines() if line.startswith("the run as one command: mapush train "))
    arguments = line.partition("mapush train ")[2].split()
    assert here("train", *arguments, "--results", tmp_path / "three", "--no-evaluation") == 0
    assert models(one) == models(the_run(tmp_path / "two")) == models(the_run(tmp_path / "three"))
    assert RunDirectory(one).config() == RunDirectory(the_run(tmp_path / "three")).config()

    (one / "initial.safetensors").unlink()
    assert here("reproduce", one, "--results", tmp_path / "four") == 2
    assert "started from weights that are not in it any more" in capsys.readouterr().err
    assert not (tmp_path / "four").exists()


def test_so_is_one_that_was_killed_and_resumed(run, tmp_path, capsys):
    for steps in (320, 480):
        shutil.rmtree(run / "models" / f"rl_model_{steps}_steps")
    assert here("train", "--resume", run, "--no-evaluation") == 0
    assert [session["from_steps"] for session in RunDirectory(run).manifest()["sessions"]] == [0, 160]
    assert here("reproduce", run, "--results", tmp_path / "again") == 0
    assert SAME in capsys.readouterr().out
    assert models(the_run(tmp_path / "again")) == models(run)


@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize("library", ["harl", "openrl"])
def test_so_is_one_of_another_learner(request, tmp_path, library):
    """By the real library: nox -s harl, nox -s openrl."""
    if library == "openrl":
        pytest.importorskip("openrl", reason="OpenRL is not installed")
    else:
        request.getfixturevalue("harl")
    out, _ = mapush("train", "--learner", library, "--results", tmp_path / "one", *SMALL[:7], "--no-evaluation")
    one = the_run(tmp_path / "one")
    out, _ = mapush("reproduce", one, "--results", tmp_path / "two")
    assert SAME in out and models(the_run(tmp_path / "two")) == models(one)


def test_other_weights_are_told_and_exit_code_1(run, tmp_path, capsys):
    path = run / "models" / "rl_model_320_steps"
    weights = checkpoint.load_model(path)
    name = next(name for name in weights if name.endswith("weight"))
    weights[name] += 0.5
    checkpoint.save_tensors(weights, checkpoint.model_file(path))
    assert here("reproduce", run, "--results", tmp_path / "again") == 1
    out = capsys.readouterr().out
    assert "the weights of 1 of 3 checkpoints are not the same, from 320 steps on" in out


def test_what_differs_is_told_with_what_it_can_do(run, capsys):
    plain = RunDirectory(run).manifest()
    packages = {**plain["packages"], "torch": "1.0", "rich": "0.1", "gone": "7"}
    sessions = [{**plain["sessions"][0], "instructions": "SSE", "from_steps": 0}]
    sessions += [{**sessions[0], "device": "cuda", "gpu": "GPU X", "from_steps": 320}]
    edited(run, packages=packages, source="0" * 64, sessions=sessions)
    assert here("reproduce", run, "--dry-run") == 0
    out = capsys.readouterr().out
    effects = {}
    for change in reproduction.differences(RunDirectory(run).manifest(), plain):
        effects[change.what] = change.effect
    assert effects == {
        "code of mapush_stack": "yes",
        "torch": "yes",
        "device from step 320 on": "yes",
        "instructions": "perhaps",
        "gpu from step 320 on": "perhaps",
        "rich": "no",
        "gone": "no",
    }
    assert list(effects.values()) == sorted(effects.values(), key=["yes", "perhaps", "no"].index)
    assert "can change the numbers" in out and "GPU X" in out and "1.0" in out


def test_it_has_the_threads_that_the_run_had(run, capsys):
    with_config(run, training__torch_threads=0)
    edited(run, torch_threads=3)
    assert reproduction.plan(run).settings.training.torch_threads == 3
    assert here("reproduce", run, "--dry-run") == 0
    assert "training.torch_threads=3" in capsys.readouterr().out
    edited(run, torch_threads=None)
    assert reproduction.plan(run).settings.training.torch_threads == 0
    assert "torch's threads" in reproduction.not_recorded(RunDirectory(run).manifest())


NEW = {"source": None, "environment": None, "harl_commit": None, "sessions": None}


@pytest.mark.parametrize(
    "changes, words",
    [
        (NEW, "not in the run's manifest: hardware"),
        ({**NEW, "packages": {"torch": "1.0"}, "commit": None}, "not in the run's manifest: code, hardware"),
        ({**NEW, "packages": 3, "torch_threads": "x", "cpus": [1]}, "not in the run's manifest: versions"),
    ],
)
def test_an_old_manifest_is_read(run, capsys, changes, words):
    edited(run, **changes)
    assert here("reproduce", run, "--dry-run") == 0
    out = capsys.readouterr().out
    assert words in out
    assert ("setuptools" in out) is False  # an old manifest names only some packages


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_manifest_is_told(run, capsys, content):
    (run / "manifest.json").write_text(content)
    assert here("reproduce", run, "--dry-run") == 0
    assert "not in the run's manifest: versions, code, torch's threads, hardware" in capsys.readouterr().out


@pytest.mark.parametrize("learner, effects", [("openrl", ["yes", "no"]), ("native", ["no", "no"]), (None, ["yes"] * 2)])
def test_only_the_learner_of_the_run_computes(learner, effects):
    then = {"packages": {"openrl": "0.2.0"}, "harl_commit": "a"}
    now = {**reproduction.now(torch.device("cpu"), 1), "packages": {}, "harl_commit": None}
    found = {change.what: change.effect for change in reproduction.differences(then, now, learner)}
    assert [found["openrl"], found["HARL_SRC"]] == effects


def damage(run):
    (run / "config.json").write_text("{")


def foreign(run):
    (run / "config.json").write_text(json.dumps({"main_args": {}, "algo_args": {}, "env_args": {}}))


def openrl(run):
    for name in ("config.json", "manifest.json"):
        (run / name).unlink()
    (run / "log.txt").write_text("2025-11-02 10:00:00,000 [INFO] Episode: 1/10\n")


def walking(run):
    (run / "go1_walk.json").write_text("{}")


def sweep(run):
    (run / "sweep.json").write_text("{}")


def two_processes(run):
    edited(run, sessions=[{"processes": 2}])


@pytest.mark.parametrize(
    "prepare, words",
    [
        (damage, "config.json cannot be read"),
        (lambda run: with_config(run, learner__gamma=2), "config.json does not fit this version: learner.gamma=2"),
        (lambda run: (run / "config.json").unlink(), "is not a run directory: it has no config.json"),
        (foreign, "is a run of HARL's own program; only runs of mapush train can be reproduced"),
        (openrl, "is a run of OpenRL's own program; only runs of mapush train can be reproduced"),
        (walking, "holds a walking policy, not a team's run; go1_walk.json in it names the command"),
        (sweep, "is a sweep; give the run of one of its trials"),
        (two_processes, "the run was trained by 2 processes with a GPU each, and torch sees 0 here"),
        # Where MAPUSH_SRC names MAPush, this process has the stand-in for Isaac Gym, and it is the GPU that is missing.
        (lambda run: with_config(run, sim__backend="isaacgym", sim__robot="go1"), "mapush: sim.backend=isaacgym "),
        (lambda run: with_config(run, sim__backend="mujoco", sim__device="cuda"), "sim.device=cuda is not allowed"),
    ],
)
def test_what_cannot_be_reproduced_is_one_sentence_and_exit_code_2(run, tmp_path, capsys, prepare, words):
    prepare(run)
    assert here("reproduce", run, "--results", tmp_path / "again") == 2
    err = capsys.readouterr().err
    assert err.startswith("mapush: ") and words in err and err.count("\n") == 1, err
    assert not (tmp_path / "again").exists()


def test_a_checkpoint_is_not_a_run(run, capsys):
    assert here("reproduce", run / "models" / "rl_model_480_steps") == 2
    assert f"is a checkpoint; give its run: {run}" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "overrides",
    [
        ["--preset", "curriculum"],
        ["--preset", "paper", "--with", "gpu", "--algo", "mappo", "sim.backend=mujoco"],
        ["learner.actor_lr=1e-5", "task.command_limit=[0.4, 1.0e-05, 3]", "description=\"a 'b': c\""],
        ["--object", "plank.yaml"],
        ["--preset", "calm.yaml"],
    ],
)
def test_the_command_says_what_the_configuration_does(tmp_path, monkeypatch, overrides):
    from mapush_stack.cli.train import _request
    from mapush_stack.cli.train import command as train
    from mapush_stack.training import config

    monkeypatch.chdir(tmp_path)
    calm = "extends: default\ndescription: d\nexperiment: calm\ntask: {command_limit: [0.4, 0.4, 0.4]}\n"
    (tmp_path / "calm.yaml").write_text(calm)
    (tmp_path / "plank.yaml").write_text(json.dumps({**config.presets.load_object("tblock").content, "name": "plank"}))

    def settings(arguments):
        given = train.make_context("train", list(arguments)).params
        changes = [f"learner.algorithm={given['algo']}"] if given["algo"] else []
        changes += given["overrides"]
        return _request(given["preset"], given["object_name"] or "", changes, given["parts"], None)[0]

    wanted = settings(overrides)
    for gone in (None, tmp_path / "calm.yaml", tmp_path / "plank.yaml"):
        if gone is not None:
            gone.unlink()
        line = reproduction.command(reproduction.Plan(SimpleNamespace(manifest=dict), wanted, None, 1))
        assert settings(shlex.split(line)[2:]) == wanted
