"""`mapush gym walker`: networks that walk MAPush's robot, as the files that MAPush reads."""

import hashlib
import json

import pytest
import torch

pytest.importorskip("mujoco")

from mapush_stack.gym_api.walker import files, networks
from mapush_stack.gym_api.walker.interface import UpstreamPolicy
from mapush_stack.gym_api.walker.world import World
from mapush_stack.locomotion import gait
from tests.cli.runner import mapush
from tests.gym_api import scenes

ADAPTATION, BODY = files.NAMES.values()


class Motors(torch.nn.Module):
    """Torques as upstream's actuator network gives them at rest and at constant speed."""

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return -19.5 * seen[:, :1] - 0.8 * seen[:, 3:4]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    """What the networks need of MAPush's source tree."""
    root = tmp_path_factory.mktemp("mapush")
    for folder in ("resources/robots/go1/urdf", "resources/actuator_nets"):
        (root / folder).mkdir(parents=True)
    (root / "resources/robots/go1/urdf/go1.urdf").write_text(scenes.go1())
    torch.jit.script(Motors()).save(str(root / "resources/actuator_nets/unitree_go1.pt"))
    return root


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with the two files, written by the command."""
    folder = tmp_path_factory.mktemp("walker") / "new"
    out, _ = mapush("gym", "walker", folder)
    assert out.splitlines() == [str(folder / ADAPTATION), str(folder / BODY)]
    assert sorted(path.name for path in folder.iterdir()) == [ADAPTATION, BODY]
    return folder


def test_the_files_are_the_networks_for_any_number_of_robots(written):
    adaptation, body = (torch.jit.load(str(written / name)) for name in (ADAPTATION, BODY))
    history = torch.randn(5, 2100, generator=torch.Generator().manual_seed(0))
    latent = adaptation.forward(history)
    assert latent.shape == (5, 2)
    actions = body.forward(torch.cat((history, latent), dim=-1))
    assert actions.shape == (5, 12) and torch.allclose(actions, files.load()(history), atol=1e-5)
    for module in (adaptation, body):  # else `map_location` could not move them to a GPU
        assert 'prim::Constant[value="cpu"]' not in str(module.inlined_graph)


def test_legs_act_on_them_as_mapush_does():
    walker, random = UpstreamPolicy(), torch.Generator().manual_seed(0)
    memory, history, command = walker.at_rest((3, 2), torch.device("cpu")), torch.zeros(6, 2100), torch.ones(3, 2, 3)
    for _ in range(3):
        body = gait.Proprioception(*(torch.randn(3, 2, size, generator=random) for size in (3, 3, 3, 12, 12)))
        seen = walker.observe(body, command, memory)
        frame = seen[..., -70:].flatten(0, 1)
        assert torch.equal(frame[:, 42:66], torch.cat((memory.action.flatten(0, 1), history[:, -70:][:, 42:54]), -1))
        assert frame[0, 3:8].tolist() == [2.0, 2.0, 0.25, 0.0, 3.0]
        history = torch.cat((history[:, 70:], frame), dim=-1)
        action = walker(seen)
        assert torch.allclose(action.flatten(0, 1), files.load()(history), atol=1e-5)
        memory = walker.advance(memory, action, command, seen)
    assert torch.allclose(memory.phase, torch.tensor(0.18))


@torch.no_grad()
@pytest.mark.parametrize("command", [(0.4, 0.0, 0.0), (0.0, 0.0, 0.0)])
def test_the_robot_follows_a_command(written, upstream, command):
    adaptation, body = (torch.jit.load(str(written / name)) for name in (ADAPTATION, BODY))
    world = World(upstream, torch.full((8,), 0.55), torch.zeros(8))
    world.command = torch.tensor(command).expand(8, 3)
    for step in range(150):
        history = world.observe(world.body())
        world.step(body(torch.cat((history, adaptation(history)), dim=-1)))
        assert not world.fallen().any()
        if step == 49:
            start = world.roots[:, 0].clone()
    speeds = (world.roots[:, 0] - start) / 2.0
    assert speeds.mean() == pytest.approx(command[0], rel=0.25, abs=0.05)


def test_what_the_second_network_is_told_moves_the_robot(written):
    body = torch.jit.load(str(written / BODY))
    known = torch.zeros(2, 2102)
    known[:, 2030:2033] = torch.tensor([0.0, 0.0, -1.0])
    known[1, 2100] = 1.0
    actions = body(known)
    assert (actions[0] - actions[1]).abs().max() > 0.1


@pytest.mark.parametrize("there", [ADAPTATION, BODY])
def test_files_that_are_there_are_not_overwritten(tmp_path, there):
    (tmp_path / there).write_text("upstream's own")
    _, err = mapush("gym", "walker", tmp_path, code=2)
    assert str(tmp_path / there) in err and "is not overwritten" in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "upstream's own"


def test_a_damaged_file_of_weights_is_refused(tmp_path):
    path = tmp_path / "walker.safetensors"
    path.write_bytes(files.SHIPPED.read_bytes()[:1000])
    with pytest.raises(files.UserError, match=f"{path} cannot be read as safetensors"):
        files.load(path)
    files.save_file({"x": torch.zeros(1)}, str(path))
    with pytest.raises(files.UserError, match="holds no walking networks of this version"):
        files.load(path)


def test_the_record_is_of_the_weights():
    record = json.loads(files.SHIPPED.with_suffix(".json").read_text())
    assert record["sha256"] == hashlib.sha256(files.SHIPPED.read_bytes()).hexdigest()
    assert files.SHIPPED.stat().st_size < 1_500_000


def test_training_writes_networks_and_their_record(tmp_path, upstream):
    out, _ = mapush("gym", "walker-train", "--out", tmp_path, "--rounds", 1, MAPUSH_SRC=str(upstream))
    assert "1 / 1 rounds" in out
    path = tmp_path / files.SHIPPED.name
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["rounds"] == len(record["curve"]) == 1 and record["seed"] == 1
    assert not torch.equal(files.load(path).adaptation.net[0].weight, networks.Walker().adaptation.net[0].weight)


def test_the_table(upstream):
    options = ("gym", "walker-test", "--robots", 1, "--minutes", 0.01)
    out, _ = mapush(*options, MAPUSH_SRC=str(upstream))
    assert "forward 0.5" in out and "falls" in out
    assert out != mapush(*options, "--teacher", MAPUSH_SRC=str(upstream))[0]


def test_without_mapush_one_sentence(tmp_path):
    _, err = mapush("gym", "walker-test", code=2, MAPUSH_SRC=str(tmp_path))
    assert f"MAPUSH_SRC={tmp_path} is not a source tree of MAPush" in err and err.count("\n") == 1
