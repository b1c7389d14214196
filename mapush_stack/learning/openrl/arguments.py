"""This project's configuration by OpenRL's names."""

from __future__ import annotations

from typing import Any, Dict

from ...errors import UserError
from ..config import LearnerConfig
from ..contract import TrainingPlan

_ACTIVATIONS = {"tanh": 0, "relu": 1, "elu": 3}
"""OpenRL's `activation_id`."""
_BETA = 0.99999
"""`beta` of OpenRL's value normaliser, which OpenRL has no setting for."""


def settings(config: LearnerConfig, plan: TrainingPlan) -> Dict[str, Any]:
    """OpenRL's settings, by its own names; those that are not here keep OpenRL's defaults.

    Where OpenRL differs from this project's MAPPO and has no setting for it: it normalises advantages whatever
    `use_adv_normalize` says, clips the probability ratio of each number of an action by itself, counts the mean of
    their entropies, and lets a time limit end a return at the value of the last state but one.
    """
    network = config.policy.network
    return {
        "seed": plan.seed % 2**32,  # NumPy's seeds have 32 bits
        "episode_length": plan.rollout_length,
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


def check(config: LearnerConfig) -> None:
    """Raise `UserError` that names the first field that OpenRL has nothing for."""
    policy, widths = config.policy, config.policy.network.hidden
    decays, normalizes = config.lr_schedule == "linear", config.value_norm
    rules = {
        "share_actor": (config.share_actor, "true"),
        "policy.encoder": (policy.encoder == "none", "none"),
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
                "--with openrl gives the default preset in OpenRL's terms"
            )
