"""The lab's own training, HAPPO in Isaac Gym, ends as it should; needs the real Isaac Gym and a GPU that it runs on."""

import importlib.util
import os
import subprocess
import sys

import pytest

from mapush_stack.training import checkpoint
from tests.cli.runner import environment, mapush, the_run
from tests.system.test_exit_training import events, scalars


@pytest.fixture(scope="module", autouse=True)
def isaacgym():
    program = "import isaacgym, torch; assert torch.cuda.is_available(), 'torch sees no NVIDIA GPU'"
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        pytest.skip(f"isaacgym cannot be imported and used here: {why}")
    if not os.environ.get("MAPUSH_SRC"):
        pytest.skip("MAPUSH_SRC does not name a MAPush source tree")


@pytest.mark.parametrize("learner", ["native", "harl"])
def test_a_training_in_isaac_gym_ends_with_0_and_whole_files(tmp_path, learner):
    if learner == "harl" and not os.environ.get("HARL_SRC") and importlib.util.find_spec("harl") is None:
        pytest.skip("HARL is not here: HARL_SRC does not name its source tree")
    options = ["--learner", learner, "--algo", "happo", "--backend", "isaacgym", "--robot", "go1", "--steps", "20000"]
    out, err = mapush("train", *options, "--results", tmp_path, "sim.num_envs=100", "training.rollout_length=10")
    assert "trained at" in out and "Segmentation fault" not in err
    run = the_run(tmp_path)
    steps, last = checkpoint.all_in(run / "models")[-1]
    assert steps >= 20000 and checkpoint.load(last).steps == steps
    events(run)
    assert scalars(run)["critic/value_loss"] == steps
