"""`mapush bench long-way`, from its front door."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mapush_stack.envs.obstacles import make_planner
from mapush_stack.evaluation import long_way
from mapush_stack.evaluation.policies import Candidate
from mapush_stack.guidance.courses import solvable_courses
from mapush_stack.task.obstacles import present
from mapush_stack.task.resets import draw_start
from mapush_stack.training.config import load, overridden
from tests.cli.runner import mapush, start, train_small
from tests.learning.openrl.test_restricted_pickle import write_module

pytestmark = pytest.mark.usefixtures("mujoco")
QUICK = ["--layouts", 4, "--set", "task.episode_seconds=3", "--set", "sim.threads=1"]


BAD_SETS = ["random-500", "gate-wide", "gate-nan", "random-inf", "maze-4", "heavy-0", "random--1"]


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
        number = 2 if kind == "upstream" else number
        expected = {"upstream": 2, "random": number, "heavy": 8, "gate": 2, "maze": 2 * int(float(number))}[kind]
        assert obstacles.tolist() == [int(expected)] * 6
    for one, other in zip((*drawn[0].layout, drawn[0].goal), (*drawn[1].layout, drawn[1].goal)):
        assert torch.equal(one, other)


def test_ways_are_as_wide_as_the_object_needs():
    for name, clearance in (("cuboid", 0.95), ("tblock", 0.95), ("cylinder", 1.6)):
        candidate = Candidate(Path("run"), 0, load("long-way", name, ["task.obstacles.gap=[3.3,5]"]))
        changed = long_way.configured(candidate, "random-8", "ours", 8, [])
        assert changed.task.obstacles.clearance == clearance


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
            ["--set", "task.obstacles.planner=straight"],
            "the row `direct` has the planner direct; choose another of --rows",
        ),
        (["--goals-net", "net.pt"], "--goals-net net.pt is for the row `upstream policy`; add it to --rows"),
        (
            ["--set", "task.obstacles.arena=[6,6]"],
            "task.obstacles.arena=[6.0, 6.0] is too small for targets up to 12 m",
        ),
    ],
)
def test_mistakes_are_one_sentence(options, says):
    out, err = mapush("bench", "long-way", "--pretrained", "cuboid-planar", "--layouts", 2, *options, code=2)
    assert says in err and err.count("\n") == 1 and not out


def test_the_row_of_one_robot_is_that_of_a_run_of_one_robot(run, tmp_path):
    changes = ["object.task.num_robots=1", "task.obstacles.layouts=8", "task.episode_seconds=2.0"]
    alone = train_small(tmp_path / "results", "--preset", "long-way", *changes)[1]
    options = ["--sets", "random-2", "--rows", "one robot,ours", *QUICK]
    mapush("bench", "long-way", run, "--single", alone, *options, "--out", tmp_path / "single.json")
    first, second = json.loads((tmp_path / "single.json").read_text())["rows"]
    assert (first["row"], second["row"]) == ("one robot", "ours")
    # The team's own run is one of two.
    _, err = mapush("bench", "long-way", run, "--single", run, *QUICK, code=2)
    assert f"--single {run} is not allowed: it has 2 robots; give a run of one robot" in err


def test_upstreams_own_layouts_and_its_published_policies(tmp_path, monkeypatch):
    """A file with the structure of MAPush's `resources/goals_net/example.pt`, and one of its `command_nets`."""
    write_module(tmp_path / "goals.pt", monkeypatch, sizes=(26, 2))
    write_module(tmp_path / "commands.pt", monkeypatch)
    options = ["--sets", "upstream-raw,random-2", "--rows", "upstream policy", *QUICK, "--out", tmp_path / "out.json"]
    mapush("bench", "long-way", tmp_path / "commands.pt", "--goals-net", tmp_path / "goals.pt", *options)
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    whole, *parts, random = rows
    assert whole["set"] == "upstream-raw" and random["set"] == "random-2" and whole["planner"] == "network"
    assert whole["layouts"] == 4 == sum(part["layouts"] for part in parts)
    assert {part["set"] for part in parts} < {f"upstream-raw {kind}" for kind in ("clear", "blocked", "impossible")}
    assert whole["finished_time"] == 3.0

    # One robot instead, the other kind of network, a file that is none, and no file.
    said = {}
    one = ["--set", "object.task.num_robots=1", "--sets", "random-2", "--rows", "upstream policy", "--layouts", 2]
    for name, words in {
        "one robot": ["--pretrained", "cuboid-planar", "--goals-net", tmp_path / "goals.pt", *one],
        "commands": [tmp_path / "commands.pt", "--goals-net", tmp_path / "commands.pt", *options],
        "nothing": [tmp_path / "commands.pt", "--goals-net", tmp_path / "nowhere.pt", *options],
        "none": [tmp_path / "commands.pt", *options],
    }.items():
        _, said[name] = mapush("bench", "long-way", *words, code=2)
        assert said[name].count("\n") == 1, said[name]
    assert "planner=network is for 2 robots, not 1" in said["one robot"]
    assert "fc_mean.weight has shape [3, 16]; it should have [2, 16]" in said["commands"]
    assert "nowhere.pt" in said["nothing"] and "needs --goals-net FILE.pt" in said["none"]


def test_a_sub_goal_goes_where_upstreams_network_says(tmp_path, monkeypatch):
    """From wherever the team starts, in upstream's frame; it moves only if it would move by more than 0.2 m."""
    write_module(tmp_path / "goals.pt", monkeypatch, sizes=(26, 2))
    changes = [*long_way.overrides("random-8", 16), "task.obstacles.planner=network"]
    config = overridden(load("long-way"), [*changes, f"task.obstacles.network={tmp_path / 'goals.pt'}"])
    course = solvable_courses(config.task, config.object.task, 1)
    planner = make_planner(config.task, course, 1)
    seen = []
    action = torch.tensor([[-0.4, 1.0]]).expand(16, -1)
    monkeypatch.setattr(planner._actor, "act", lambda numbers: seen.append(numbers) or action)
    start = draw_start(config.task, config.object.task, 1, torch.arange(16), torch.zeros(16, dtype=torch.int64)).state
    numbers, place = torch.arange(16), start.object_pos[:, :2]
    planner.see(start)
    target, passed = planner.target(numbers, place, torch.zeros(16, dtype=torch.int64))
    low, high = course.corner, course.corner + 14.0
    front = course.goal[:, 0] > 0
    # 0.5 * action in [-1, 1] is x in [0, 14] m from the wall behind, and y in [-5.5, 5.5] m.
    x = torch.where(front, low[:, 0] + 5.6, high[:, 0] - 5.6)
    y = 0.5 * (low + high)[:, 1] + torch.where(front, 2.75, -2.75)
    assert torch.allclose(target, torch.stack((x, y), -1), atol=2e-3)
    assert torch.equal(seen[0][:, 12:14], torch.tensor([[8.0, 0.0]]).expand(16, -1))
    assert ((seen[0][:, 14:16] >= 0.9) & (seen[0][:, 14:16] <= 13.1)).any(-1).all()  # the object
    assert seen[0][:, 24].gt(seen[0][:, 14]).float().mean() > 0.8  # the waypoint is mostly ahead
    for by, moves in ((0.02, False), (0.08, True)):  # 0.07 m and 0.28 m
        action = torch.tensor([[-0.4 + by, 1.0]]).expand(16, -1)
        next_target, after = planner.target(numbers, place, passed)
        assert torch.allclose(seen[-1][:, 12:14], torch.tensor([5.6, 2.75]), atol=2e-3)
        assert bool((next_target - target).norm(dim=-1).max() > 0.2) == moves
        assert torch.equal(after, passed) != moves


def test_a_missing_ompl_is_one_sentence(monkeypatch):
    if importlib.util.find_spec("ompl"):
        pytest.skip("OMPL is installed")
    options = ["--sets", "random-2", "--rows", "rrt star", "--layouts", 2]
    _, err = mapush("bench", "long-way", "--pretrained", "cuboid-planar", *options, code=2)
    assert "planner=rrt_star needs OMPL: pip install 'mapush_stack[ompl]'" in err and err.count("\n") == 1


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


@pytest.mark.slow
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
