"""What robots know of poses, on the command line."""

import json

import pytest

from tests.cli.runner import mapush, train_small

pytestmark = pytest.mark.usefixtures("mujoco")


def success(*options):
    (row,) = json.loads(mapush("evaluate", "--episodes", 32, "--seed", 5, "--json", *options)[0])
    return row["success_rate"]


@pytest.mark.slow
@pytest.mark.parametrize("policy", [("--pretrained", "cuboid-planar"), ("--scripted",)])
def test_a_team_that_knows_less_succeeds_less(policy):
    lost = "--set", "task.sensing.dropout=1.0"  # after the first measurement nothing is known
    assert success(*policy) > 0.85 and success(*policy, *lost) < 0.5


def test_a_training_with_sensing_goes_on_as_if_it_had_not_stopped(tmp_path):
    runs = [train_small(tmp_path / name, "--with", "sensing", "--no-evaluation")[1] for name in ("one", "other")]
    stored = json.loads((runs[0] / "config.json").read_text())["task"]["sensing"]
    assert stored["rate"] == [10.0, 50.0] and stored["action_delay"][1] > 0
    last = sorted((runs[1] / "models").iterdir(), key=lambda path: int(path.name.split("_")[2]))[-1]
    expected = {file.name: file.read_bytes() for file in last.glob("*.safetensors")}
    assert len(expected) == 2
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    mapush("train", "--resume", runs[1], "--no-evaluation")
    for name, content in expected.items():
        assert (last / name).read_bytes() == content, name


@pytest.mark.parametrize("change", ["rate=0", "delay=[0.3,0.1]", "dropout=lots", "nois=1", "rate={}", "delay=[[1,2]]"])
def test_what_cannot_be_is_refused(change):
    _, err = mapush("evaluate", "--pretrained", "cuboid-planar", "--set", f"task.sensing.{change}", code=2)
    assert err.startswith("mapush: ") and "task.sensing" in err and err.count("\n") == 1
