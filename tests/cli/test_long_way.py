"""The long way with goals that are poses, and with an object of its own in each environment, from the front door."""

import json

import pytest

from tests.cli.runner import mapush, train_small

pytestmark = pytest.mark.usefixtures("mujoco")
SHORT = ["task.obstacles.layouts=8", "task.episode_seconds=2.0"]


def test_a_pose_behind_obstacles(tmp_path):
    _, run = train_small(tmp_path, "--preset", "narrow-gaps", "task.goal=pose", *SHORT)
    row = json.loads(mapush("evaluate", run, "--json")[0])[-1]
    assert 0 < row["angle_error"] < 45 and row["contact_free"] == 0
    mapush("compare", run, "--html", tmp_path / "report.html", "--episodes", 2)
    page = (tmp_path / "report.html").read_text()
    assert "object at the target" in page and 'class="obstacle"' in page
    text, _ = mapush("bench", "long-way", run, "--sets", "gate-1.5", "--rows", "ours,direct", "--layouts", 2, *_QUICK)
    assert "gate-1.5, direct: 0 of 2" in text


def test_objects_of_many_widths_among_obstacles(tmp_path):
    objects = ["task.obstacles.gap=[0.8,2.6]", "task.obstacles.clearance=1.2", "object.family.size=[0.6,2.0]"]
    changes = [*SHORT, *objects, "task.target_distance=[6,8]", "task.obstacles.boxes=2", "task.obstacles.cylinders=1"]
    _, run = train_small(tmp_path, "--preset", "long-way", "--object", "random", *_SETS, *changes)
    assert json.loads(mapush("evaluate", run, "--json")[0])[-1]["episodes"] == 4
    options = ["--set", "task.obstacles.clearance=0.5", "--set", "task.obstacles.layouts=8"]
    _, err = mapush("evaluate", run, *options, code=2)
    assert "the widest way lets an object of 0.95 m through, and the object of environment" in err
    assert err.count("\n") == 1


_QUICK = ["--set", "task.episode_seconds=3", "--set", "sim.threads=1"]
_SETS = ["task.observation=sets", "learner.policy.encoder=sets"]
