"""This project's configuration by HARL's names."""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Tuple

from ...errors import UserError
from ..config import LearnerConfig
from ..contract import TrainingPlan

Arguments = Dict[str, Dict[str, Any]]
"""HARL's `algo_args`: sections of settings."""

_BETA = 0.99999
"""`beta` of HARL's value normaliser, which HARL has no setting for."""
_TRUST_REGION = 0.01
"""HARL's bound of HATRPO's KL divergence."""
_UNUSED = {
    "hatrpo": ("actor_lr", "epochs", "actor_minibatches", "clip", "entropy_coef", "actor_max_grad_norm"),
    "haa2c": ("clip",),
}
"""Fields that have no effect on an algorithm's actors."""


def check(config: LearnerConfig) -> None:
    """Raise `UserError` that names everything in the configuration that HARL cannot do."""
    changes = [f"{field}={_shown(able)}" for field, have, able in _fixed(config) if have != able]
    if changes:
        raise UserError(
            f"HARL needs {', '.join(changes)}; name these, or lay its own settings over the preset with --with harl"
        )


def algo_args(learner: LearnerConfig, plan: TrainingPlan, threads: int, cuda: bool) -> Arguments:
    """Everything that HARL's on-policy runners read, from a configuration that has passed `check`.

    Args:
        learner: the configuration.
        plan: of the training.
        threads: torch's.
        cuda: whether the networks are on the GPU.

    """
    policy = learner.policy
    return {
        "seed": {"seed_specify": True, "seed": plan.seed % 2**32},  # NumPy's seeds have 32 bits
        "device": {"cuda": cuda, "cuda_deterministic": True, "torch_threads": threads},
        "train": {
            "n_rollout_threads": plan.num_envs,
            "episode_length": plan.rollout_length,
            "use_valuenorm": learner.value_norm,
            "use_linear_lr_decay": learner.lr_schedule == "linear",
            "use_proper_time_limits": True,
            "model_dir": None,
        },
        "eval": {"use_eval": False},
        "render": {"use_render": False},
        "logger": {"log_dir": None},
        "model": {
            "hidden_sizes": policy.network.hidden,
            "activation_func": policy.network.activation,
            "use_feature_normalization": policy.network.input_norm,
            "initialization_method": "orthogonal_",
            "gain": 0.01,
            "use_naive_recurrent_policy": False,
            "use_recurrent_policy": False,
            "recurrent_n": 1,
            "data_chunk_length": 10,
            "lr": learner.actor_lr,
            "critic_lr": learner.critic_lr,
            "opti_eps": learner.adam_eps,
            "weight_decay": 0,
            "std_x_coef": 1.0,
            "std_y_coef": math.exp(policy.log_std_max),
        },
        "algo": {
            "ppo_epoch": learner.epochs,
            "a2c_epoch": learner.epochs,
            "critic_epoch": learner.critic_epochs,
            "use_clipped_value_loss": learner.value_clip is not None,
            "clip_param": learner.clip,
            "actor_num_mini_batch": learner.actor_minibatches,
            "critic_num_mini_batch": learner.critic_minibatches,
            "entropy_coef": learner.entropy_coef,
            "value_loss_coef": learner.value_loss_coef,
            "use_max_grad_norm": True,
            "max_grad_norm": learner.critic_max_grad_norm,
            "use_gae": True,
            "gamma": learner.gamma,
            "gae_lambda": learner.gae_lambda,
            "use_huber_loss": learner.value_loss == "huber",
            "use_policy_active_masks": True,
            "huber_delta": learner.huber_delta,
            "action_aggregation": "prod",
            "share_param": learner.share_actor,
            "fixed_order": False,
            "kl_threshold": learner.target_kl or _TRUST_REGION,
            "ls_step": 10,
            "accept_ratio": 0.5,
            "backtrack_coeff": 0.8,
        },
    }


def unused(learner: LearnerConfig) -> str:
    """A sentence that names the fields without effect; empty where there are none."""
    fields = [f"learner.{name}" for name in _UNUSED.get(learner.algorithm, ())]
    return f"the actors of {learner.algorithm.upper()} do not use {', '.join(fields)}" if fields else ""


def _fixed(learner: LearnerConfig) -> List[Tuple[str, Any, Any]]:
    """(field, what is configured, the only thing that HARL can do)."""
    policy, network = learner.policy, learner.policy.network
    activation = "relu" if network.activation == "elu" else network.activation
    able = {**network.model_dump(), "activation": activation, "layer_norm": True, "last_activation": True}
    fields = [
        ("learner.policy.network.activation", network.activation, activation),
        ("learner.policy.network.layer_norm", network.layer_norm, True),
        ("learner.policy.network.last_activation", network.last_activation, True),
        *((f"learner.critic.{name}", getattr(learner.critic, name), value) for name, value in able.items()),
        ("learner.policy.encoder", policy.encoder, "none"),
        ("learner.policy.squash", policy.squash, False),
        ("learner.policy.mirror", policy.mirror, False),
        ("learner.policy.std", policy.std, "sigmoid"),
        ("learner.policy.log_std_min", policy.log_std_min, -20.0),
        ("learner.actor_max_grad_norm", learner.actor_max_grad_norm, learner.critic_max_grad_norm),
        ("learner.advantage_norm", learner.advantage_norm, True),
    ]
    if learner.lr_schedule == "linear":
        fields.append(("learner.lr_final_fraction", learner.lr_final_fraction, 0.0))
    if learner.algorithm != "hatrpo":  # whose trust region it bounds
        fields.append(("learner.target_kl", learner.target_kl, None))
    if learner.value_norm:
        fields.append(("learner.value_norm_beta", learner.value_norm_beta, _BETA))
        fields.append(("learner.value_norm_per", learner.value_norm_per, "minibatch"))
    if learner.value_clip is not None:
        fields.append(("learner.value_clip", learner.value_clip, learner.clip))
    return fields


def _shown(value: Any) -> str:
    """A value as it is written on the command line."""
    # In YAML a colon is followed by a space.
    return json.dumps(value).replace('"', "").replace(", ", ",")
