"""Nothing in a rollout or an update needs to know the value of a tensor: on a GPU that would mean to wait for it.

This is seen here on Warp's CPU device, operation by operation; `tests/gpu` asks CUDA itself.
"""

from pathlib import Path

import pytest
import torch

from mapush_stack.system.signals import StopRequest
from mapush_stack.training import session
from mapush_stack.training.trainer import Trainer
from tests.conftest import small_config

WAITING = {
    "_local_scalar_dense",
    "bincount",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "unique",
    "unique_consecutive",
    "_unique2",
}
"""Operations whose result's shape, or whose result in Python, depends on values."""


@pytest.fixture(scope="module", autouse=True)
def warp():
    return pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")


def guard():
    """A context in which an operation that waits is an error."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Guard(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), named=None):
            name = function.overloadpacket.__name__
            masks = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
                index is not None and index.dtype == torch.bool for index in arguments[1]
            )
            assert name not in WAITING and not masks, f"{name} waits for the device"
            return function(*arguments, **(named or {}))

    return Guard()


SENSING = [f"task.sensing.{field}" for field in ("rate=20", "delay=[0,0.1]", "dropout=0.2", "action_delay=[0,0.1]")]
SENSING += ["task.sensing.robot_position_noise=0.1", "sim.go1.delay=0.03", "sim.go1.noise=1"]


@pytest.mark.parametrize("robot", ["planar", "go1"])
@pytest.mark.parametrize(("algorithm", "more"), [("happo", []), ("mappo", []), ("mappo", SENSING)])
def test_nothing_waits_for_the_device(robot, algorithm, more, monkeypatch):
    # On a CPU, actions are looked at too.
    monkeypatch.setattr("mapush_stack.envs.push_env.checked", lambda name, axes, given, shape, device: given)
    overrides = ["sim.backend=warp", "sim.device=cpu", "sim.num_envs=3", "task.episode_seconds=0.1"]
    # Where it costs nothing, on a CPU, the KL divergence is looked at.
    overrides += [f"sim.robot={robot}", f"learner.algorithm={algorithm}", "learner.target_kl=null"]
    config = small_config(*overrides, *more, "training.rollout_length=2")
    with session.prepared(config, 1) as (env, learner):
        env.simulator.masked_reset = True  # as on a GPU
        trainer = Trainer(config, type("NoRun", (), {"models": Path()}), env, learner)
        with guard():
            update = trainer._launch(StopRequest())
        assert trainer._finish(update)[0]["mapush/cause/time_limit"] > 0


def test_the_guard_sees_a_wait():
    values = torch.ones(3)
    for wait in (lambda: values.sum().item(), lambda: values[values > 0], lambda: bool(values.any())):
        with guard(), pytest.raises(AssertionError, match="waits for the device"):
            wait()
