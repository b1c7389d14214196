"""The plug-ins of docs/extend.md, as they are printed there."""

import json
import re
import subprocess
import sys

import pytest

from .runner import ROOT, environment, mapush, the_run

PAGE = ROOT / "docs" / "extend.md"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="images hold no docs/")


def blocks():
    """The files of the page by name: blocks of code whose first line is a comment with a file's name."""
    found = re.findall(
        r"^```(?:python|yaml)\n(# ([\w-]+\.(?:py|yaml)).*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return {name: text for text, name in found}


@pytest.fixture
def folder(tmp_path):
    for name, text in blocks().items():
        (tmp_path / name).write_text(text)
    return tmp_path


def small(*arguments):
    return ["sim.num_envs=8", "training.rollout_length=4", "training.torch_threads=1", "--no-evaluation", *arguments]


def test_each_is_thirty_lines_at_most():
    longest = {name: len(text.splitlines()) for name, text in blocks().items()}
    assert len(longest) >= 7 and max(longest.values()) <= 30, longest


def test_a_term_an_object_a_robot_a_layout_a_learner_and_a_simulator_train_together(folder):
    pytest.importorskip("mujoco")
    plugins = [word for name in ("calm", "greedy", "wagon", "short", "windy") for word in ("--plugin", f"{name}.py")]
    named = ["--object", "plank.yaml", "--team", "wagon,planar", "--backend", "windy", "task.observation=short"]
    named += ["--learner", "greedy", "--algo", "greedy"]
    command = ["train", *plugins, *named, "task.rewards.calm=0.01", "--steps", "640", "--results", "results"]
    out, _ = mapush(*command, *small("learner.actor_minibatches=1", "learner.critic_minibatches=1"), cwd=folder)
    assert "wagon" in out and "plank" in out
    run = the_run(folder / "results")
    config = json.loads((run / "config.json").read_text())
    assert config["task"]["rewards"]["calm"] == 0.01
    _, err = mapush("evaluate", run, "--episodes", "4", cwd=folder, code=2)
    assert "calm.py" in err


def test_a_triage_rule_is_found(folder):
    log = folder / "train.log"
    log.write_text("saving\nOSError: [Errno 122] Disk quota exceeded\n")
    out, _ = mapush("triage", "--plugin", "lab.py", log, cwd=folder)
    assert "cluster-quota" in out


def test_the_first_python_example_runs():
    pytest.importorskip("mujoco")
    page = (ROOT / "docs" / "python.md").read_text()
    example = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    for long, short in (("256", "8"), ("range(400)", "range(2)")):
        assert long in example
        example = example.replace(long, short)
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0 and "episodes succeeded" in done.stdout, done.stderr
