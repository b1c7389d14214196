"""legged_gym's own training with rsl_rl 1.0.2, unedited, over MuJoCo: on a plane and on its rough terrain."""

import re
from pathlib import Path

import pytest

from .conftest import gym


@pytest.mark.parametrize("task", ["anymal_c_flat", "a1"])
def test_it_trains_saves_and_goes_on(legged_gym, task):
    words = ["legged_gym/scripts/train.py", "--task", task, "--headless", "--num_envs", 16, "--run_name", "test"]
    out = gym(*words, "--max_iterations", 2, cwd=legged_gym[0], path=legged_gym)
    losses = re.findall(r"Value function loss: (\S+)", out)
    assert len(losses) == 2 and "nan" not in losses
    (saved,) = Path(legged_gym[0], "logs").glob(f"*{task.split('_')[0]}*/*_test/model_2.pt")
    out = gym(*words, "--resume", "--max_iterations", 1, cwd=legged_gym[0], path=legged_gym)
    assert f"Loading model from: {saved}" in out and "Learning iteration 2/3" in out
