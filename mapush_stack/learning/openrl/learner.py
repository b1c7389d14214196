"""A learner that lets OpenRL's driver collect rollouts and learn from them, as its own loop does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor

from ...device.state import check_finite
from ...system.tensor_file import check_state
from ..contract import Metrics, TrainingPlan
from ..libraries import LibraryLearner, not_finite, scalar
from ..vec_env import TeamEnv
from .env import OpenRLVecEnv
from .library import import_openrl

_NORMALIZER = ("running_mean", "running_mean_sq", "debiasing_term")
_CARRIED = ("policy_obs", "critic_obs", "masks", "active_masks", "bad_masks")
"""What OpenRL's buffer carries from the end of a rollout to the start of the next one."""
_TAGS = {
    "policy_loss": "agent0/policy_loss",
    "dist_entropy": "agent0/dist_entropy",
    "actor_grad_norm": "agent0/actor_grad_norm",
    "ratio": "agent0/ratio",
    "value_loss": "critic/value_loss",
    "critic_grad_norm": "critic/critic_grad_norm",
}
"""TensorBoard's tags for OpenRL's metrics of an update."""


class OpenRLLearner(LibraryLearner):
    """OpenRL's PPONet and PPOAgent over a team's environment, and what a checkpoint has to hold of them."""

    generator = "torch"

    def __init__(self, settings: Dict[str, Any], plan: TrainingPlan, env: TeamEnv) -> None:
        """With OpenRL's settings, as `arguments.settings` gives them. Seeds torch's generator, as OpenRL does.

        Raises:
            UserError: OpenRL is missing, of another version, or cannot be imported.

        """
        create_config_parser, PPONet, PPOAgent, Driver = import_openrl()  # noqa: N806 - OpenRL's names
        config = create_config_parser().parse_args([])
        for name, value in settings.items():
            setattr(config, name, value)
        self.plan, self.env = plan, env
        env.reset()  # OpenRL looks at it when it makes its networks
        net = PPONet(OpenRLVecEnv(env), cfg=config, device=env.device, n_rollout_threads=env.num_envs)
        self.agent = PPOAgent(net)
        self._module = net.module
        made: List[Any] = []
        # The driver, with OpenRL's trainer and buffer, that `PPOAgent.train` makes; it is kept and does not run.
        idle = type("IdleDriver", (Driver,), {"run": lambda driver: made.append(driver)})
        # Without any logger OpenRL would take over the process's logging. Only its own loop logs.
        self.agent.train(plan.total_steps, driver_class=idle, logger=object())
        self._driver = made[-1]
        self._driver.episodes = plan.updates  # its linear schedule ends there

    def begin(self) -> None:
        """See `Learner.begin`."""
        self._driver.reset_and_buffer_init()

    def collect(self) -> None:
        """See `Learner.collect`."""
        self._driver.actor_rollout()

    def update(self, steps: int, progress: float) -> Metrics:
        """See `Learner.update`."""
        if not_finite(self._driver.buffer.data.rewards):
            return {}
        self._driver.episode = steps // self.plan.steps_per_update
        learned = self._driver.learner_update()
        self._driver.buffer.after_update()
        return {_TAGS[name]: scalar(value, self.env.device) for name, value in learned.items()}

    def add_files(self, folder: Path) -> None:
        """Write OpenRL's own `module.pt`."""
        self.agent.save(folder)

    def model_state(self) -> Dict[str, Tensor]:
        """See `Learner.model_state`; the names are OpenRL's."""
        state = {
            f"{name}.{key}": value for name, model in self._module.models.items() for key, value in _weights(model)
        }
        state.update({f"value_norm.{name}": value for name, value in self._normalizer().items()})
        return state

    def load_model_state(self, state: Dict[str, Tensor]) -> None:
        """See `Learner.load_model_state`."""
        check_finite(state)
        for name, model in self._module.models.items():
            own = dict(_weights(model))
            given = {key: state[f"{name}.{key}"] for key in own}
            check_state(f"{name}.", own, given)
            model.load_state_dict(given, strict=False)
        for name, value in self._normalizer().items():
            check_state("value_norm.", {name: value}, {name: state[f"value_norm.{name}"]})
            value.copy_(state[f"value_norm.{name}"])

    def optimizers(self) -> Dict[str, torch.optim.Optimizer]:
        """See `LibraryLearner.optimizers`."""
        found: Dict[str, torch.optim.Optimizer] = self._module.optimizers
        return found

    def rows(self) -> Dict[str, np.ndarray]:
        """See `LibraryLearner.rows`."""
        return {name: getattr(self._driver.buffer.data, name)[0] for name in _CARRIED}

    def _normalizer(self) -> Dict[str, Tensor]:
        """The value normaliser's numbers; on a GPU they are missing from OpenRL's own state dictionary."""
        found = self._module.get_critic_value_normalizer()
        return {} if found is None else {name: getattr(found, name).detach() for name in _NORMALIZER}


def _weights(model: Any) -> List[Tuple[str, Tensor]]:
    return [(name, value) for name, value in model.state_dict().items() if not name.startswith("value_normalizer.")]
