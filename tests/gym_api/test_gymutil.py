"""The command line and the settings of programs, as legged_gym and MAPush use them."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo 4, and so all of this, needs Python 3.11")

from mapush_stack.gym_api import gymapi, gymutil, support

OPTIONS = [
    {"name": "--task", "type": str, "default": "anymal", "help": "A task"},
    {"name": "--resume", "action": "store_true", "default": False, "help": "Go on"},
    {"name": "--hie", "type": bool, "action": "store_true"},
    {"name": "--num_envs", "type": int},
]


def parse(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    return gymutil.parse_arguments(description="x", headless=True, no_graphics=True, custom_parameters=OPTIONS)


def test_device_names():
    names = ("cuda:1", "cuda", "GPU", "cpu")
    assert [gymutil.parse_device_str(name) for name in names] == [("cuda", 1), ("cuda", 0), ("cuda", 0), ("cpu", 0)]
    for wrong in ("tpu", "cuda:x"):
        with pytest.raises(ValueError, match=f"device '{wrong}'"):
            gymutil.parse_device_str(wrong)


def test_the_command_line(monkeypatch):
    args = parse(monkeypatch)
    assert (args.sim_device_type, args.compute_device_id, args.use_gpu, args.use_gpu_pipeline) == (
        "cuda",
        0,
        True,
        True,
    )
    assert args.physics_engine == gymapi.SIM_PHYSX and args.slices == args.subscenes == 0
    assert (args.task, args.resume, args.hie, args.num_envs, args.headless) == ("anymal", False, False, None, False)
    args = parse(monkeypatch, "--sim_device", "cpu", "--num_envs", "7", "--resume", "--nographics", "--subscenes", "2")
    assert (args.use_gpu, args.use_gpu_pipeline, args.pipeline) == (False, False, "CPU")
    assert (args.num_envs, args.resume, args.headless, args.slices) == (7, True, True, 2)
    assert parse(monkeypatch, "--flex").physics_engine == gymapi.SIM_FLEX
    with pytest.raises(SystemExit):
        parse(monkeypatch, "--pipeline", "tpu")
    with pytest.raises(ValueError, match="needs a name"):
        gymutil.parse_arguments(custom_parameters=[{"name": "--x"}])


def test_the_settings_of_legged_gym():
    params = gymapi.SimParams()
    config = {"dt": 0.005, "substeps": 1, "gravity": [0.0, 0.0, -9.81], "up_axis": 1, "no_camera": True}
    gymutil.parse_sim_config({**config, "physx": {"num_threads": 10, "contact_collection": 2}}, params)
    assert (params.dt, params.substeps, params.physx.num_threads) == (np.float32(0.005), 1, 10)
    assert tuple(params.gravity) == (0.0, 0.0, -9.81) and params.up_axis is gymapi.UP_AXIS_Z
    gymutil.parse_sim_config({"up_axis": "y"}, params)
    assert params.up_axis is gymapi.UP_AXIS_Y
    with pytest.raises(ValueError, match="up_axis 'x' is neither"):
        gymutil.parse_sim_config({"up_axis": "x"}, params)


def test_drawings_are_taken_and_noted(monkeypatch):
    monkeypatch.setattr(support, "_used", [])
    sphere = gymutil.WireframeSphereGeometry(0.02, 4, 4, None, color=(1, 1, 0))
    gymutil.draw_lines(sphere, None, None, None, gymapi.Transform())
    assert support._used == ["draw_lines"] and sphere.num_lines() == 0


def test_xml_is_indented_as_the_quadcopters_task_does():
    root = ElementTree.fromstring("<a><b/></a>")
    gymutil._indent_xml(root)
    assert ElementTree.tostring(root, encoding="unicode").splitlines() == ["<a>", "  <b />", "</a>"]
