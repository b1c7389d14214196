"""MuJoCo Warp on its CPU device beside MuJoCo; skipped where it is not installed."""

import importlib
from types import SimpleNamespace

import pytest
import torch

from mapush_stack.sim import gpu
from mapush_stack.sim.warp import WarpEngine
from mapush_stack.task.resets import draw_start
from tests.conftest import small_config

pytestmark = pytest.mark.usefixtures("mujoco")


@pytest.fixture(scope="module", autouse=True)
def warp():
    return pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")


def simulator(robot, backend, size=4, device="cpu"):
    from mapush_stack.envs.factory import make_simulator

    changes = [f"sim.robot={robot}", f"sim.backend={backend}", f"sim.device={device}", f"sim.num_envs={size}"]
    config = small_config(*changes)
    return config, make_simulator(config.sim, config.object.body, [robot] * 2, torch.linspace(0.4, 0.7, size), 0)


def apart(config, size):
    """A start with the robots away from the box and from each other."""
    ids = torch.arange(size)
    state = draw_start(config.task, config.object.task, 0, ids, torch.zeros_like(ids)).state
    pos = state.robot_pos.clone()
    pos[..., :2] = torch.tensor([[-5.0, 0.0], [5.0, 0.0]])
    return ids, state._replace(robot_pos=pos)


@pytest.mark.parametrize("robot, tolerance", [("planar", 2e-5), ("go1", 5e-3)])
def test_both_engines_give_the_same_trajectories(robot, tolerance):
    paths = []
    for backend in ("mujoco", "warp"):
        config, sim = simulator(robot, backend)
        sim.reset(*apart(config, 4))
        if isinstance(sim.engine, WarpEngine):
            before = sim.engine.read()
            sim.engine._compile()  # as on a GPU: it launches nothing
            assert all(map(torch.equal, before, sim.engine.read()))
            assert importlib.import_module("warp").get_module("mujoco_warp._src.forward").execs
        paths.append(sim.step(torch.tensor([0.3, 0.1, 0.2]).expand(4, 2, 3), 50))
    mujoco, warp = paths
    assert warp.healthy.all()
    assert torch.allclose(mujoco.robot_pos, warp.robot_pos, atol=tolerance)
    assert torch.allclose(mujoco.object_pos, warp.object_pos, atol=1e-3)


def test_a_kernel_that_is_only_asked_about_is_loaded_at_once():
    """As `get_suggested_block_size` does on a GPU, with no block; what is launched is loaded afterwards."""
    loaded = []

    class Module:
        def load(self, device, block_dim=None):
            loaded.append(block_dim)
            return self

    module = Module()

    def work():
        assert module.load("cuda") is module and module.load("cuda", 64) is None and loaded == [None]

    gpu.compile_together(SimpleNamespace(Module=Module), work)
    assert loaded == [None, 64] and module.load("cuda", 32) is module


def test_a_reset_leaves_other_environments_alone():
    config, sim = simulator("planar", "warp")
    ids, start = apart(config, 4)
    sim.reset(ids, start)
    before = sim.step(torch.tensor([0.3, 0.0, 0.0]).expand(4, 2, 3), 5).at(-1)
    sim.reset(torch.tensor([1, 3]), start.at(torch.tensor([1, 3])))
    after = sim.state()
    assert torch.equal(after.robot_pos[[0, 2]], before.robot_pos[[0, 2]])
    assert not torch.equal(after.robot_pos[[1, 3]], before.robot_pos[[1, 3]])


def test_a_saved_simulation_goes_on():
    config, one = simulator("planar", "warp")
    one.reset(*apart(config, 4))
    command = torch.tensor([0.3, 0.0, 0.2]).expand(4, 2, 3)
    one.step(command, 10)
    saved = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    path = one.step(command, 10)
    _, other = simulator("planar", "warp")
    other.load_state_dict(saved)
    assert torch.equal(path.robot_pos, other.step(command, 10).robot_pos)


def test_a_full_contact_buffer_is_reported():
    from mapush_stack.sim import scene
    from mapush_stack.sim.scene_simulator import SceneSimulator
    from mapush_stack.sim.team import Team

    config, _ = simulator("planar", "warp")
    team = Team(config.sim, ["planar"] * 2, 0, torch.device("cpu"))
    spec = scene.build(config.object.body, team)
    engine = WarpEngine(spec, 4, torch.device("cpu"), contacts=1, fields=("geom_friction",))
    sim = SceneSimulator(engine, team, torch.full((4,), 0.5))
    sim.reset(*apart(config, 4))
    assert sim.overflows() == 0
    assert not sim.step(torch.zeros(4, 2, 3), 20).healthy.all()
    assert sim.overflows() > 0
