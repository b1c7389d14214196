"""Training the walking policy: with rsl_rl's PPO, or as another learner does.

Rudin et al., "Learning to walk in minutes using massively parallel deep reinforcement learning", CoRL 2022.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Protocol, Tuple

import torch
from torch import Tensor

from ..errors import FaultError, UserError, refuse
from ..locomotion import policy
from ..locomotion.gait import CONTROL_DT, NUM_JOINTS, View
from ..system.atomic import errors_name, scratch_directory, write_json
from ..system.signals import StopRequest
from ..training.manifest import manifest
from .env import EPISODE_STEPS, WalkingEnv, WalkingStepResult

HIDDEN, BLIND_HIDDEN, CRITIC_HIDDEN = [256, 128, 64], [384, 192, 96], [512, 256, 128]
"""Widths of the layers: of an actor that is told its velocity, of one that is not, and of the critic."""
STEPS_PER_ITERATION = 24


def ppo_config(view: View) -> Dict[str, Any]:
    """The settings of rsl_rl: those of its quadruped examples, with a smaller actor, which sees `view`."""

    def network(hidden: List[int], **more: Any) -> Dict[str, Any]:
        return {"class_name": "MLPModel", "hidden_dims": hidden, "activation": "elu", **more}

    noise = {"class_name": "GaussianDistribution", "init_std": 1.0, "std_type": "log", "std_range": (0.05, 2.0)}
    return {
        "num_steps_per_env": STEPS_PER_ITERATION,
        "save_interval": 10**9,
        "check_for_nan": False,
        "obs_groups": {"actor": ["policy"], "critic": ["policy", "privileged"]},
        "actor": network(HIDDEN if view.linear_velocity else BLIND_HIDDEN, distribution_cfg=noise),
        "critic": network(CRITIC_HIDDEN),
        "algorithm": {
            "class_name": "PPO",
            "num_learning_epochs": 5,
            "num_mini_batches": 4,
            "clip_param": 0.2,
            "gamma": 0.99,
            "lam": 0.95,
            "value_loss_coef": 1.0,
            "entropy_coef": 0.004,
            "learning_rate": 1e-3,
            "max_grad_norm": 1.0,
            "schedule": "adaptive",
            "desired_kl": 0.01,
        },
    }


class StopTrainingError(Exception):
    """A signal asked the training to stop."""


class Progress:
    """What an iteration comes to, of every iteration."""

    def __init__(self, report: Callable[[int, Dict[str, float]], None], stop: StopRequest) -> None:
        """`report` is called after every iteration with its number and its means; `stop` ends the training then."""
        self._report, self._stop = report, stop
        self.curve: List[Dict[str, float]] = []
        """Means of every iteration so far."""
        self._sums: Dict[str, Tensor] = {}
        self._steps = 0

    def add(self, env: WalkingEnv, result: WalkingStepResult) -> Dict[str, Tensor]:
        """Note what a control step led to; returns its means over the walkers.

        Raises:
            FaultError: a mean of the iteration is not finite.

        """
        log = {**result.log, **env.tracking(), "/tracking/reward": result.rewards.mean() / CONTROL_DT}
        for name, value in log.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value / STEPS_PER_ITERATION
        self._steps += 1
        if self._steps % STEPS_PER_ITERATION == 0:
            self.curve.append({name.lstrip("/"): round(float(value), 5) for name, value in self._sums.items()})
            _check_finite(self.curve[-1], len(self.curve))
            self._sums = {}
            self._report(len(self.curve), self.curve[-1])
            if self._stop.signal_number:
                raise StopTrainingError
        return log


class RslRlEnv:
    """`WalkingEnv` as rsl_rl's `VecEnv`: a walker is one of its environments."""

    num_actions = NUM_JOINTS
    max_episode_length = EPISODE_STEPS

    def __init__(self, env: WalkingEnv, progress: Progress) -> None:
        """`progress` notes every step."""
        self._env, self._progress = env, progress
        self.num_envs, self.device = env.num_walkers, env.device
        self.cfg: Dict[str, Any] = {}

    @property
    def episode_length_buf(self) -> Tensor:
        """Ages of the walkers' episodes, control steps."""
        return self._env.ages.repeat_interleave(self._env.num_robots)

    @episode_length_buf.setter
    def episode_length_buf(self, ages: Tensor) -> None:
        self._env.ages = ages[:: self._env.num_robots].clone()

    def get_observations(self) -> Any:
        """What actor and critic see."""
        return self._given(self._env.observe())

    def _given(self, observations: Tensor) -> Any:
        from tensordict import TensorDict

        seen = {"policy": observations, "privileged": self._env.privileged()}
        return TensorDict(seen, batch_size=[self.num_envs], device=self.device)

    def step(self, actions: Tensor) -> Tuple[Any, Tensor, Tensor, Dict[str, Any]]:
        """One control step of every walker."""
        result = self._env.step(actions)
        log = self._progress.add(self._env, result)
        extras = {"time_outs": result.timed_out, "log": log}
        return self._given(result.observations), result.rewards, result.done.long(), extras


def weights_file(folder: Path, robot: str, view: View) -> Path:
    """The file that a training writes into a folder; the record has its name and `.json`."""
    return folder / policy.shipped(robot, "shipped" if view.linear_velocity else "blind").name


class Learner(Protocol):
    """A way to learn to walk."""

    settings: Dict[str, Any]
    """What the record says of it."""

    def learn(self, iterations: int, progress: Progress) -> policy.WalkingPolicy:
        """Learn for so many iterations, or until `progress` raises `StopTrainingError`."""


class Ppo:
    """rsl_rl's PPO."""

    def __init__(self, env: WalkingEnv) -> None:
        """A learner of `env`.

        Raises:
            UserError: rsl_rl is not installed.

        """
        try:
            from rsl_rl.runners import OnPolicyRunner
        except ImportError as error:
            raise UserError(
                f"training the walking policy needs the package {error.name}: pip install 'mapush_stack[walk]'"
            ) from None
        self._env, self._runner, self.settings = env, OnPolicyRunner, {"ppo": ppo_config(env.view)}

    def learn(self, iterations: int, progress: Progress) -> policy.WalkingPolicy:
        """See `Learner`."""
        env = self._env
        settings = json.loads(json.dumps({"class_name": "OnPolicyRunner", **ppo_config(env.view)}))
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its networks
            runner = self._runner(RslRlEnv(env, progress), settings, log_dir=None, device=str(env.device))
        with contextlib.suppress(StopTrainingError):
            runner.learn(iterations, init_at_random_ep_len=True)
        return exported(runner.alg.get_policy().mlp, env.view)


def train(
    env: WalkingEnv,
    learner: Learner,
    folder: Path,
    robot: str,
    iterations: int,
    seed: int,
    command: List[str],
    report: Callable[[int, Dict[str, float]], None],
) -> Tuple[Path, Path, int]:
    """Train for so many iterations; returns the policy's file, the record of how it was made, and the exit code.

    Ctrl-C, SIGTERM or a lost terminal ends the training early, and what it has learned is written. `report` is called
    after every iteration with its number and its means.

    Raises:
        UserError: the folder cannot be written.
        FaultError: the training diverged; nothing is written.
        OSError: the disk is full or fails.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse(error, f"nothing can be written to {folder}")
    torch.manual_seed(seed)
    begun, stop = time.monotonic(), StopRequest()
    progress = Progress(report, stop)
    with stop:
        walker = learner.learn(iterations, progress)
    iterations, seconds = len(progress.curve), time.monotonic() - begun
    weights = weights_file(folder, robot, env.view)
    _check_finite({name: float(value.sum()) for name, value in walker.state_dict().items()}, iterations)
    with errors_name(weights), scratch_directory(folder) as scratch:
        policy.save(walker, scratch / weights.name)
        (scratch / weights.name).replace(weights)
    record = weights.with_suffix(".json")
    steps = iterations * STEPS_PER_ITERATION * env.num_walkers
    write_json(
        record,
        {
            "robot": robot,
            "weights": weights.name,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "seed": seed,
            "iterations": iterations,
            "walkers": env.num_walkers,
            "walker_steps": steps,
            "seconds": round(seconds, 1),
            "view": env.view._asdict(),
            **learner.settings,
            "manifest": manifest(command),
            "curve": progress.curve[:: max(len(progress.curve) // 80, 1)],
        },
    )
    return weights, record, stop.exit_code


def _check_finite(numbers: Dict[str, float], iteration: int) -> None:
    """Raise an error for the first number that is not finite.

    Raises:
        FaultError: its name and the iteration.

    """
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise FaultError(
                f"{name} is {value} at iteration {iteration}, and nothing was saved: train with another --seed, or "
                "other settings"
            )


def exported(network: torch.nn.Module, view: View) -> policy.WalkingPolicy:
    """rsl_rl's actor network as a walking policy that sees `view`."""
    linears = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    walker = policy.WalkingPolicy([layer.out_features for layer in linears[:-1]], view)
    own = [layer for layer in walker.net if isinstance(layer, torch.nn.Linear)]
    for mine, theirs in zip(own, linears):
        mine.load_state_dict(theirs.state_dict())
    return walker
