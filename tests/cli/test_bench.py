"""`mapush bench long-way`, from its front door."""

import json

import numpy as np
import pytest
import torch

from mapush_stack.evaluation import long_way
from mapush_stack.guidance.courses import solvable_courses
from mapush_stack.task.obstacles import present
from mapush_stack.training.config import load, overridden
from tests.cli.runner import mapush, start, train_small

pytestmark = pytest.mark.usefixtures("mujoco")
QUICK = ["--layouts", 4, "--set", "task.episode_seconds=3", "--set", "sim.threads=1"]


BAD_SETS = ["gate-wide", "gate-nan", "random-inf", "maze-4", "heavy-0", "random--1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pytest.importorskip("mujoco.batch")
    changes = ["task.obstacles.layouts=8", "task.episode_seconds=2.0"]
    return train_small(tmp_path_factory.mktemp("results"), "--preset", "long-way", *changes)[1]


def test_the_table_has_a_row_of_each_kind_for_each_set(run, tmp_path):
    out = tmp_path / "long.json"
    text, _ = mapush("bench", "long-way", run, "--sets", "random-2,gate-1.8,heavy-20", *QUICK, "--out", out)
    assert "random-2, upstream: 0 of 4" in text and "contact-free" in text
    stored = json.loads(out.read_text())
    assert len(stored["rows"]) == 15 and stored["suite"] == "long-way"
    assert {row["row"] for row in stored["rows"]} == {"direct", "straight", "upstream", "one robot", "ours"}
    for row in stored["rows"]:
        assert row["successes"] + sum(row["failures"].values()) == row["layouts"] == 4
    assert out.with_suffix(".md").read_text().count("\n") == 17
    # The same again, with the results of others in the table.
    options = ["--sets", "random-2, random-2", "--rows", "ours,ours", "--add", out]
    again, _ = mapush("bench", "long-way", run, *options, *QUICK, "--out", tmp_path / "again.json")
    same = [row for row in stored["rows"] if (row["set"], row["row"]) == ("random-2", "ours")]
    assert json.loads((tmp_path / "again.json").read_text())["rows"] == same
    assert "heavy-20" in again


@pytest.mark.parametrize("name", long_way.SETS)
def test_every_team_meets_the_same_layouts(name):
    """Whatever obstacles its own configuration has."""
    own = ["task.obstacles.size=[0.3,0.5]", "task.obstacles.clearance=0.5", "task.obstacles.arena=[16,15]"]
    configs = [load("long-way", overrides=own), load()]
    drawn = []
    for config in configs:
        changed = overridden(config, long_way.overrides(name, 6))
        drawn.append(solvable_courses(changed.task, changed.object.task, long_way.SEED))
        obstacles = present(drawn[-1].layout).sum(-1) - 4
        kind, _, number = name.partition("-")
        expected = {"random": number, "heavy": 8, "gate": 2, "maze": 2 * int(float(number))}[kind]
        assert obstacles.tolist() == [int(expected)] * 6
    for one, other in zip((*drawn[0].layout, drawn[0].goal), (*drawn[1].layout, drawn[1].goal)):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "options, says",
    [
        (["--sets", "random"], "there is no set of layouts called random; "),
        *((["--sets", name], f"there is no set of layouts called {name}; ") for name in BAD_SETS),
        (["--rows", "our"], "there is no row called our; did you mean ours?"),
        (["--out", "results.txt"], "results.txt must end in .json"),
        (["--out", "nowhere/results.json"], "nowhere/results.json cannot be written: nowhere is not a folder"),
        # Nothing is played before all sets are checked.
        (["--sets", "random-0,random-99"], "random-99: task.obstacles.boxes=62 is not allowed"),
        (["--sets", "random-0,gate-1.0"], "gate-1.0: task.obstacles.gap=[1, 1] is not allowed: the object is 1.2 m"),
        (["--set", "task.obstacles.clearance=6"], "random-0: task.obstacles: of 301 layouts that were drawn, 0 have"),
        (["--set", "task.obstacles.planner=best"], "task.obstacles.planner=best is not allowed"),
        (
            ["--set", "task.obstacles.arena=[6,6]"],
            "task.obstacles.arena=[6.0, 6.0] is too small for targets up to 12 m",
        ),
    ],
)
def test_mistakes_are_one_sentence(options, says):
    out, err = mapush("bench", "long-way", "--pretrained", "cuboid-planar", "--layouts", 2, *options, code=2)
    assert says in err and err.count("\n") == 1 and not out


def test_the_row_of_one_robot_needs_a_run_of_one_robot(run):
    """Which is here the team's own run, of two."""
    _, err = mapush("bench", "long-way", run, "--single", run, *QUICK, code=2)
    assert f"--single {run} is not allowed: it has 2 robots; give a run of one robot" in err


def test_a_file_of_something_else_cannot_be_added(tmp_path):
    (tmp_path / "other.json").write_text('{"rows": [{"set": 1}]}')
    options = ["--add", tmp_path / "other.json", "--layouts", 2]
    _, err = mapush("bench", "long-way", "--pretrained", "cuboid-planar", *options, code=2)
    assert "holds no results of the long way (set: " in err and err.count("\n") == 1
    (tmp_path / "other.json").write_text("[]")
    assert (
        "(rows: a list is missing)" in mapush("bench", "long-way", "--pretrained", "cuboid-planar", *options, code=2)[1]
    )
    assert "give a PATH, or --pretrained" in mapush("bench", "long-way", code=2)[1]


def test_obstacles_are_drawn(run, tmp_path):
    """In a picture of the scene, and from above in a report."""
    image = pytest.importorskip("PIL.Image")
    shares = []
    none = ["--set", "task.obstacles.boxes=0", "--set", "task.obstacles.cylinders=0", "--set", "task.obstacles.gates=0"]
    for name, changes in (("with", []), ("without", none)):
        process = start("play", run, "--episodes", 1, "--stills", tmp_path / name, "--size", "320x180", *changes)
        assert process.wait(timeout=200) == 0, process.communicate()
        picture = np.asarray(image.open(tmp_path / f"{name}-1.png")).astype(int)
        shares.append(float(((picture[..., 0] - picture[..., 2]) > 20).mean()))
    assert abs(shares[0] - shares[1]) > 0.001
    mapush("compare", run, "--html", tmp_path / "report.html", "--episodes", 2)
    assert (tmp_path / "report.html").read_text().count('<polygon class="obstacle"') >= 8
