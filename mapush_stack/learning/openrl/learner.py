"""OpenRL's MAPPO as a learner: its PPONet and PPOAgent as they are published, told what to do by our configuration."""

from __future__ import annotations

import contextlib
import io
import warnings
from importlib import metadata
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import torch
from torch import Tensor

from ...envs.push_env import PushEnv
from ...errors import UserError
from ..config import LearnerConfig
from .env import OpenRLVecEnv

VERSION = "0.2.0"
"""The OpenRL that this is written for; upstream's."""
_ADVICE = "pip install 'mapush_stack[openrl]'"
_ACTIVATIONS = {"tanh": 0, "relu": 1, "elu": 3}
"""OpenRL's `activation_id`."""
_BETA = 0.99999
"""Memory of OpenRL's value normaliser, which it has no setting for."""
_NORMALIZER = ("running_mean", "running_mean_sq", "debiasing_term")
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What Adam remembers of a parameter, in its order."""


def arguments(config: LearnerConfig, rollout_length: int, seed: int) -> Dict[str, Any]:
    """What OpenRL is told, by the names of its own configuration; what is not here stays as OpenRL has it.

    Where OpenRL differs from this project's MAPPO and has no setting for it: it normalises advantages whatever
    `use_adv_normalize` says, clips the probability ratio of each number of an action by itself, counts the mean of
    their entropies, and lets a time limit end a return at the value of the last state but one.

    Raises:
        UserError: OpenRL has nothing that would do what a field says.

    """
    _refuse_what_it_lacks(config)
    network = config.policy.network
    return {
        "seed": seed % 2**32,  # numpy's seeds are that small
        "episode_length": rollout_length,
        "hidden_size": network.hidden[0],
        "layer_N": len(network.hidden) - 1,
        "activation_id": _ACTIVATIONS[network.activation],
        "use_feature_normalization": network.input_norm,
        "gamma": config.gamma,
        "gae_lambda": config.gae_lambda,
        "use_proper_time_limits": True,
        "lr": config.actor_lr,
        "critic_lr": config.critic_lr,
        "use_linear_lr_decay": config.lr_schedule == "linear",
        "opti_eps": config.adam_eps,
        "ppo_epoch": config.epochs,
        "num_mini_batch": config.actor_minibatches,
        "clip_param": config.clip,
        "entropy_coef": config.entropy_coef,
        "max_grad_norm": config.actor_max_grad_norm,
        "use_adv_normalize": config.advantage_norm,
        "use_valuenorm": config.value_norm,
        "use_huber_loss": config.value_loss == "huber",
        "huber_delta": config.huber_delta,
        "value_loss_coef": config.value_loss_coef,
        "use_clipped_value_loss": config.value_clip is not None,
        "disable_wandb": True,
    }


def _refuse_what_it_lacks(config: LearnerConfig) -> None:
    policy, widths = config.policy, config.policy.network.hidden
    decays, normalizes = config.lr_schedule == "linear", config.value_norm
    rules = {
        "share_actor": (config.share_actor, "true"),
        "policy.squash": (not policy.squash, "false"),
        "policy.mirror": (not policy.mirror, "false"),
        "policy.log_std_init": (policy.log_std_init == 0, "0"),
        "policy.log_std_min": (policy.log_std_min == -20, "-20 (no bound)"),
        "policy.log_std_max": (policy.log_std_max == 20, "20 (no bound)"),
        "policy.network.hidden": (len(widths) > 1 and len(set(widths)) == 1, "two or more layers of one width"),
        "policy.network.layer_norm": (policy.network.layer_norm, "true"),
        "policy.network.last_activation": (not policy.network.last_activation, "false"),
        "critic": (config.critic == policy.network, "the same as learner.policy.network"),
        "lr_final_fraction": (config.lr_final_fraction == 0 or not decays, "0"),
        "critic_epochs": (config.critic_epochs == config.epochs, "the same as learner.epochs"),
        "critic_minibatches": (
            config.critic_minibatches == config.actor_minibatches,
            "the same as learner.actor_minibatches",
        ),
        "target_kl": (config.target_kl is None, "null"),
        "critic_max_grad_norm": (
            config.critic_max_grad_norm == config.actor_max_grad_norm,
            "the same as learner.actor_max_grad_norm",
        ),
        "value_norm_beta": (config.value_norm_beta == _BETA or not normalizes, str(_BETA)),
        "value_norm_per": (config.value_norm_per == "minibatch" or not normalizes, "minibatch"),
        "value_clip": (config.value_clip in (None, config.clip), "null or the same as learner.clip"),
    }
    plain = config.model_dump()
    for field, (holds, demand) in rules.items():
        if not holds:
            value: Any = plain
            for part in field.split("."):
                value = value[part]
            raise UserError(
                f"learner.{field} must be {demand} with library=openrl, not {value}; "
                "--with openrl says the default preset in OpenRL's terms"
            )


class Library(NamedTuple):
    """What is used of OpenRL."""

    create_config_parser: Any
    PPONet: Any
    PPOAgent: Any
    Driver: Any


def import_openrl() -> Library:
    """What is used of OpenRL.

    Raises:
        UserError: it is missing, of another version, or cannot be imported.

    """
    try:
        found = metadata.version("openrl")
    except metadata.PackageNotFoundError:
        raise UserError(f"library=openrl needs OpenRL {VERSION}, which is not installed: {_ADVICE}") from None
    if found != VERSION:
        raise UserError(f"library=openrl needs OpenRL {VERSION}, but {found} is installed: {_ADVICE}")
    try:
        # gym, which OpenRL imports, tells everybody to stop using it.
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from openrl.configs.config import create_config_parser
            from openrl.modules.common import PPONet  # before the runners: they import each other
            from openrl.runners.common.ppo_agent import Driver, PPOAgent
    except ModuleNotFoundError as error:
        raise UserError(f"OpenRL {VERSION} lacks something that it needs ({error}): {_ADVICE}") from None
    except (ImportError, AttributeError) as error:
        raise UserError(f"OpenRL {VERSION} cannot be imported ({error}): mapush patches apply") from None
    return Library(create_config_parser, PPONet, PPOAgent, Driver)


class OpenRLLearner:
    """PPONet and PPOAgent over an environment, and what a checkpoint has to hold of them."""

    def __init__(self, told: Dict[str, Any], env: PushEnv, random_ages: bool) -> None:
        """With OpenRL's configuration `told`, as `arguments` gives it. Seeds torch's generator, as OpenRL does.

        Raises:
            UserError: OpenRL is missing, of another version, or cannot be imported.

        """
        library = import_openrl()
        config = library.create_config_parser().parse_args([])
        for name, value in told.items():
            setattr(config, name, value)
        self.env = env
        net = library.PPONet(
            OpenRLVecEnv(env, random_ages), cfg=config, device=env.device, n_rollout_threads=env.num_envs
        )
        self.agent = library.PPOAgent(net)
        self._module, self._driver_class = net.module, library.Driver

    def train(self, drive: Callable[[Any], None], total_decisions: int) -> None:
        """`PPOAgent.train`, which makes OpenRL's trainer, buffer and driver; then `drive(driver)` drives."""

        class Driver(self._driver_class):  # type: ignore[name-defined]
            def run(self) -> None:
                drive(self)

        # Without any logger, OpenRL would take over the process's logging. Only its own loop logs.
        self.agent.train(total_decisions, driver_class=Driver, logger=drive)

    def save(self, folder: Any) -> None:
        """Write OpenRL's own `module.pt` into a folder."""
        self.agent.save(folder)

    def model_state(self) -> Dict[str, Tensor]:
        """Weights and value normaliser, by OpenRL's names."""
        state = {
            f"{name}.{key}": value for name, model in self._module.models.items() for key, value in _weights(model)
        }
        state.update({f"value_norm.{name}": value for name, value in self._normalizer().items()})
        return state

    def load_model_state(self, state: Dict[str, Tensor]) -> None:
        """Restore what `model_state` returned.

        Raises:
            RuntimeError: they belong to other networks.
            KeyError: likewise.

        """
        for name, model in self._module.models.items():
            model.load_state_dict({key: state[f"{name}.{key}"] for key, _ in _weights(model)}, strict=False)
        for name, value in self._normalizer().items():
            value.copy_(state[f"value_norm.{name}"])

    def training_state(self) -> Dict[str, Tensor]:
        """Optimisers, and torch's own generator, from which OpenRL draws actions and minibatches."""
        state = {"generator.torch": torch.get_rng_state()}
        if self.env.device.type == "cuda":
            state["generator.cuda"] = torch.cuda.get_rng_state(self.env.device)
        for name, optimizer in self._module.optimizers.items():
            for index, moments in optimizer.state_dict()["state"].items():
                state.update({f"optimizer.{name}.{index}.{moment}": moments[moment] for moment in _MOMENTS})
        return state

    def load_training_state(self, state: Dict[str, Tensor]) -> None:
        """Restore what `training_state` returned."""
        torch.set_rng_state(state["generator.torch"])
        if self.env.device.type == "cuda":
            torch.cuda.set_rng_state(state["generator.cuda"], self.env.device)
        for name, optimizer in self._module.optimizers.items():
            groups = optimizer.state_dict()["param_groups"]
            moments = {
                index: {moment: state[f"optimizer.{name}.{index}.{moment}"] for moment in _MOMENTS}
                for group in groups
                for index in group["params"]
                # The value normaliser's numbers are parameters of the critic that no optimiser moves.
                if f"optimizer.{name}.{index}.step" in state
            }
            optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def _normalizer(self) -> Dict[str, Tensor]:
        """The value normaliser's numbers; on a GPU they are missing from OpenRL's own state dictionary."""
        found = self._module.get_critic_value_normalizer()
        return {} if found is None else {name: getattr(found, name).detach() for name in _NORMALIZER}


def _weights(model: Any) -> List[Tuple[str, Tensor]]:
    return [(name, value) for name, value in model.state_dict().items() if not name.startswith("value_normalizer.")]
