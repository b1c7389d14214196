import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.status import Status

from mapush_stack.cli.evaluate import _check_idle, evaluate_paths
from mapush_stack.errors import UserError
from mapush_stack.training.run_directory import RunDirectory
from tests.cli.runner import mapush, train_small

pytestmark = pytest.mark.usefixtures("mujoco")

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = ROOT.parent / "shared" / "data" / "upstream_policies"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pytest.importorskip("mujoco.batch")
    return train_small(tmp_path_factory.mktemp("results"), "--no-evaluation")[1]


def test_a_run_gives_a_success_curve(run):
    out, _ = mapush("evaluate", run, "--set", "task.episode_seconds=1.0")
    for steps in ("160 steps", "320 steps", "480 steps"):
        assert steps in out
    picture = run / "success_curve.png"
    assert str(picture) in out.replace("\n", "") and picture.read_bytes().startswith(b"\x89PNG")


def test_json_is_json_and_nothing_else(run):
    out, _ = mapush("evaluate", RunDirectory(run).checkpoints()[-1][1], "--json", "--episodes", "3", "--seed", "5")
    (row,) = json.loads(out)
    assert row["steps"] == 480 and row["episodes"] == 3 and row["seed"] == 5 and row["object"] == "cuboid"
    assert set(row) >= {"success_rate", "success_interval", "finished_time", "collision_degree", "collaboration_degree"}
    assert sum(row["causes"].values()) == 3


def test_an_evaluation_repeats_itself(run):
    first, second = (mapush("evaluate", run, "--json", "--set", "task.episode_seconds=1.0")[0] for _ in range(2))
    assert first == second


def test_a_robot_is_taken_away_or_stands_still(run):
    checkpoint = RunDirectory(run).checkpoints()[-1][1]
    rows = {
        options: json.loads(mapush("evaluate", checkpoint, "--json", "--episodes", 8, *options)[0])[0]
        for options in ((), ("--absent", 1), ("--frozen", 1), ("--absent", 0, "--frozen", 1))
    }
    assert all(len(row["work_share"] or [0, 0]) == 2 and row["valid_episodes"] == 8 for row in rows.values())
    assert [(row.get("absent"), row.get("frozen")) for row in rows.values()] == [
        (None, None), ([1], None), (None, [1]), ([0], [1])
    ]  # fmt: skip
    stored = json.loads((run / "evaluations.json").read_text())
    assert len(stored["incomplete_teams"]) == 3
    assert all("absent" not in row and "frozen" not in row for row in stored["rows"])
    out, _ = mapush("evaluate", checkpoint, "--episodes", 2, "--frozen", 0)
    assert "robot 0 frozen" in " ".join(out.split())


@pytest.mark.parametrize(
    "options, words",
    [
        (["--absent", "2"], "--absent 2 is not allowed: the team has robots 0 to 1"),
        (["--absent", "0", "--absent", "1"], "--absent takes all 2 robots away"),
        (["--frozen", "7"], "--frozen 7 is not allowed"),
        (["--absent", "x"], "--absent"),
        (["--frozen", "-1"], "--frozen"),
        (["--absent", "0", "--frozen", "0"], "robot 0 cannot be absent and frozen"),
    ],
)
def test_robots_that_are_not_there_are_refused(run, options, words):
    _, err = mapush("evaluate", run, *options, code=2)
    assert err.startswith("mapush: ") and words in err and err.count("\n") == 1


def test_a_leader_cannot_be_frozen():
    leader = SimpleNamespace(path="run", config=SimpleNamespace(team_kinds=["planar", "planar"], leader=object()))
    _check_idle({"absent": [1], "frozen": []}, leader)
    with pytest.raises(UserError, match=r"^--frozen 0 is for a team, and run is a leader's; give its team$"):
        _check_idle({"absent": [], "frozen": [0]}, leader)


def test_a_terminal_shows_which_policy_is_evaluated_and_how_far(run, monkeypatch):
    told = []
    monkeypatch.setattr(Status, "update", lambda self, text: told.append(text))
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    evaluate_paths(terminal, [run], "", ["task.episode_seconds=1.0"], 2, None)
    assert terminal.file.getvalue().startswith("\x1b[?25l") and "\x1b[?25h" in terminal.file.getvalue()
    assert told[0] == "evaluating rl_model_160_steps (1 of 3): 0 of at most 1 s of the episodes"
    assert told[-1] == "evaluating rl_model_480_steps (3 of 3): 1 of at most 1 s of the episodes"


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda folder: folder / "nothing", "does not exist"),
        (lambda folder: folder, "is not a run directory"),
        (lambda folder: (folder / "a.txt").write_text("x") and folder / "a.txt", "is neither a folder nor"),
        (lambda folder: (folder / "a.npz").write_bytes(b"x") and folder / "a.npz", "cannot be read as arrays"),
        (lambda folder: (folder / "a.pt").write_bytes(b"x") and folder / "a.pt", "cannot be read as a torch.save file"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(tmp_path, make, words):
    _, err = mapush("evaluate", make(tmp_path), code=2)
    assert err.startswith("mapush: ") and words in err and err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--episodes", "0"], ["--episodes", "x"], ["--seed", "-1"], []])
def test_bad_options_are_refused(run, arguments):
    _, err = mapush("evaluate", *([run] if arguments else []), *arguments, code=2)
    assert err.startswith("mapush: ") and err.count("\n") == 1


def test_a_policy_for_another_object_is_refused(run):
    policy = next(iter(sorted(UPSTREAM.glob("*.npz"))), None)
    if policy is None:
        pytest.skip("the published policies are not beside this checkout")
    _, err = mapush("evaluate", policy, "--object", "cylinder", code=2)
    assert "takes 8 numbers a robot, but cylinder has 11" in err
    _, err = mapush("evaluate", run, "--object", "tblock", code=2)
    assert "a run brings its own object" in err


def test_presets_are_listed_and_shown():
    out, _ = mapush("presets")
    assert all(name in out for name in ("default", "paper", "cuboid", "cylinder", "tblock", "rewards-rebalanced"))
    out, _ = mapush("presets", "safe")
    assert "actor_lr: 0.0003" in out
    _, err = mapush("presets", "nope", code=2)
    assert err.startswith("mapush: there is no preset called nope")


# tests/training/test_compatibility.py evaluates these too.
LEGS = [pytest.param(name, marks=pytest.mark.slow) for name in ("cuboid-go1", "tblock-go1")]


@pytest.mark.parametrize("name", ["cuboid-planar", "tblock-planar", "cylinder-planar", *LEGS])
def test_pretrained_teams_come_along_and_push(name):
    out, _ = mapush("evaluate", "--pretrained", name, "--episodes", "24", "--seed", "5", "--json")
    (row,) = json.loads(out)
    assert (row["object"], row["robot"]) == tuple(name.split("-")) and row["valid_success_rate"] > 0.8


def test_a_pretrained_team_that_does_not_exist_is_refused():
    _, err = mapush("evaluate", "--pretrained", "cuboid-go2", code=2)
    assert "there is no pretrained policy called cuboid-go2; did you mean cuboid-go1?" in err
    _, err = mapush("evaluate", code=2)
    assert "give a PATH to evaluate, --scripted, or --pretrained with one of: cuboid-go1" in err


@pytest.mark.parametrize(("thing", "least"), [("cuboid", 0.97), ("cuboid-24kg", 0.4), ("cylinder", 0.97)])
def test_a_scripted_team_shows_what_a_task_allows(thing, least):
    (row,) = json.loads(mapush("evaluate", "--scripted", "--object", thing, "--episodes", "64", "--json")[0])
    assert row["path"] == "scripted" and row["object"] == thing and row["valid_success_rate"] > least


def test_a_scripted_team_has_a_table_too():
    out, _ = mapush("evaluate", "--scripted", "--episodes", "8")
    assert "scripted" in out and "8 first episodes of the cuboid" in out
    _, err = mapush("evaluate", "--scripted", "--plot", "p.png", code=2)
    assert "--plot draws the checkpoints of runs" in err


def test_a_scripted_team_of_one_cannot_move_the_heavy_cuboid():
    given = ["--scripted", "--object", "cuboid-24kg", "--absent", "1", "--episodes", "32", "--json"]
    (row,) = json.loads(mapush("evaluate", *given)[0])
    assert row["success_rate"] == 0


def test_what_a_scripted_team_cannot_do_is_said():
    _, err = mapush("evaluate", "--scripted", "--set", "task.goal=pose", code=2)
    assert "the scripted team knows positions only" in err
    cart = ["--plugin", ROOT / "examples/my_lab.py", "--set", "sim.robot=cart"]
    _, err = mapush("evaluate", "--scripted", *cart, code=2)
    assert "steers vx, vy and yaw rate, which a robot of this team cannot" in err
