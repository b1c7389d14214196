"""`mapush convert`: the arrays of a module.pt, without running it."""

import json

import numpy as np
import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.learning.openrl.actor import read_module, read_npz
from tests import hostile
from tests.cli.runner import mapush
from tests.learning.openrl.test_restricted_pickle import write_module


@pytest.mark.parametrize("activation", [torch.nn.ReLU, torch.nn.Tanh])
def test_the_arrays_act_as_the_module(tmp_path, monkeypatch, activation):
    written = write_module(tmp_path / "module.pt", monkeypatch, activation, layers=3)
    told, _ = mapush("convert", tmp_path / "module.pt", tmp_path / "out.npz")
    assert f"{activation.__name__}, 8 observed numbers a robot" in told
    seen = torch.randn(5, 2, 8)
    actor = read_npz(tmp_path / "out.npz")
    assert torch.equal(actor.act(seen), read_module(tmp_path / "module.pt").act(seen))
    assert torch.allclose(actor.act(seen), written(seen), atol=1e-6)
    arrays = np.load(str(tmp_path / "out.npz"), allow_pickle=False)
    assert arrays["base.mlp.fc1.0.weight"].shape == (16, 8)


def test_it_evaluates_as_the_module(tmp_path, monkeypatch, mujoco):
    write_module(tmp_path / "module.pt", monkeypatch)
    mapush("convert", tmp_path / "module.pt", tmp_path / "out.npz")
    short = ["--episodes", 2, "--set", "task.episode_seconds=1.0", "--set", "sim.backend=mujoco", "--json"]
    rows = json.loads(mapush("evaluate", tmp_path / "module.pt", tmp_path / "out.npz", *short)[0])
    assert [{**row, "path": ""} for row in rows] == [{**rows[0], "path": ""}] * 2


def test_refusals(tmp_path, monkeypatch):
    def refused(*arguments):
        _, err = mapush("convert", *arguments, code=2)
        assert err.startswith("mapush: ") and err.count("\n") == 1
        return err

    module, out = tmp_path / "module.pt", tmp_path / "out.npz"
    write_module(module, monkeypatch)
    assert "out.txt must end in .npz" in refused(module, tmp_path / "out.txt")
    assert "none.pt" in refused(tmp_path / "none.pt", out)
    assert "cannot be written" in refused(module, module / "out.npz")
    for name in hostile.PICKLES:
        evil = hostile.write_pickle(tmp_path / f"{name}.pt".replace("/", "_"), hostile.PICKLES[name])
        assert str(evil) in refused(evil, out)
    module.write_bytes(module.read_bytes()[:-40])
    refused(module, out)
    assert not out.exists()
    np.savez(str(out), activation=np.frombuffer(b"Evil", np.uint8))
    with pytest.raises(UserError, match="its activation is Evil"):
        read_npz(out)
