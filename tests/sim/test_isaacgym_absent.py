"""sim.backend=isaacgym where something of it is missing; these tests need neither Isaac Gym nor MAPush."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest
import torch

from mapush_stack.cli.main import main
from mapush_stack.envs import factory, push_env
from mapush_stack.errors import UserError
from mapush_stack.sim import isaacgym_import, mqe, simulators
from tests.cli import runner
from tests.conftest import kinematic_env, small_config

ASKED_FOR = ("sim.backend=isaacgym", "sim.robot=go1")


@pytest.fixture
def strict(tmp_path):
    """A folder with a package `isaacgym` that, as the real one, refuses to be imported after torch."""
    folder = tmp_path / "strict"
    folder.mkdir()
    refusal = "raise ImportError('torch was first')"
    (folder / "isaacgym.py").write_text(f"import sys\nif 'torch' in sys.modules:\n    {refusal}\n")
    return folder


def test_without_isaac_gym_one_sentence_says_where_it_is_from(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(isaacgym_import, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "isaacgym", raising=False)
    assert main(["train", "--backend", "isaacgym", "--robot", "go1", "--results", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("mapush: sim.backend=isaacgym needs NVIDIA's Isaac Gym Preview 4 (Python 3.8), which is not")
    assert err.count("\n") == 1 and not out and not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.version_info >= (3, 9), reason="Isaac Gym has no binaries for this Python")
def test_without_mapush_one_sentence_names_the_variable(tmp_path, strict):
    # To get this far the process has started again.
    environment = {**runner.environment(), "PYTHONPATH": f"{runner.ROOT}:{strict}"}
    environment.pop("MAPUSH_SRC", None)
    command = [sys.executable, "-m", "mapush_stack", "train", "--backend", "isaacgym", "--robot", "go1"]
    options = {"stderr": subprocess.PIPE, "text": True, "timeout": 120}
    done = subprocess.run([*command, "sim.device=cpu"], cwd=str(tmp_path), env=environment, **options)
    assert done.returncode == 2 and "Traceback" not in done.stderr and list(tmp_path.iterdir()) == [strict]
    said = done.stderr.splitlines()[-1]
    assert said.startswith("mapush: sim.backend=isaacgym needs MAPush, which is not installed in this Python: set MAPU")


def test_a_wrong_source_tree_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MAPUSH_SRC", str(tmp_path))
    with pytest.raises(UserError, match=f"MAPUSH_SRC={tmp_path} is not a source tree of MAPush"):
        mqe.find_source()


def test_a_program_that_has_imported_torch_is_told_the_order(monkeypatch, capsys, strict):
    monkeypatch.syspath_prepend(str(strict))
    monkeypatch.delitem(sys.modules, "isaacgym", raising=False)
    with pytest.raises(isaacgym_import.TorchFirstError, match="put `import isaacgym` first"):
        isaacgym_import.require()
    assert main(["train", "--backend", "isaacgym", "--robot", "go1"]) == 2
    assert "Isaac Gym must be imported before torch" in capsys.readouterr().err


def test_what_cannot_be_loaded_is_said(monkeypatch, tmp_path):
    (tmp_path / "isaacgym.py").write_text("raise ImportError('libpython3.8.so.1.0: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "isaacgym", raising=False)
    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(UserError, match=r"Isaac Gym cannot be loaded: libpython3\.8\.so\.1\.0"):
        isaacgym_import.require()


def test_it_is_never_chosen_by_itself(monkeypatch):
    monkeypatch.setitem(sys.modules, "isaacgym", sys)
    assert simulators.choose(small_config("sim.backend=auto", "sim.robot=go1").sim).name in ("mujoco", "warp")


def test_a_gpu_is_needed_unless_the_cpu_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "isaacgym", sys)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"sim\.backend=isaacgym is not possible here: torch sees no NVIDIA GPU"):
        simulators.choose(small_config(*ASKED_FOR).sim)
    assert simulators.choose(small_config(*ASKED_FOR, "sim.device=cpu").sim).device.type == "cpu"


@pytest.mark.parametrize(
    "override, said",
    [
        ("sim.robot=planar", "robot must be go1 with backend=isaacgym, not planar"),
        ("sim.go1.walking_policy=other.safetensors", "walking_policy has no effect with backend=isaacgym"),
    ],
)
def test_settings_that_do_not_fit_are_refused(override, said):
    with pytest.raises(UserError, match=said):
        small_config(*ASKED_FOR, override)


def test_commands_that_mapush_would_clip_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "isaacgym", sys)
    config = small_config(*ASKED_FOR, "sim.device=cpu", "task.command_limit=[1.5,0.5,0.5]")
    with pytest.raises(UserError, match=r"task\.command_limit must be at most 1 with sim\.backend=isaacgym"):
        factory.make_env(config.task, config.object, config.sim, 0)


def test_the_walking_policy_is_trained_elsewhere(monkeypatch):
    monkeypatch.setitem(sys.modules, "isaacgym", sys)
    config = small_config(*ASKED_FOR, "sim.device=cpu")
    with pytest.raises(UserError, match=r"trained and tested with sim\.backend=mujoco or warp"):
        factory.make_simulator(config.sim, config.object.body, ["go1"] * 2, torch.ones(8), 0)


@pytest.mark.parametrize("waits", [False, True])
def test_only_simulators_that_take_a_mask_are_captured(monkeypatch, waits):
    captured = []
    monkeypatch.setattr(push_env, "Replay", lambda function, device: captured.append(function) or function)
    monkeypatch.setattr("tests.kinematic.KinematicSimulator.masked_reset", waits)
    kinematic_env(small_config())
    assert len(captured) == waits


@pytest.mark.parametrize("object_name", ["cuboid", "tblock", "cylinder"])
def test_the_objects_file_says_what_the_configuration_says(tmp_path, object_name):
    body = small_config(object_name=object_name).object.body
    mqe.write_urdf(body.parts, tmp_path / "object.urdf")
    links = list(ElementTree.parse(str(tmp_path / "object.urdf")).getroot().iter("link"))
    assert len(links) == len(body.parts)
    for link, part in zip(links, body.parts):
        inertial, geometry = link.find("inertial"), link.find("collision/geometry")[0]
        assert float(inertial.find("mass").get("value")) == part.mass
        assert [float(inertial.find("inertia").get(name)) for name in ("ixx", "iyy", "izz")] == list(part.inertia)
        size = (
            [geometry.get("radius"), geometry.get("length")]
            if geometry.tag == "cylinder"
            else geometry.get("size").split()
        )
        assert [float(number) for number in size] == list(part.size)
        for element in ("visual", "collision", "inertial"):
            position = [float(number) for number in link.find(f"{element}/origin").get("xyz").split()]
            assert position == list(part.position)
