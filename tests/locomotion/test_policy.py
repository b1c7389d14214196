import hashlib
import json

import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.locomotion import policy
from mapush_stack.locomotion.gait import SIGHTED


def test_the_shipped_weights_are_those_of_the_recorded_training():
    weights = policy.shipped("go1")
    record = json.loads(weights.with_suffix(".json").read_text())
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == record["sha256"]
    assert weights.stat().st_size <= 1_000_000
    command = record["manifest"]["command"]
    assert command[:3] == ["mapush", "walk", "train"] and str(record["seed"]) == command[command.index("--seed") + 1]
    assert len(record["curve"]) > 20 and record["curve"][-1]["tracking/velocity_error"] < 0.15


def test_a_policy_survives_its_file(tmp_path):
    torch.manual_seed(0)
    made = policy.WalkingPolicy([16, 8])
    policy.save(made, tmp_path / "walk.safetensors")
    again = policy.load(str(tmp_path / "walk.safetensors"))
    seen = torch.randn(5, SIGHTED.size)
    assert again.hidden == [16, 8] and torch.equal(made(seen), again(seen))


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
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(UserError, match="is not a walking policy of this project"):
        policy.load(str(tmp_path / "other.safetensors"))
