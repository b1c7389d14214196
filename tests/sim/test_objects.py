"""Objects of a person's own: parts that are turned, and prisms."""

import json

import pytest
import yaml

from mapush_stack.api import make_env
from mapush_stack.errors import UserError
from mapush_stack.training import config as configuration
from tests.cli.runner import mapush
from tests.conftest import SMALL
from tests.sim.test_family import differences

OCTAGON = [[0.6, -0.2], [0.6, 0.2], [0.2, 0.6], [-0.2, 0.6], [-0.6, 0.2], [-0.6, -0.2], [-0.2, -0.6], [0.2, -0.6]]


def object_file(folder, *parts, **task):
    file = folder / "mine.yaml"
    body = {"friction": [0.5, 0.6], "parts": list(parts)}
    file.write_text(yaml.safe_dump({"extends": "cuboid", "task": task, "body": body}))
    return file


def box(**fields):
    return {
        "shape": "box",
        "size": [1.2, 0.8, 0.5],
        "position": [0, 0, 0],
        "mass": 4.0,
        "inertia": [0.2, 0.3, 0.4],
        **fields,
    }


def prism(**fields):
    return {"shape": "prism", "size": [0.5], "vertices": OCTAGON, "position": [0, 0, 0], "mass": 4.0,
            "inertia": [0.3, 0.3, 0.5], **fields}  # fmt: skip


def env_of(file, *overrides):
    return make_env(configuration.load("default", str(file), [*SMALL, "sim.num_envs=4", *overrides]), seed=3)


@pytest.fixture(params=["mujoco", "warp", "fused"])
def engine(request, mujoco):
    if request.param == "mujoco":
        return ["sim.backend=mujoco"]
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    return ["sim.backend=warp", "sim.device=cpu", f"sim.planar.fused={request.param == 'fused'}"]


@pytest.mark.parametrize("wrong", [{"inertia": [1e-9, 1e-9, 5.0]}, {"mass": 1e-20, "inertia": [1e-20, 1e-20, 1e-20]}])
def test_a_scene_that_mujoco_cannot_make_is_refused(engine, tmp_path, wrong):
    with pytest.raises(UserError, match=r"^MuJoCo cannot make the scene: .*object\.body$"):
        env_of(object_file(tmp_path, box(**wrong)), *engine)


def test_a_box_turned_by_90_degrees_is_the_box_with_its_sides_exchanged(engine, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    exchanged = box(size=[0.8, 1.2, 0.5], inertia=[0.3, 0.2, 0.4])
    one, two = env_of(object_file(tmp_path, box(yaw=90.0)), *engine), env_of(object_file(other, exchanged), *engine)
    one.reset()
    errors, moved = differences(one.simulator, two.simulator, list(range(4)))
    assert moved > 0.1 and errors.median() < 1e-4 and errors.max() < 1e-2, errors


def test_a_prism_with_the_corners_of_a_box_moves_as_the_box(mujoco, tmp_path):
    corners = [[-0.6, -0.4], [0.6, -0.4], [0.6, 0.4], [-0.6, 0.4]]
    other = tmp_path / "other"
    other.mkdir()
    one = env_of(object_file(tmp_path, prism(vertices=corners, inertia=[0.2, 0.3, 0.4])))
    two = env_of(object_file(other, box()))
    one.reset()
    errors, moved = differences(one.simulator, two.simulator, list(range(4)), steps=150)
    assert moved > 0.1 and errors.median() < 1e-3 and errors.max() < 0.3, errors


def test_both_simulators_push_a_prism_alike(mujoco, tmp_path):
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    file = object_file(tmp_path, prism(yaw=10.0))
    one = env_of(file)
    two = env_of(file, "sim.backend=warp", "sim.device=cpu", "sim.planar.fused=true")
    assert type(two.simulator.engine).__name__ == "WarpEngine", "the planar kernel knows no prisms"
    one.reset()
    errors, moved = differences(one.simulator, two.simulator, list(range(4)))
    assert moved > 0.1 and errors.median() < 1e-3, errors


@pytest.mark.parametrize(
    "part, words",
    [
        (prism(vertices=[[0, 0], [1, 0], [0.2, 0.2], [0, 1]]), "at [0.2, 0.2] it turns to the right"),
        (prism(vertices=OCTAGON[::-1]), "counter-clockwise"),
        (prism(vertices=OCTAGON[:2]), "vertices of a prism must be 3 or more"),
        (prism(vertices=OCTAGON * 2), "counter-clockwise"),
        (box(size=[1.2, 0.8, 1e-9]), "size of a box must be 3 lengths from 0.001 to 1000 m"),
        (prism(vertices=[[x / 1e4, y / 1e4] for x, y in OCTAGON]), "vertices of a prism must extend over 0.001 to"),
        (prism(size=[0.5, 1.0]), "size of a prism must be one length from 0.001 to 1000 m, not [0.5, 1.0]"),
        (box(vertices=OCTAGON), "vertices are those of a prism, not of a box"),
    ],
)
def test_a_wrong_part_is_one_sentence(part, words, tmp_path):
    file = object_file(tmp_path, part)
    with pytest.raises(UserError) as error:
        configuration.load("default", str(file))
    assert str(error.value).startswith(f"{file}: object.body.parts.0.") and words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "vertices, words",
    [
        ([[-0.1, -0.1], [0.1, -0.1], [0.1, 0.1], [-0.1, 0.1]], "must be the outline of body.parts, which reach 0.60 m"),
        ([[-0.6, -0.6], [0.6, -0.6], [0.0, 0.0], [0.6, 0.6], [-0.6, 0.6]], "must be a convex outline"),
    ],
)
def test_an_outline_that_is_not_that_of_the_parts_is_one_sentence(vertices, words, tmp_path):
    file = object_file(tmp_path, prism(), vertices=vertices)
    configuration.load("default", str(file))  # as before, where nobody looks at it
    for change in ("task.placement=apart", "task.observation=sets"):
        with pytest.raises(UserError) as error:
            configuration.load("default", str(file), [change])
        assert f"object.task.vertices {words}" in str(error.value)


def test_a_prism_is_evaluated_and_drawn(mujoco, tmp_path):
    from mapush_stack.sim.visuals import Stage

    file = object_file(tmp_path, prism(), box(yaw=30.0), vertices=OCTAGON, num_robots=3)
    out, _ = mapush("evaluate", "--scripted", "--object", file, "--episodes=4", "--json", "--set=task.placement=apart")
    row = json.loads(out)[0]
    assert row["object"] == "mine" and row["valid_episodes"] == 4
    env = env_of(file)
    stage = Stage(env.simulator.request.body, env.simulator.team, 1.0, posed=True)
    assert stage.model.nmesh >= 2 and stage.object_radius == pytest.approx(0.72, abs=0.01)
