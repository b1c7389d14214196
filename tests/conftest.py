"""Fixtures for all tests."""

import importlib.util
import os
import signal

# Before torch is imported: threads that spin make two-core machines crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest

# pytest-xdist's workers have a COLUMNS of their own, which would make tables narrow.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# A shell that starts the tests in the background has them ignore Ctrl-C (nohup: a lost terminal), and so every process
# that they start.
for _signal, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)

SMALL = [
    "sim.backend=mujoco",
    "sim.num_envs=8",
    "sim.threads=1",
    "training.rollout_length=4",
    "training.torch_threads=1",
    "training.total_steps=480",
    "training.checkpoint_interval=160",
    "learner.policy.network.hidden=[16]",
    "learner.critic.hidden=[16]",
    "learner.actor_minibatches=2",
    "learner.critic_minibatches=2",
    "evaluation.episodes=4",
]
"""Overrides that make a run of three updates of 160 steps."""

STARTED = []
"""Processes of tests.cli.runner.start."""


# torch is imported inside of functions: pytest-xdist's first process runs no test, and the others wait for it.
@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test():
    before = len(STARTED)
    yield
    for process in STARTED[before:]:
        process.kill()
        process.wait()
    del STARTED[before:]


def small_config(*overrides, preset="default", object_name=""):
    """A configuration of three quick updates."""
    from mapush_stack.training import config as configuration

    return configuration.load(preset, object_name, [*SMALL, *overrides])


def kinematic_env(config, seed=0, **options):
    """The environment of a configuration over the torch-only simulator; `options` of `PushEnv`."""
    from mapush_stack.envs.push_env import PushEnv
    from tests.kinematic import KinematicSimulator

    simulator = KinematicSimulator(config.sim.num_envs, config.object.task.num_robots)
    return PushEnv(config.task, config.object.task, simulator, seed, **options)


def outcome(step):
    """The tensors of a step: what the learner gets, and the results of episodes."""
    import torch

    return [value for value in vars(step).values() if isinstance(value, torch.Tensor)] + list(step.episode)


@pytest.fixture
def config():
    return small_config()


@pytest.fixture(scope="session")
def mujoco():
    """MuJoCo where it is installed; the test is skipped where it is not (Python 3.8)."""
    return pytest.importorskip("mujoco.batch", reason="MuJoCo 4 is not installed")


@pytest.fixture
def harl():
    """HARL's runners where HARL is; the test is skipped where it is not."""
    from mapush_stack.learning.harl import library

    if not os.environ.get("HARL_SRC") and importlib.util.find_spec("harl") is None:
        pytest.skip("HARL is not here: run nox -s harl, or set HARL_SRC to its source tree")
    pytest.importorskip("setproctitle", reason="HARL's packages are not here: run nox -s harl")
    return library.find()
