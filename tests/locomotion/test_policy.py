import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from mapush_stack.errors import UserError
from mapush_stack.locomotion import policy
from mapush_stack.locomotion.gait import SIGHTED, View

BLIND = View(4, linear_velocity=False)


@pytest.mark.parametrize("name, error", [("shipped", 0.15), ("blind", 0.17), ("blind_first", 0.28)])
def test_the_shipped_weights_are_those_of_the_recorded_training(name, error):
    weights = policy.shipped("go1", name)
    record = json.loads(weights.with_suffix(".json").read_text())
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == record["sha256"]
    assert weights.stat().st_size <= 1_000_000
    command = record["manifest"]["command"]
    assert command[:3] == ["mapush", "walk", "train"] and str(record["seed"]) == command[command.index("--seed") + 1]
    assert len(record["curve"]) > 20 and record["curve"][-1]["tracking/velocity_error"] < error
    assert policy.load(name).view == View(**record.get("view", SIGHTED._asdict()))


def test_a_policy_survives_its_file(tmp_path):
    torch.manual_seed(0)
    for view in (SIGHTED, BLIND):
        made = policy.WalkingPolicy([16, 8], view)
        policy.save(made, tmp_path / "walk.safetensors")
        again = policy.load(str(tmp_path / "walk.safetensors"))
        seen = torch.randn(5, view.size)
        assert again.view == view and again.hidden == [16, 8] and torch.equal(made(seen), again(seen))


def test_a_file_of_the_first_format_sees_the_velocity(tmp_path):
    made = policy.WalkingPolicy([8])
    header = {"format": "mapush walking policy 1", "hidden": "[8]"}
    save_file(made.net.state_dict(), str(tmp_path / "walk.safetensors"), metadata=header)
    assert policy.load(str(tmp_path / "walk.safetensors")).view == SIGHTED


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ("", "Expecting value"),
        ("[]", "does not say frames and linear_velocity"),
        ('{"frames": 4}', "does not say frames and linear_velocity"),
        ('{"frames": 0, "linear_velocity": false}', "frames up to 50"),
        ('{"frames": 1e9, "linear_velocity": false}', "frames up to 50"),
        ('{"frames": 1000000000, "linear_velocity": false}', "frames up to 50"),
        ('{"frames": true, "linear_velocity": false}', "frames up to 50"),
        ('{"frames": 4, "linear_velocity": 0}', "and a bool"),
        ('{"frames": 4, "linear_velocity": true}', "has the shape"),
    ],
)
def test_a_file_that_does_not_say_what_it_sees_is_refused(tmp_path, view, said):
    path = tmp_path / "walk.safetensors"
    header = {"format": "mapush walking policy 2", "hidden": "[8]", "view": view}
    save_file(policy.WalkingPolicy([8], BLIND).net.state_dict(), str(path), metadata=header)
    with pytest.raises(UserError, match="cannot be read as a walking policy") as refused:
        policy.load(str(path))
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x80\x04."])
def test_something_else_is_refused(tmp_path, content):
    path = tmp_path / "walk.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as"):
        policy.load(str(path))
    with pytest.raises(UserError, match=r"sim\.go1\.walking_policy=nowhere"):
        policy.load("nowhere")
    with pytest.raises(UserError, match=r"sim\.go2\.walking_policy=nowhere"):
        policy.load("nowhere", "go2")


def test_none_stands_still():
    assert not policy.load("none").net(torch.randn(3, SIGHTED.size)).any()


def test_another_projects_safetensors_are_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(UserError, match="is not a walking policy of this project"):
        policy.load(str(tmp_path / "other.safetensors"))
