"""The environment on an NVIDIA GPU, as users of the library meet it; skipped where there is none."""

import copy
import gc

import pytest
import torch

from mapush_stack import UserError, api
from mapush_stack.device.replay import Replay
from mapush_stack.task.terminations import CAUSES
from tests.conftest import small_config

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no NVIDIA GPU")


SENSING = ["rate=20", "delay=[0,0.1]", "dropout=0.2", "object_position_noise=0.1", "action_delay=[0,0.1]"]


@pytest.fixture(params=[[], SENSING], ids=["exact", "measured"])
def env(request):
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    config = small_config(
        "sim.backend=warp",
        "sim.device=cuda",
        "sim.robot=go1",
        "task.episode_seconds=0.5",
        *(f"task.sensing.{field}" for field in request.param),
    )
    env = api.make_env(config)
    env.reset()
    yield env
    env.close()


def actions(env, value=1.0):
    return torch.full((env.num_envs, env.spec.num_agents, env.spec.action_size), value, device=env.device)


def test_the_end_of_an_episode_is_observed_from_a_graph(env):
    for _ in range(4):
        step = env.step(actions(env))
        running = ~step.episode.done
        assert torch.equal(env.final_observations(step)[running], step.observations[running])
    step = env.step(actions(env))
    done = step.episode.done
    assert done.any() and not torch.isclose(env.final_observations(step)[done], step.observations[done]).all(-1).any()


def test_a_copy_captures_graphs_of_its_own(env):
    for _ in range(3):
        env.step(actions(env))
    other = copy.deepcopy(env)
    for _ in range(6):
        one, two = env.step(actions(env)), other.step(actions(other))
        assert torch.allclose(one.observations, two.observations, atol=1e-2)
    other.close()
    env.step(actions(env))


def test_nan_ends_its_own_episode_and_other_mistakes_are_refused(env):
    broken = actions(env)
    broken[3] = float("nan")
    step = env.step(broken)
    assert step.episode.cause[3] == CAUSES.index("value_error") and step.observations.isfinite().all()
    assert not (step.episode.cause[:3] == CAUSES.index("value_error")).any()
    with pytest.raises(UserError, match="not float32 on cpu"):
        env.step(actions(env).cpu())


def test_the_vector_environment_gives_what_the_environment_gives(env):
    pytest.importorskip("gymnasium", "1.1")
    from mapush_stack.envs.gymnasium import PushVectorEnv

    vector = PushVectorEnv(env, per_robot=True)
    seen, _ = vector.reset(seed=0)
    assert seen.shape == (2 * env.num_envs, env.spec.observation_size)
    for _ in range(5):
        seen, _, terminated, truncated, infos = vector.step(actions(env).view(-1, 3).cpu().numpy())
    row = int((terminated | truncated).nonzero()[0][0])
    assert not (infos["final_obs"][row] == seen[row]).all()


def test_a_dropped_graph_does_not_spoil_the_capture_of_another():
    """In a reference cycle it is destroyed when the garbage collector runs, which may be at any moment."""
    device = torch.device("cuda")

    def increased(number):
        if torch.cuda.is_current_stream_capturing():
            gc.collect()
        return number + 1

    gc.disable()
    try:
        number = torch.zeros(4, device=device)
        new, old = Replay(increased, device), Replay(increased, device)
        new(number)
        cycle = [old, old(number), old(number)]
        cycle.append(cycle)
        del cycle, old
        assert (new(number) == 1).all()
    finally:
        gc.enable()


def test_no_graph_overwrites_what_another_one_returned():
    device, one = torch.device("cuda"), torch.ones((), device="cuda")
    scribbles = Replay(lambda number: (torch.full((1 << 22,), 7.0, device=device) * number).sum(), device)
    returns = Replay(lambda number: number.expand(1 << 22) + 2, device)
    for _ in range(2):
        scribbles(one)
        returns(one)
    kept = returns(one)
    scribbles(one)
    assert (kept == 3).all()


def test_the_planar_kernel_does_on_a_gpu_what_it_does_on_a_cpu():
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    paths = []
    for device in ("cuda", "cpu"):
        changes = ["sim.backend=warp", f"sim.device={device}", "sim.planar.fused=true", "sim.num_envs=64"]
        env = api.make_env(small_config(*changes))
        env.reset()
        assert type(env.simulator.engine).__name__ == "PlanarEngine"
        # On a GPU neighbouring worlds lie side by side, else every read of a warp is 32 reads.
        assert env.simulator.engine._table.is_contiguous() == (device == "cuda")
        steps = [env.step(actions(env, 0.5)).path.robot_pos.cpu().clone() for _ in range(4)]
        paths.append(torch.cat(steps))
        env.close()
    assert torch.allclose(*paths, atol=1e-3)
