import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.sim import backend, warp
from tests.conftest import small_config


def chosen(*overrides):
    return backend.choose(small_config(*overrides).sim)


def test_the_cpu_is_taken_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = chosen("sim.backend=auto")
    assert (found.name, found.device.type) == ("mujoco", "cpu") and "no NVIDIA GPU" in found.reason


@pytest.mark.parametrize("overrides", [["sim.backend=warp"], ["sim.backend=auto", "sim.device=cuda"]])
def test_a_gpu_that_is_not_there_is_refused_in_one_sentence(monkeypatch, overrides):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"torch sees no NVIDIA GPU; use sim\.backend=mujoco"):
        chosen(*overrides)


def test_warp_on_the_cpu_has_to_be_asked_for():
    assert chosen("sim.backend=warp", "sim.device=cpu").name == "warp"
    assert chosen("sim.backend=auto", "sim.device=cpu").name == "mujoco"


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
