import json

import pytest
import torch
from pydantic import ValidationError

from mapush_stack.errors import UserError
from mapush_stack.sim import simulators, warp
from mapush_stack.sim.simulator import SIMULATORS, Backend, SimulatorKind
from tests.conftest import small_config
from tests.kinematic import KinematicSimulator


def chosen(*overrides):
    return simulators.choose(small_config(*overrides).sim)


def test_the_cpu_is_taken_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = chosen("sim.backend=auto")
    assert (found.name, found.device.type) == ("mujoco", "cpu") and "no NVIDIA GPU" in found.reason


@pytest.mark.parametrize("overrides", [["sim.backend=warp"], ["sim.backend=auto", "sim.device=cuda"]])
def test_a_gpu_that_is_not_there_is_refused_in_one_sentence(monkeypatch, overrides):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"torch sees no NVIDIA GPU; use sim\.backend=mujoco"):
        chosen(*overrides)


def test_warp_on_the_cpu_has_to_be_asked_for(monkeypatch):
    monkeypatch.setattr(warp, "find_spec", lambda name: object())
    assert chosen("sim.backend=warp", "sim.device=cpu").name == "warp"
    assert chosen("sim.backend=auto", "sim.device=cpu").name == "mujoco"


def test_warp_that_is_not_installed_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(warp, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"Warp is not installed .*; use sim\.backend=mujoco"):
        chosen("sim.backend=warp", "sim.device=cpu")


def test_mujoco_runs_on_the_cpu_alone():
    with pytest.raises(UserError, match=r"sim\.device=cuda is not allowed with sim\.backend=mujoco"):
        chosen("sim.backend=mujoco", "sim.device=cuda")


def test_a_gpu_that_torch_has_no_kernels_for_is_not_taken(monkeypatch):
    def no_kernels(*size, device):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an old card")
    monkeypatch.setattr(warp, "find_spec", lambda name: object())
    monkeypatch.setattr(torch, "ones", no_kernels)
    found = chosen("sim.backend=auto")
    assert found.name == "mujoco" and found.reason.startswith(
        "torch cannot use an old card: CUDA error: no kernel image"
    )
    with pytest.raises(UserError, match="torch cannot use an old card"):
        chosen("sim.backend=warp")


class Kinematic(SimulatorKind):
    bytes_per_env = 1_000
    robots = ("planar",)
    max_command = 0.6

    def place(self, device):
        return Backend("kinematic", torch.device("cpu"), "for a test")

    def make(self, request):
        return KinematicSimulator(request.sim.num_envs, len(request.team))


def test_a_simulator_needs_nothing_but_its_entry_in_the_registry(monkeypatch):
    from mapush_stack.envs.factory import make_env
    from mapush_stack.training import memory

    monkeypatch.setitem(SIMULATORS._things, "kinematic", Kinematic())
    config = small_config("sim.backend=kinematic")
    memory.check(config, 100)
    env = make_env(config.task, config.object, config.sim, 0)
    env.reset()
    assert isinstance(env.simulator, KinematicSimulator) and env.step(torch.zeros(8, 2, 3)).rewards.shape == (8, 2)
    with pytest.raises(UserError, match=r"sim\.robot must be planar with backend=kinematic, not go1"):
        small_config("sim.backend=kinematic", "sim.robot=go1")
    with pytest.raises(UserError, match=r"sim\.robot must be planar with backend=kinematic, not go1"):
        make_env(config.task, config.object, config.sim, 0, team=["planar", "go1"])
    fast = small_config("task.command_limit=[0.7,0.5,0.5]").task
    with pytest.raises(UserError, match=r"task\.command_limit must be at most 0\.6 with sim\.backend=kinematic"):
        make_env(fast, config.object, config.sim, 0)


@pytest.mark.parametrize(
    "override, said",
    [
        (
            "sim.robot=plannar",
            "sim.robot=plannar is not allowed: there is no robot called plannar; did you mean planar?",
        ),
        ("sim.backend=mujco", "sim.backend=mujco is not allowed: there is no simulator called mujco; did you mean"),
        ("sim.go1.physics_dt=0.03", "sim.go1.physics_dt=0.03 is not allowed: input should be less than or equal to"),
        ("sim.go1.physics_dt=0.003", "sim.go1.physics_dt must divide the control step of 0.02 s, not 0.003"),
        ("sim.planar.max_force=high", "sim.planar.max_force=high is not allowed: input should be a valid number"),
        ("sim.planar={max_forse: 1.0}", "there is no field sim.planar.max_forse"),
    ],
)
def test_a_wrong_name_or_number_is_said_with_its_field(override, said):
    with pytest.raises(UserError) as refused:
        small_config(override)
    assert str(refused.value).startswith(said)


def test_a_section_of_no_robot_is_refused():
    plain = small_config().sim.model_dump(mode="json")
    with pytest.raises(ValidationError) as refused:
        type(small_config().sim).model_validate_json(json.dumps({**plain, "wagon": {}}), strict=True)
    error = refused.value.errors()[0]
    assert (error["type"], error["loc"]) == ("extra_forbidden", ("wagon",))
