"""Training on an NVIDIA GPU; skipped where there is none."""

import contextlib
import copy
from pathlib import Path

import pytest
import torch

from mapush_stack.device.replay import Beside, Replay
from mapush_stack.learning.native import ppo
from mapush_stack.system.signals import StopRequest
from mapush_stack.training import session
from mapush_stack.training.trainer import Trainer
from tests.conftest import small_config

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no NVIDIA GPU")


@pytest.fixture(scope="module", autouse=True)
def warp():
    return pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")


@pytest.fixture
def make_trainer():
    with contextlib.ExitStack() as stack:

        def make(*overrides):
            config = small_config("sim.backend=warp", "sim.device=cuda", "sim.num_envs=64", *overrides)
            env, learner = stack.enter_context(session.prepared(config, 1))
            return Trainer(config, type("NoRun", (), {"models": Path("/dev/null")}), env, learner)

        yield make


@pytest.mark.parametrize("robot", ["planar", "go1"])
@pytest.mark.parametrize("algorithm", ["happo", "mappo"])
def test_nothing_waits_for_the_device(make_trainer, robot, algorithm):
    trainer = make_trainer(f"sim.robot={robot}", f"learner.algorithm={algorithm}", "training.rollout_length=3")
    stop = StopRequest()
    for _ in range(6):  # both orders of agents are captured by then, with odds of 31 to 32
        trainer._finish(trainer._launch(stop))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            update = trainer._launch(stop)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer._finish(update)[0]["agent0/policy_loss"] == pytest.approx(0, abs=1)


def test_the_guard_sees_a_wait():
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError):
            torch.ones(3, device="cuda").nonzero()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("algorithm", ["happo", "mappo"])
def test_a_graph_learns_what_single_kernels_learn(make_trainer, algorithm, monkeypatch):
    trainer = make_trainer(f"learner.algorithm={algorithm}", "training.rollout_length=3")
    for _ in range(4):
        trainer._finish(trainer._launch(StopRequest()))
    learner = trainer.learner
    model, training = (copy.deepcopy(state) for state in (learner.model_state(), learner.training_state()))
    model = {name: tensor.clone() for name, tensor in model.items()}
    results = []
    for plain in (False, True):
        learner.load_model_state(model)
        learner.load_training_state(training)
        if plain:
            monkeypatch.setattr(Replay, "__call__", lambda self, *arguments: self._function(*arguments))
        learner.update(0, 0.0)
        results.append({name: tensor.clone() for name, tensor in learner.model_state().items()})
    for name, tensor in results[0].items():
        assert not torch.equal(tensor, model[name])
        assert torch.allclose(tensor, results[1][name], atol=1e-5), name


@pytest.mark.parametrize("algorithm", ["happo", "mappo"])
def test_beside_the_actors_the_critic_learns_what_it_learns_in_turn(make_trainer, algorithm, monkeypatch):
    learned = []
    for beside in (True, False):
        monkeypatch.setattr(ppo, "Beside", lambda device, wanted, beside=beside: Beside(device, wanted and beside))
        trainer = make_trainer("sim.num_envs=2048", "training.rollout_length=8", f"learner.algorithm={algorithm}")
        for _ in range(20):
            trainer._finish(trainer._launch(StopRequest()))
        learned.append({name: tensor.clone() for name, tensor in trainer.learner.model_state().items()})
    assert all(torch.equal(tensor, learned[1][name]) for name, tensor in learned[0].items())


def test_a_checkpoint_goes_on(make_trainer):
    trainer = make_trainer("training.rollout_length=3")
    trainer._finish(trainer._launch(StopRequest()))
    saved = trainer.snapshot()
    other = make_trainer("training.rollout_length=3")
    other.restore(saved)
    for ours, theirs in zip(trainer.env.observe(), other.env.observe()):
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("robot, tolerance", [("planar", 2e-5), ("go1", 5e-3)])
def test_the_gpu_and_mujoco_give_the_same_trajectories(robot, tolerance):
    from tests.sim.test_warp import apart, simulator

    paths = []
    for backend, device in (("mujoco", "cpu"), ("warp", "cuda")):
        config, sim = simulator(robot, backend, device=device)
        ids, start = apart(config, 4)
        sim.reset(ids.to(sim.device), type(start)(*(tensor.to(sim.device) for tensor in start)))
        path = sim.step(torch.tensor([0.3, 0.1, 0.2], device=sim.device).expand(4, 2, 3), 50)
        paths.append(type(path)(*(tensor.cpu().clone() for tensor in path)))
    mujoco, warp = paths
    assert warp.healthy.all()
    assert torch.allclose(mujoco.robot_pos, warp.robot_pos, atol=tolerance)
    assert torch.allclose(mujoco.object_pos, warp.object_pos, atol=1e-3)


@pytest.mark.parametrize("more", [[], ["--hard"]])
def test_the_walking_policy_is_tested_on_the_gpu_too(more):
    from tests.cli.runner import mapush

    out, _ = mapush("walk", "test", *more, "--robots", "8", "--minutes", "0.05", "--set", "sim.backend=warp", "--json")
    assert '"falls": 0.0' in out
