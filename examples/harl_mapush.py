"""HARL's own `examples/train.py` trains on MAPush's own environment; no file of either is edited.

    export HARL_SRC=... MAPUSH_SRC=...        # their source trees
    mapush gym run -- python examples/harl_mapush.py --algo happo --n_rollout_threads 200 --num_env_steps 2000000

Every option is HARL's. It runs on NVIDIA's Isaac Gym too, without `mapush gym run`. The numbers in the comments are
those of docs/isaacgym.md, "Eight bugs": what such wrappers get wrong.
"""

import isaacgym  # noqa: F401, I001  # before torch, as NVIDIA's wants it

import argparse
import json
import os
import runpy
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

HARL, MAPUSH = (str(Path(os.environ[name]).resolve()) for name in ("HARL_SRC", "MAPUSH_SRC"))
TASK = "go1push_mid"


class MAPushEnv:
    """All environments in one, as HARL's runners call it: N environments, A robots, NumPy in and out."""

    def __init__(self, num_envs: int, seed: int) -> None:
        """Make MAPush's environment; there can be one in a process."""
        from gym.spaces import Box
        from isaacgym import gymapi
        from mqe.envs.utils import custom_cfg, make_mqe_env

        device = "cuda:0" if torch.cuda.is_available() else "cpu"
        on_gpu = device != "cpu"
        arguments = argparse.Namespace(  # 3: MAPush reads attributes, and vars() of it
            task=TASK, num_envs=num_envs, seed=seed, headless=True, record_video=False, sim_device=device,
            physics_engine=gymapi.SIM_PHYSX, use_gpu=on_gpu, use_gpu_pipeline=on_gpu, num_threads=0, subscenes=0,
        )  # fmt: skip
        self.env, _ = make_mqe_env(TASK, arguments, custom_cfg(arguments))  # 3: without it num_envs has no effect
        self.n_agents, size = self.env.num_agents, self.env.observation_space.shape[0]
        self.observation_space = [Box(-np.inf, np.inf, (size,))] * self.n_agents
        self.share_observation_space = [Box(-np.inf, np.inf, (size * self.n_agents,))] * self.n_agents
        self.action_space = [Box(-1.0, 1.0, (3,))] * self.n_agents

    def reset(self):
        """Observations `[N, A, D]`, states `[N, A, S]`, no action masks."""
        return *self._seen(self.env.reset()), self._masks()

    def step(self, actions):
        """Hold actions `[N, A, 3]` for one step; returns the six things that HARL's runners collect."""
        actions = torch.as_tensor(actions, dtype=torch.float32, device=self.env.device)  # 4: as they are, [N, A, 3]
        observations, rewards, ended, _ = self.env.step(actions)
        if self.env.reward_buffer["step_count"] >= 1000:  # 2: MAPush adds up for ever
            self.env.reward_buffer.update(dict.fromkeys(self.env.reward_buffer, 0))
        late = self.env.time_out_buf.tolist()
        infos = [[{"bad_transition": one} for _ in range(self.n_agents)] for one in late]  # 5: by environment and agent
        rewards = rewards.mean(-1, keepdim=True).repeat(1, self.n_agents).unsqueeze(-1)
        dones = ended.bool().unsqueeze(-1).repeat(1, self.n_agents)
        return *self._seen(observations), rewards.cpu().numpy(), dones.cpu().numpy(), infos, self._masks()

    def close(self):
        """MAPush's task has no close."""

    def _seen(self, observations):
        observations = observations.float()
        state = observations.flatten(1).unsqueeze(1).repeat(1, self.n_agents, 1)
        return observations.cpu().numpy(), state.cpu().numpy()

    def _masks(self):
        return [None] * self.env.num_envs  # 6: one for each environment, not one None


def put_into_harl() -> None:
    """Make `mapush` one of HARL's environments, in this process."""
    from harl.common.base_logger import BaseLogger
    from harl.envs import LOGGER_REGISTRY
    from harl.runners import on_policy_base_runner as runner
    from harl.utils import configs_tools

    class Logger(BaseLogger):
        def get_task_name(self):  # 7: the task's name alone; there is no environment to ask yet
            return TASK

    LOGGER_REGISTRY["mapush"] = Logger
    configs_tools.get_task_name = lambda env, env_args: TASK  # 8: HARL knows its own environments' names only
    runner.make_train_env = lambda env, seed, count, env_args: MAPushEnv(count, seed)
    runner.get_num_agents = lambda env, env_args, envs: envs.n_agents


def main() -> None:
    """Write what HARL's `--env mapush` would read, and run its program with it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--algo", default="happo")
    parser.add_argument("--exp_name", default="mapush")
    parser.add_argument("--log_dir", default="results")
    known, others = parser.parse_known_args()
    # 1: MAPush asks PhysX for 5 times its room for contact pairs: `mapush patches apply contact-pairs` (on NVIDIA's).
    sys.path[:0] = [HARL, MAPUSH]
    from harl.utils.configs_tools import get_defaults_yaml_args

    put_into_harl()
    algo_args, _ = get_defaults_yaml_args(known.algo, "gym")
    algo_args["eval"]["use_eval"] = False  # one simulation in a process
    algo_args["logger"]["log_dir"] = str(Path(known.log_dir).resolve())
    config = {
        "main_args": {"algo": known.algo, "env": "mapush"},
        "algo_args": algo_args,
        "env_args": {"state_type": "EP"},
    }
    os.chdir(MAPUSH)  # which names its files from there
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        program = str(Path(HARL, "examples", "train.py"))
        sys.argv = [program, "--load_config", file.name, "--exp_name", known.exp_name, *others]
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
