"""HARL's own `examples/train.py` on MAPush's own environment, and the eight bugs of such wrappers, one by one."""

import re

import pytest

from mapush_stack.harness.triage.rules import RULES
from tests.cli import runner

from .conftest import gym

PROGRAM = runner.ROOT / "examples" / "harl_mapush.py"


@pytest.fixture
def train(mapush, harl, tmp_path):
    """Trains for two rollouts of ten steps with lines of the wrapper replaced; returns what is printed."""

    def run(*changes, code=0, num_envs=2):
        text = PROGRAM.read_text()
        for fixed, unfixed in changes:
            assert text.count(fixed) == 1, fixed
            text = text.replace(fixed, unfixed)
        (tmp_path / "program.py").write_text(text)
        words = ["--algo", "happo", "--n_rollout_threads", num_envs, "--num_env_steps", 20 * num_envs]
        words += [
            "--episode_length",
            10,
            "--log_interval",
            1,
            "--eval_interval",
            1,
            "--torch_threads",
            1,
            "--log_dir",
            tmp_path / "results",
        ]
        sources = {"HARL_SRC": str(harl), "MAPUSH_SRC": str(mapush)}
        return gym(tmp_path / "program.py", *words, cwd=tmp_path, code=code, **sources)

    return run


def test_happo_trains(train, tmp_path):
    out = train()
    assert "Env mapush Task go1push_mid Algo happo Exp mapush updates 2/2 episodes" in out
    (run,) = tmp_path.glob("results/mapush/go1push_mid/happo/mapush/seed-00001-*")
    assert (run / "models" / "actor_agent1.pt").is_file() and list(run.glob("logs/events*"))


def test_1_contact_pairs_are_multiplied_by_five_as_published(train):
    said = "print('pairs', self.env.sim_params.physx.max_gpu_contact_pairs / 2**23)"
    out = train(("self.n_agents, size =", f"{said}; self.n_agents, size ="))
    assert "pairs 5.0" in out  # without effect over MuJoCo: the run says so
    assert "PhysXParams.max_gpu_contact_pairs (" in out


def test_2_statistics_grow_unless_they_are_emptied(train):
    look = ("late = self.env", "print('count', self.env.reward_buffer['step_count']); late = self.env")
    limit = (">= 1000:", ">= 5:")
    counts = [int(one) for one in re.findall(r"count (\d+)", train(look, limit))]
    assert max(counts) < 5 and len(counts) == 20
    out = train(look, (" >= 1000:", " >= 1e18:"))
    assert re.findall(r"count (\d+)", out)[-1] == "20"


def test_3_without_custom_cfg_mapush_records_a_video(train):
    look = ("self.n_agents, size =", "print('video', self.env.cfg.env.record_video); self.n_agents, size =")
    assert "video False" in train(look)
    out = train(look, (", custom_cfg(arguments))", ")"), code=(0, 1))
    assert "video True" in out or "gym.create_camera_sensor is not supported" in out


@pytest.mark.parametrize(
    ("fixed", "unfixed", "said"),
    [
        ("(TASK, arguments, custom", "(TASK, vars(arguments), custom", "'dict' object has no attribute"),
        ("_tensor(actions, dtype", "_tensor(actions.transpose(1, 0, 2), dtype", "must match the size"),
        ('[[{"bad_transition": one} for _ in range(self.n_agents)] for', "[{} for", "infos-key-0"),
        ("return [None] * self.env.num_envs", "return None", "available-actions-none"),
        ("return TASK\n\n    LOGGER", "return self.env.task\n\n    LOGGER", "object has no attribute 'env'"),
        ("configs_tools.get_task_name =", "_ =", "harl-unknown-env"),
    ],
    ids=[
        "3 a dictionary",
        "4 transposed",
        "5 no infos by agent",
        "6 no list of masks",
        "7 asks the logger",
        "8 no task",
    ],
)
def test_the_unfixed_line_fails(train, fixed, unfixed, said, tmp_path):
    out = train((fixed, unfixed), code=1, num_envs=3)
    if said not in RULES:
        assert said in out.splitlines()[-1]
        return
    (tmp_path / "log.txt").write_text(out)
    triage, _ = runner.mapush("triage", tmp_path / "log.txt", "--json", code=(0, 1, 3))
    assert said in triage
