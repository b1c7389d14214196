"""Files that other programs pickled: real structures are read, hostile ones run nothing."""

import io
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.learning.openrl import restricted_pickle as safe_pickle
from mapush_stack.learning.openrl.actor import OpenRLActor, read_module, read_npz
from mapush_stack.system import limits

UPSTREAM = Path(__file__).resolve().parents[3] / "shared" / "data" / "upstream_policies"


def fake_openrl(monkeypatch):
    """Classes by the names under which OpenRL pickles its own, for writing files with; gone when they are read."""
    nn = torch.nn
    names = {
        "openrl.modules.ppo_module": ["PPOModule"],
        "openrl.modules.networks.policy_network": ["PolicyNetwork"],
        "openrl.modules.networks.utils.mlp": ["MLPBase", "MLPLayer"],
        "openrl.modules.networks.utils.act": ["ACTLayer"],
        "openrl.modules.networks.utils.distributions": ["DiagGaussian", "AddBias"],
    }
    made = {}
    for package in ("openrl", "openrl.modules", "openrl.modules.networks", "openrl.modules.networks.utils"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    for module, classes in names.items():
        fake = types.ModuleType(module)
        monkeypatch.setitem(sys.modules, module, fake)
        for name in classes:
            base = object if name == "PPOModule" else nn.Module
            made[name] = type(name, (base,), {"__module__": module})
            setattr(fake, name, made[name])
    return made


def adam(network):
    """An optimiser to pickle; torch's constructor would import its compiler, which takes seconds."""
    made = torch.optim.Adam.__new__(torch.optim.Adam)
    made.defaults, made.state = {}, defaultdict(dict)
    made.param_groups = [{"params": list(network.parameters()), "lr": 1e-3}]
    return made


def write_module(path, monkeypatch, activation=torch.nn.Tanh, layers=1, extra=None, sizes=(8, 3)):
    """A module.pt of the structure that OpenRL saves; returns the network that was written."""
    nn = torch.nn
    with monkeypatch.context() as patch:
        classes = fake_openrl(patch)
        block = lambda inputs: nn.Sequential(nn.Linear(inputs, 16), activation(), nn.LayerNorm(16))  # noqa: E731
        mlp = classes["MLPLayer"]()
        mlp.fc1 = block(sizes[0])
        if layers > 1:
            mlp.fc_h = block(16)
            mlp.fc2 = nn.ModuleList([block(16) for _ in range(layers - 1)])
        mlp.fc3 = nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16))
        head = classes["DiagGaussian"]()
        head.fc_mean, head.logstd = nn.Linear(16, sizes[1]), classes["AddBias"]()
        head.logstd._bias = nn.Parameter(torch.zeros(sizes[1], 1))
        policy, base, act = classes["PolicyNetwork"](), classes["MLPBase"](), classes["ACTLayer"]()
        base.mlp, act.action_out = mlp, head
        policy.base, policy.act, policy.device = base, act, torch.device("cpu")
        module = classes["PPOModule"]()
        module.__dict__.update(
            models={"policy": policy, "critic": None},
            low=np.full(8, -np.inf),
            optimizers={"policy": adam(policy)},
            counts=OrderedDict(a=1),
            seen={1, 2},
            extra=extra,
        )
        torch.save(module, str(path))
    hidden = [mlp.fc1, *(mlp.fc2 if layers > 1 else [])]
    return nn.Sequential(*hidden, mlp.fc3, head.fc_mean)


@pytest.mark.parametrize("activation", [torch.nn.ReLU, torch.nn.Tanh, torch.nn.ELU])
@pytest.mark.parametrize("layers", [1, 3])
def test_an_openrl_module_gives_its_actor(tmp_path, monkeypatch, activation, layers):
    path = tmp_path / "module.pt"
    written = write_module(path, monkeypatch, activation, layers)
    actor = read_module(path)
    seen = torch.randn(5, 2, 8)
    assert actor.observation_size == 8
    assert torch.allclose(actor.act(seen), written(seen), atol=1e-6)


class Evil:
    """Pickles as a call of something."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], tuple(self.call[1:])


def evils(marker):
    import functools
    import operator
    import subprocess

    line = f"open({str(marker)!r}, 'w')"
    return {
        "os.system": Evil(os.system, f"touch {marker}"),
        "exec": Evil(exec, line),
        "eval": Evil(eval, line),
        "open": Evil(open, str(marker), "w"),
        "Popen": Evil(subprocess.Popen, ["touch", str(marker)]),
        "partial": Evil(functools.partial, print),
        "attrgetter": Evil(operator.attrgetter, "system"),
        "getattr": Evil(getattr, "text", "upper"),
        "import": Evil(__import__, "os"),
        "unpickler": Evil(pickle.loads, pickle.dumps(Evil(os.system, f"touch {marker}"))),
    }


@pytest.mark.parametrize("name", sorted(evils("x")))
@pytest.mark.parametrize("inside", [False, True])
def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path, monkeypatch, name, inside):
    marker, path = tmp_path / "ran", tmp_path / "module.pt"
    evil = evils(marker)[name]
    if inside:
        write_module(path, monkeypatch, extra=[evil])
    else:
        torch.save(evil, str(path))
    with pytest.raises(UserError) as caught:
        read_module(path)
    message = str(caught.value)
    assert "is refused because its pickle asks for" in message and "nothing in it was run" in message
    assert "\n" not in message and not marker.exists()


def test_the_hostile_files_would_have_run(tmp_path):
    """The guard is what keeps them: plain unpickling does run them."""
    marker = tmp_path / "ran"
    torch.save(evils(marker)["os.system"], str(tmp_path / "module.pt"))
    archive = zipfile.ZipFile(str(tmp_path / "module.pt"))
    program = next(name for name in archive.namelist() if name.endswith("data.pkl"))
    pickle.loads(archive.read(program))
    assert marker.exists()


def test_names_of_network_libraries_are_inert(tmp_path):
    """A call of torch.hub.load, say, is a record of its name, not a call."""
    path = tmp_path / "module.pt"
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("m/data.pkl", b"ctorch.hub\nload\n(S'x'\ntR.")
    assert isinstance(safe_pickle.load(path), safe_pickle.Opaque)
    with pytest.raises(UserError, match="is not an OpenRL module"):
        read_module(path)


def test_lists_and_attributes_cannot_reach_through_a_record(tmp_path):
    # A BUILD on a class would set attributes of the class itself; each name gets a class of its own.
    path = tmp_path / "module.pt"
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("m/data.pkl", b"ctorch.nn\nModule\n}S'state'\nI1\nsb.")
    safe_pickle.load(path)
    assert not hasattr(safe_pickle.Opaque, "state")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "module.pt"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_module(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    for read in (read_module, read_npz):
        with pytest.raises(UserError, match="does not exist"):
            read(tmp_path / "nothing.pt")


def test_a_cut_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "module.pt"
    write_module(path, monkeypatch)
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(UserError):
            read_module(path)


def test_a_storage_that_lies_about_its_size_is_refused(tmp_path):
    buffer = io.BytesIO()
    torch.save(torch.zeros(100), buffer)
    path = tmp_path / "module.pt"
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(str(path), "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data[:8] if "/data/" in name else data)
    with pytest.raises(UserError, match="cannot be read"):
        safe_pickle.load(path)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_BYTES", 1000)
    path = tmp_path / "module.pt"
    torch.save(torch.zeros(10_000), str(path))
    with pytest.raises(UserError, match="unpacks to more than"):
        safe_pickle.load(path)


def arrays():
    return {
        "base.mlp.fc1.0.weight": torch.randn(4, 8),
        "base.mlp.fc1.0.bias": torch.randn(4),
        "base.mlp.fc1.2.weight": torch.ones(4),
        "base.mlp.fc1.2.bias": torch.zeros(4),
        "base.mlp.fc3.0.weight": torch.randn(4, 4),
        "base.mlp.fc3.0.bias": torch.randn(4),
        "base.mlp.fc3.1.weight": torch.ones(4),
        "base.mlp.fc3.1.bias": torch.zeros(4),
        "act.action_out.fc_mean.weight": torch.randn(3, 4),
        "act.action_out.fc_mean.bias": torch.randn(3),
        "act.action_out.logstd._bias": torch.zeros(3, 1),
    }


def test_the_actor_is_the_documented_network():
    given, seen = arrays(), torch.randn(6, 8)
    x = torch.relu(seen @ given["base.mlp.fc1.0.weight"].T + given["base.mlp.fc1.0.bias"])
    x = torch.nn.functional.layer_norm(x, (4,))
    x = torch.nn.functional.layer_norm(x @ given["base.mlp.fc3.0.weight"].T + given["base.mlp.fc3.0.bias"], (4,))
    expected = x @ given["act.action_out.fc_mean.weight"].T + given["act.action_out.fc_mean.bias"]
    assert torch.allclose(OpenRLActor(given).act(seen), expected, atol=1e-5)


def test_a_feature_norm_is_taken_along():
    given = {**arrays(), "base.feature_norm.weight": torch.full((8,), 2.0), "base.feature_norm.bias": torch.ones(8)}
    seen = torch.randn(6, 8)
    normed = 2.0 * torch.nn.functional.layer_norm(seen, (8,)) + 1.0
    plain = {name: value for name, value in given.items() if "feature_norm" not in name}
    assert torch.allclose(OpenRLActor(given).act(seen), OpenRLActor(plain).act(normed), atol=1e-5)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"base.mlp.fc3.0.bias": None}, "base.mlp.fc3.0.bias of an OpenRL MLP actor is missing"),
        ({"base.mlp.fc9.weight": torch.ones(2)}, "belongs to no known part"),
        (
            {"base.mlp.fc1.0.weight": torch.ones(4)},
            "fc1.0.weight of an OpenRL MLP actor is missing or has not 2 dim",
        ),
        ({"base.mlp.fc1.0.bias": torch.ones(5)}, r"base.mlp.fc1.0.bias has shape \[5\]; it should have \[4\]"),
        ({"base.mlp.fc3.0.weight": torch.ones(4, 6)}, r"shape \[4, 6\]; it should have \[4, 4\]"),
        (
            {"act.action_out.fc_mean.weight": torch.ones(2, 4), "act.action_out.fc_mean.bias": torch.ones(2)},
            r"fc_mean.weight has shape \[2, 4\]; it should have \[3, 4\]",
        ),
        ({"base.mlp.fc1.0.bias": torch.full((4,), float("nan"))}, "not finite"),
    ],
)
def test_arrays_that_are_no_actor_are_refused(tmp_path, change, words):
    given = {name: value for name, value in {**arrays(), **change}.items() if value is not None}
    np.savez(str(tmp_path / "a.npz"), **{name: value.numpy() for name, value in given.items()})
    with pytest.raises(UserError, match=words) as caught:
        read_npz(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npz"):
        read_npz(tmp_path / "a.npz")


def test_an_npz_with_a_pickle_in_it_is_refused(tmp_path):
    marker = tmp_path / "ran"
    evil = np.empty(1, dtype=object)
    evil[0] = evils(marker)["os.system"]
    np.savez(str(tmp_path / "a.npz"), evil=evil)
    with pytest.raises(UserError):
        read_npz(tmp_path / "a.npz")
    assert not marker.exists()


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason="the published policies are not beside this checkout")
def test_the_published_arrays_are_read():
    for path in UPSTREAM.glob("*.npz"):
        assert read_npz(path).observation_size == 8
