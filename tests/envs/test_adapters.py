"""Short trainings by other libraries' learners; `nox -s adapters` has the libraries."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import kinematic_env, small_config

SHORT = "task.episode_seconds=1"


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def parallel_env(*overrides):
    from mapush_stack.envs.pettingzoo import parallel_env

    config = small_config(*overrides)
    return parallel_env(config.task, config.object, config.sim, seed=3)


def learned(before, after):
    """Whether weights have changed, all of them to finite numbers."""
    finite = all(bool(weight.isfinite().all()) for weight in after)
    return finite and any(not torch.equal(one, two) for one, two in zip(before, after))


def test_stable_baselines3_trains_on_the_pettingzoo_environment_by_supersuit(mujoco):
    supersuit, sb3 = pytest.importorskip("supersuit"), pytest.importorskip("stable_baselines3")
    rows = supersuit.pettingzoo_env_to_vec_env_v1(parallel_env(SHORT))
    env = supersuit.concat_vec_envs_v1(rows, 3, base_class="stable_baselines3")  # PPO(seed=...) fails with it
    # SuperSuit copies the environment; seeds tell the copies apart.
    seen, _ = env.venv.reset(seed=1)
    assert seen.shape == (6, 22) and len({row.tobytes() for row in seen}) == 6
    model = sb3.PPO("MlpPolicy", env, n_steps=40, batch_size=80, n_epochs=2, device="cpu")
    before = [weight.detach().clone() for weight in model.policy.parameters()]
    model.learn(960)
    assert model.num_timesteps == 960 and learned(before, list(model.policy.parameters()))
    action, _ = model.predict(env.reset(), deterministic=True)
    assert action.shape == (6, 3) and np.isfinite(action).all()
    env.close()


def test_torchrl_trains_on_the_pettingzoo_environment(mujoco):
    pytest.importorskip("torchrl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensordict.nn import TensorDictModule
        from torchrl.collectors import Collector
        from torchrl.envs import PettingZooWrapper, check_env_specs
        from torchrl.modules import MultiAgentMLP, NormalParamExtractor, ProbabilisticActor, TanhNormal
        from torchrl.objectives import ClipPPOLoss

        env = PettingZooWrapper(parallel_env(SHORT), use_mask=False)
        check_env_specs(env)
        torch.manual_seed(0)

        def network(outputs):
            return MultiAgentMLP(22, outputs, n_agents=2, centralized=False, share_params=True, depth=1, num_cells=32)

        seen, params = ("robot", "observation"), [("robot", "loc"), ("robot", "scale")]
        actor = ProbabilisticActor(
            TensorDictModule(torch.nn.Sequential(network(6), NormalParamExtractor()), [seen], params),
            spec=env.full_action_spec,
            in_keys=params,
            out_keys=[env.action_key],
            distribution_class=TanhNormal,
            return_log_prob=True,
        )
        critic = TensorDictModule(network(1), [seen], [("robot", "state_value")])
        loss = ClipPPOLoss(actor, critic)
        loss.set_keys(
            reward=env.reward_key,
            action=env.action_key,
            value=("robot", "state_value"),
            done=("robot", "done"),
            terminated=("robot", "terminated"),
        )
        loss.make_value_estimator(gamma=0.99, lmbda=0.95)
        optimizer = torch.optim.Adam(loss.parameters(), 1e-3)
        before = [weight.detach().clone() for weight in actor.parameters()]
        ends = 0
        for batch in Collector(env, actor, frames_per_batch=30, total_frames=90):
            ends += int(batch["next", "done"].sum())
            losses = loss(batch)
            sum(losses[name] for name in ("loss_objective", "loss_critic", "loss_entropy")).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert ends >= 3 and learned(before, list(actor.parameters()))


def test_torchrl_sees_the_end_of_an_episode_of_the_vector_environment():
    pytest.importorskip("torchrl")
    from torchrl.envs import GymWrapper

    from mapush_stack.envs.gymnasium import PushVectorEnv

    given = []

    class Recorded(PushVectorEnv):
        def step(self, actions):
            given.append(super().step(actions))
            return given[-1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = GymWrapper(Recorded(kinematic_env(small_config(SHORT))))
        given.clear()
        rollout = env.rollout(12, break_when_any_done=False)
    for number, (observations, _, terminated, truncated, infos) in enumerate(given):
        ended = terminated | truncated
        following = rollout["next", "observation"][:, number].numpy()
        assert np.array_equal(following[~ended], observations[~ended])
        for row in ended.nonzero()[0]:
            assert np.array_equal(following[row], infos["final_obs"][row])
    assert len(given) == 12 and rollout["next", "truncated"].any()


def test_the_code_in_the_documentation_runs(mujoco, tmp_path):
    pytest.importorskip("supersuit")
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(block.replace("1_000_000", "16").replace('device="cpu"', 'device="cpu", n_steps=2, batch_size=16'), {})
