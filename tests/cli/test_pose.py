"""A run whose goal is a pose, from its front door: trained, resumed, evaluated, drawn, reported."""

import json

import pytest

from tests.cli.runner import mapush, train_small

pytestmark = pytest.mark.usefixtures("mujoco")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pytest.importorskip("mujoco.batch")
    out, run = train_small(tmp_path_factory.mktemp("results"), "--preset", "pose", "task.episode_seconds=1.0")
    assert "preset pose" in out and "°" in out
    return run


def test_an_evaluation_has_the_angle_error(run):
    rows = json.loads(mapush("evaluate", run, "--json")[0])
    assert len(rows) == 3 and all(0 < row["angle_error"] < 45 for row in rows)
    stored = json.loads((run / "evaluations.json").read_text())["rows"]
    assert [row["angle_error"] for row in stored] == [row["angle_error"] for row in rows]
    out, _ = mapush("evaluate", run)
    assert "angle" in out and f"{rows[-1]['angle_error']:.1f}°" in out
    plain = json.loads(mapush("evaluate", "--pretrained", "cuboid-planar", "--episodes", 2, "--json")[0])
    assert plain[0]["angle_error"] is None


def test_another_goal_does_not_fit_the_policy(run):
    _, err = mapush("evaluate", run, "--set", "task.goal=position", code=2)
    assert err.count("\n") == 1 and "do not fit" in err


def test_it_is_logged_and_reported(run, tmp_path):
    from mapush_stack.analysis import run as runs

    mapush("compare", run, "--html", tmp_path / "report.html", "--episodes", 2)
    page = (tmp_path / "report.html").read_text()
    assert "object at the target" in page
    assert "mapush/angle_error" in runs.read(run).series


@pytest.mark.parametrize("object_name", ["cuboid", "tblock", "cylinder"])
def test_the_target_is_drawn_where_the_object_is_to_be(object_name):
    import numpy as np

    from mapush_stack.evaluation.performance import make_stage
    from mapush_stack.evaluation.policies import Candidate, environment
    from tests.conftest import small_config

    config = small_config(object_name=object_name, preset="pose")
    candidate = Candidate(None, -1, config)
    env = environment(candidate, 1, 3)
    env.reset()
    stage = make_stage(candidate, env, (320, 180))
    goal = env.target[0].tolist()
    stage.place_goal(goal)
    qpos = env.joint_positions[0].numpy().copy()
    yaw = goal[2]
    qpos[:7] = [goal[0], goal[1], 0.0, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
    stage.pose(qpos)
    for number in range(len(config.object.body.parts)):
        part, drawn = stage.data.geom(f"object{number}"), stage.data.geom(f"goal_part{number}")
        assert np.allclose(part.xpos[:2], drawn.xpos[:2], atol=1e-6) and np.allclose(part.xmat, drawn.xmat, atol=1e-6)
