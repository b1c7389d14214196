"""`mapush deploy --dry-run`: exported graphs drive the simulator in real time."""

import json
import math

import pytest

from tests.cli.runner import mapush

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytestmark = pytest.mark.usefixtures("mujoco")


HARDWARE = ["--set", "sim.go1.delay=0.03", "--set", "sim.go1.noise=1"]


@pytest.mark.parametrize(
    ("name", "seconds", "more"),
    [
        pytest.param("cuboid-planar", 20.0, [], marks=pytest.mark.slow),
        ("cuboid-go1", 1.0, []),
        pytest.param("cuboid-go1", 1.0, HARDWARE, marks=pytest.mark.slow),
    ],
)
def test_the_loop_keeps_time_and_pushes(name, seconds, more):
    told = json.loads(mapush("deploy", name, "--dry-run", "--seconds", seconds, "--seed", 3, "--json", *more)[0])
    parts = told["parts"]
    assert told["ticks"] == parts["tick"]["count"] == sum(count for _, _, count in told["histogram"])
    assert parts["decide"]["count"] == -(-told["ticks"] // 5) and 0 <= told["missed"] <= told["ticks"]
    for part in parts.values():
        assert 0 <= part["p50"] <= part["p95"] <= part["p99"] <= part["max"]
    if name == "cuboid-planar":
        assert 1.0 < told["succeeded_after"] < 20.0
    else:
        assert told["ticks"] == 50 and told["succeeded_after"] is None


@pytest.mark.slow
def test_the_loop_knows_poses_as_the_task_says():
    """A team that sees the object metres away from where it is does not push it; one that is told late pushes late."""

    def after(*fields):
        changes = [word for field in fields for word in ("--set", f"task.sensing.{field}")]
        told = json.loads(mapush("deploy", "cuboid-planar", "--dry-run", "--seed", 3, "--json", *changes)[0])
        return told["succeeded_after"] or math.inf

    exact = after()
    assert after("dropout=1.0") == math.inf
    assert exact < after("action_delay=2.0") < exact + 12


def test_it_says_what_it_did():
    told, _ = mapush("deploy", "generalist-planar", "--object", "tblock", "--dry-run", "--seconds", 0.5)
    assert "missed deadlines: " in told and "of 25" in told and "the object did not arrive" in told and "p99 ms" in told


def test_refusals():
    _, err = mapush("deploy", "cuboid-plana", "--dry-run", code=2)
    assert "cuboid-plana does not exist" in err and "did you mean cuboid-planar?" in err and err.count("\n") == 1
    _, err = mapush("deploy", "cuboid-planar", code=2)
    assert err == "mapush: mapush deploy knows no robots, only the simulator; add --dry-run\n"


@pytest.mark.parametrize("seconds", ["nan", "inf"])
def test_a_time_is_a_finite_number(seconds):
    _, err = mapush("deploy", "cuboid-planar", "--dry-run", "--seconds", seconds, code=2)
    assert f"{seconds} is not a finite number" in err or "is not in the range" in err
