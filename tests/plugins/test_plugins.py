"""Plug-ins, as their users meet them: on the command line."""

import json

import pytest
import torch

from mapush_stack import plugins
from mapush_stack.errors import UserError
from mapush_stack.registry import Registry
from tests.cli.runner import ROOT, mapush, train_small
from tests.conftest import SMALL

MY_LAB = ROOT / "examples/my_lab.py"


@pytest.fixture(scope="module")
def trained(mujoco, tmp_path_factory):
    """A run with the example's reward term, object, robot and learner."""
    options = ["--plugin", MY_LAB, "--object", "plank", "--robot", "cart", "--learner", "greedy"]
    options += ["task.rewards.calm=0.01"]
    return train_small(tmp_path_factory.mktemp("results"), *options)


def test_a_reward_term_an_object_a_robot_and_a_learner_of_a_plugin_train(trained):
    out, run = trained
    assert out.startswith("GREEDY · 2 cart robots push the plank")
    config = json.loads((run / "config.json").read_text())
    assert config["task"]["rewards"]["calm"] == 0.01 and config["sim"]["cart"]["max_force"] == 80.0
    recorded = json.loads((run / "manifest.json").read_text())["plugins"]
    assert [one["name"] for one in recorded] == [str(MY_LAB)] and len(recorded[0]["sha256"]) == 64


def test_the_run_is_evaluated_and_resumed_with_the_plugin_only(trained):
    _, run = trained
    out, _ = mapush("evaluate", run, "--plugin", MY_LAB, "--episodes", 2, "--json")
    assert json.loads(out)[-1]["object"] == "plank"
    for command in (["evaluate", run], ["train", "--resume", run], ["reproduce", run]):
        _, err = mapush(*command, code=2)
        assert err.startswith("mapush:") and f"add --plugin {MY_LAB}" in err and len(err.splitlines()) == 1


def test_a_plugin_of_the_same_contents_elsewhere_will_do(trained, tmp_path):
    _, run = trained
    copy = tmp_path / "renamed.py"
    copy.write_bytes(MY_LAB.read_bytes())
    (tmp_path / "plank.yaml").write_bytes((ROOT / "examples/plank.yaml").read_bytes())
    out, err = mapush("evaluate", run, "--plugin", copy, "--episodes", 2, "--json")
    assert json.loads(out) and "plug-in" not in err


def test_a_plugin_that_has_changed_is_named(mujoco, tmp_path):
    lab = tmp_path / "lab.py"
    text = "from mapush_stack import register_reward_term\n\n@register_reward_term\ndef still(step):\n    return {}\n"
    lab.write_text(text.format("-step.state.robot_lin_vel[..., 0].abs()"))
    _, run = train_small(tmp_path / "results", "--plugin", lab, "task.rewards.still=0.1")
    lab.write_text(text.format("-step.state.robot_lin_vel[..., 1].abs()"))
    _, err = mapush("evaluate", run, "--plugin", lab, "--episodes", 2, "--json")
    assert f"was made with the plug-in {lab}, which is not loaded or has changed" in err
    # Other code from another place is not taken for it either, and what a session was made with is recorded.
    other = tmp_path / "other.py"
    other.write_text(lab.read_text())
    config = json.loads((run / "config.json").read_text())
    config["training"]["total_steps"] = 640
    (run / "config.json").write_text(json.dumps(config))
    _, err = mapush("train", "--resume", run, "--plugin", other, "--no-evaluation")
    assert f"was made with the plug-in {lab}, which is not loaded or has changed" in err
    sessions = json.loads((run / "manifest.json").read_text())["sessions"]
    assert [session["plugins"][0]["name"] for session in sessions] == [str(lab), str(other)]


def test_a_plugin_without_a_part_in_the_run_is_not_needed(mujoco, tmp_path):
    _, run = train_small(tmp_path, "--plugin", MY_LAB)
    out, err = mapush("evaluate", run, "--episodes", 2, "--json")
    assert json.loads(out) and f"was made with the plug-in {MY_LAB}" in err


def test_a_mixed_team_of_a_plugins_robot_and_our_own_trains(mujoco, tmp_path):
    options = ["--plugin", MY_LAB, "--team", "cart,planar,go1"]
    out, run = train_small(tmp_path, *options)
    assert "1 cart and 1 planar and 1 go1 robots push the cuboid" in out
    config = json.loads((run / "config.json").read_text())
    assert config["team"] == ["cart", "planar", "go1"] and config["object"]["task"]["num_robots"] == 3
    out, _ = mapush("evaluate", run, "--plugin", MY_LAB, "--episodes", 2, "--json")
    assert json.loads(out)[-1]["robot"] == "cart+planar+go1"


@pytest.mark.parametrize(
    "text, words",
    [
        ("1 / 0", "ZeroDivisionError: division by zero (line 1)"),
        ("def (", "SyntaxError"),
        ("import no_such_package", "No module named 'no_such_package' (line 1)"),
        (
            "from mapush_stack import register_object\nregister_object('cuboid', 'x')",
            "the object cuboid exists already",
        ),
    ],
)
def test_a_plugin_that_fails_is_one_sentence(tmp_path, text, words):
    lab = tmp_path / "lab.py"
    lab.write_text(text)
    _, err = mapush("presets", "--plugin", lab, code=2)
    assert words in err and str(lab) in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["nowhere.py", "no_such_module", "json.no_such_module", "./folder"])
def test_a_plugin_that_is_not_there_is_one_sentence(name):
    _, err = mapush("train", "--plugin", name, code=2)
    assert f"there is no plug-in {name}" in err


def test_what_a_plugin_adds_is_listed_and_hinted_at():
    out, _ = mapush("presets", "--plugin", MY_LAB)
    for name in ("plank", "cart", "calm", "greedy"):
        assert name in out
    _, err = mapush("train", "--plugin", MY_LAB, "--robot", "cat", code=2)
    assert "did you mean cart?" in err
    _, err = mapush("train", "--plugin", MY_LAB, "task.rewards.clam=1", code=2)
    assert "did you mean calm?" in err
    _, err = mapush("train", "--plugin", MY_LAB, "sim.cart.max_forse=1", code=2)
    assert "sim.cart has no max_forse; did you mean max_force?" in err


def test_names_in_a_file_get_the_same_hint_with_the_file(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("extends: default\ntask: {rewards: {progres: 1.0}}\n")
    _, err = mapush("train", "--preset", preset, code=2)
    assert f"{preset}: there is no field task.rewards.progres" in err and "did you mean progress?" in err
    thing = tmp_path / "thing.yaml"
    thing.write_text("task: {verticse: []}\nbody: {}\n")
    _, err = mapush("train", "--object", thing, code=2)
    assert f"{thing}: there is no field task.verticse" in err and "did you mean vertices?" in err


def test_plugins_of_child_processes_and_installed_ones_are_loaded(monkeypatch, tmp_path):
    lab = tmp_path / "lab.py"
    lab.write_text("")
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setenv(plugins.VARIABLE, str(lab))
    plugins.load_installed()
    assert [plugin.name for plugin in plugins.loaded()] == [str(lab)]
    # A second time changes nothing.
    plugins.load_installed()
    assert len(plugins.loaded()) == 1


def test_a_registry_refuses_a_name_that_is_taken():
    things = Registry("thing")
    things.register("one", 1)
    with pytest.raises(UserError, match="the thing one exists already"):
        things.register("one", 2)
    assert things["one"] == 1 and list(things) == ["one"] and "two" not in things
    with pytest.raises(UserError, match="there is no thing called oen; did you mean one"):
        things["oen"]


def test_a_robot_of_a_plugin_is_drawn_as_itself(mujoco):
    import subprocess
    import sys

    from tests.cli.runner import environment

    code = f"""
from mapush_stack import load_config, make_env, plugins
plugins.load({str(MY_LAB)!r})
from mapush_stack.sim.visuals import Stage
config = load_config(overrides=["team=[cart, planar]", "sim.num_envs=1"])
env = make_env(config)
stage = Stage(config.object.body, env.simulator.team, 1.0)
shown = [stage.model.geom(i) for i in range(stage.model.ngeom) if stage.model.geom_group[i] == 2]
names = [stage.model.body(int(geom.bodyid[0])).name for geom in shown]
print(names.count("robot0"), names.count("robot1"))
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    cart, planar = map(int, done.stdout.split())
    assert cart == 1, "a cart is drawn by its one collision geom"
    assert planar > 10, "a planar robot has a Go1's trunk and legs"


def test_the_public_interface(mujoco):
    import mapush_stack

    config = mapush_stack.load_config(overrides=["sim.num_envs=2", "sim.backend=mujoco", "sim.threads=1"])
    env = mapush_stack.make_env(config)
    observations, _ = env.reset()
    step = env.step(torch.zeros(2, 2, 3))
    assert observations.shape == step.observations.shape and isinstance(env, mapush_stack.PushEnv)
    policy = mapush_stack.load_policy("cuboid-planar", env)
    assert policy.act(observations).shape == (2, 2, 3)
    with pytest.raises(UserError):
        mapush_stack.load_policy("cylinder-planar", env)
    with pytest.raises(UserError, match=r"shape \[2, 2, 3\], not \[2, 3\]"):
        env.step(torch.zeros(2, 3))
    with pytest.raises(AttributeError):
        _ = mapush_stack.nothing
    assert set(mapush_stack.__all__) <= set(dir(mapush_stack))


@pytest.mark.parametrize(
    "body, words",
    [
        ("1.0", "the reward term odd must return a tensor [5, 8, 2], one number a robot, not float"),
        (
            "step.state.robot_pos",
            "the reward term odd must return a tensor [5, 8, 2], one number a robot, not a tensor",
        ),
    ],
)
def test_a_reward_term_of_another_shape_is_named(mujoco, tmp_path, body, words):
    lab = tmp_path / "lab.py"
    lab.write_text(
        f"from mapush_stack import register_reward_term\n@register_reward_term\ndef odd(step): return {body}\n"
    )
    _, err = mapush("train", "--results", tmp_path, *SMALL, "--plugin", lab, "task.rewards.odd=1", code=2)
    assert words in err


def test_a_folder_is_no_plugin_and_one_that_leaves_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    _, err = mapush("presets", "--plugin", "folder", cwd=tmp_path, code=2)
    assert "there is no plug-in folder" in err or "is a folder without code" in err
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    _, err = mapush("presets", "--plugin", tmp_path / "leaves.py", code=2)
    assert "cannot be loaded: SystemExit: 3 (line 2)" in err


def test_an_installed_plugin_is_loaded_by_its_entry_point(monkeypatch, tmp_path):
    (tmp_path / "lab_pack.py").write_text("called = []\ndef register(): called.append(1)\n")
    info = tmp_path / "lab_pack-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-pack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mapush_stack.plugins]\nlab = lab_pack:register\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(plugins, "_called", set())
    monkeypatch.setenv(plugins.VARIABLE, "")  # so that what is loaded is forgotten
    plugins.load_installed()
    plugins.load_installed()
    import lab_pack

    assert [plugin.name for plugin in plugins.loaded()] == ["lab_pack"] and lab_pack.called == [1]
    (info / "entry_points.txt").write_text("[mapush_stack.plugins]\nlab = lab_nowhere\n")
    with pytest.raises(UserError, match=r"there is no plug-in lab_nowhere.*entry point lab"):
        plugins.load_installed()
