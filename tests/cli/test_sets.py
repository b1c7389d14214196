"""Policies that read sets of things, from the front door: other teams and objects than those of the training."""

import json

import pytest

from tests.cli.runner import SHORT, mapush, train_small

pytestmark = pytest.mark.usefixtures("mujoco")
SETS = ["--no-evaluation", "--algo", "mappo", "task.observation=sets", "learner.policy.token_width=8"]
SHARED = ["learner.share_actor=true", "task.global_state=observation"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run by each way to read sets, one whose robots have an actor each, and one that reads plain numbers."""
    pytest.importorskip("mujoco.batch")
    arguments = {
        "sets": [*SETS, *SHARED, "learner.policy.encoder=sets", "task.placement=apart", "task.team_size=[1,2]"],
        "attention": [*SETS, *SHARED, "learner.policy.encoder=attention"],
        "own": [*SETS, "--algo", "happo", "learner.policy.encoder=sets"],
        "none": [*SETS, *SHARED],
    }
    return {name: train_small(tmp_path_factory.mktemp(name), *given)[1] for name, given in arguments.items()}


def evaluated(*arguments):
    return json.loads(mapush("evaluate", *arguments, "--json", "--episodes", 3)[0])[-1]


@pytest.mark.parametrize("name", ["sets", "attention"])
def test_one_policy_serves_any_team_and_object(runs, name):
    for team, thing in (["planar"] * 3, "tblock"), (["planar"], "cuboid"):
        row = evaluated(runs[name], "--team", ",".join(team), "--object", thing)
        assert row["object"] == thing and len(row["work_share"] or team) == len(team)
    assert not (runs[name] / "evaluations.json").exists()
    assert evaluated(runs[name])["object"] == "cuboid"
    assert len(json.loads((runs[name] / "evaluations.json").read_text())["rows"]) == 3


def test_a_training_goes_on_with_another_team_and_object(runs, tmp_path):
    given = ["--from", runs["attention"], "--team", "planar,planar,planar", "--object", "tblock", "--no-evaluation"]
    mapush("train", "--results", tmp_path, *SHORT, *given)


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("own", ["--team", "planar,planar,planar"], "they hold 2 actors and the team needs 3"),
        ("sets", ["--team", "planar,rover"], "one actor for robots of one kind, and the team has several kinds"),
        ("sets", ["--team", "rover,rover"], "has the shape"),
        ("sets", ["--team", "planar,,planar"], "--team 'planar,,planar' is not a team"),
        ("sets", ["--team", "nothing"], "nothing"),
        ("sets", ["--object", "nothing"], "nothing"),
        ("sets", ["--team", "planar", "--set", "team=[planar,planar]"], "contradict each other"),
        ("sets", ["--set", "task.observation=features"], "learner.policy.encoder must be none, not sets"),
        ("none", ["--team", "planar,planar,planar"], "do not fit the configuration's networks"),
        ("none", ["--object", "tblock"], "a run brings its own object"),
    ],
)
def test_what_a_policy_cannot_take_is_refused(runs, name, options, words):
    _, err = mapush("evaluate", runs[name], *options, code=2)
    assert err.startswith("mapush: ") and words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "options, words",
    [
        (["learner.policy.encoder=sets"], "task.observation=sets has them"),
        (["learner.policy.encoder=some"], "learner.policy.encoder=some is not allowed"),
        (["learner.policy.token_width=0"], "learner.policy.token_width=0 is not allowed"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, options, words):
    _, err = mapush("train", "--results", tmp_path, *SHORT, *options, code=2)
    assert err.startswith("mapush: ") and words in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())
