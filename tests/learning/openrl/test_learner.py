"""OpenRL's settings, and what is refused; none of it needs OpenRL."""

import pytest

from mapush_stack.errors import UserError
from mapush_stack.learning.openrl import arguments
from mapush_stack.training import config as configuration
from tests.learning.teams import plan_of

UPSTREAM = {
    "seed": 1,
    "episode_length": 200,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "lr": 5e-4,
    "critic_lr": 5e-4,
    "ppo_epoch": 10,
    "num_mini_batch": 1,
    "clip_param": 0.2,
    "use_clipped_value_loss": True,
    "use_huber_loss": True,
    "huber_delta": 10.0,
    "value_loss_coef": 0.5,
    "entropy_coef": 0.01,
    "max_grad_norm": 10.0,
    "use_valuenorm": True,
    "use_adv_normalize": False,
    "opti_eps": 1e-5,
    "hidden_size": 64,
    "layer_N": 1,
    "activation_id": 1,
    "use_feature_normalization": False,
    "use_linear_lr_decay": False,
}
"""docs/task.md section 10, by OpenRL's names."""
OURS = {
    "use_proper_time_limits": True,  # which upstream's quirk makes terminal, so that there are none
    "disable_wandb": True,
}


def told(*overrides, preset="default", parts=("openrl",)):
    config = configuration.load(preset, "", overrides, parts)
    arguments.check(config.learner)
    return arguments.settings(config.learner, plan_of(config))


def test_preset_paper_is_upstreams_training():
    assert told("learner.library=openrl", preset="paper", parts=()) == {**UPSTREAM, **OURS}


def test_the_part_says_the_default_preset_in_openrls_terms():
    default, openrl = told(), configuration.load("default", "cuboid-12kg").learner  # the lighter have other rates
    assert default["gamma"] == openrl.gamma and default["lr"] == openrl.actor_lr
    assert default["num_mini_batch"] == openrl.actor_minibatches and default["use_linear_lr_decay"]


@pytest.mark.parametrize(
    "override, name, value",
    [
        ("training.seed=4294967298", "seed", 2),
        ("learner.policy.network.activation=elu", None, None),
        ("learner.value_clip=0.2", "use_clipped_value_loss", True),
        ("learner.lr_schedule=constant", "use_linear_lr_decay", False),
        ("learner.advantage_norm=false", "use_adv_normalize", False),
        ("learner.value_loss=huber", "use_huber_loss", True),
    ],
)
def test_fields_reach_openrl(override, name, value):
    if name is None:  # the critic has to follow
        assert told(override, "learner.critic.activation=elu")["activation_id"] == 3
        return
    assert told(override)[name] == value != told()[name]


def test_layers_are_counted_as_openrl_counts_them():
    wide = ["learner.policy.network.hidden=[32,32,32]", "learner.critic.hidden=[32,32,32]"]
    assert (told(*wide)["hidden_size"], told(*wide)["layer_N"]) == (32, 2)


@pytest.mark.parametrize(
    "field, value",
    [
        ("share_actor", "false"),
        ("policy.squash", "true"),
        ("policy.mirror", "true"),
        ("policy.log_std_init", "-0.5"),
        ("policy.log_std_min", "-1.6"),
        ("policy.log_std_max", "0.5"),
        ("policy.network.hidden", "[64]"),
        ("policy.network.hidden", "[64,32]"),
        ("policy.network.layer_norm", "false"),
        ("policy.network.last_activation", "true"),
        ("critic", "{hidden: [32, 32]}"),
        ("lr_final_fraction", "0.5"),
        ("critic_epochs", "7"),
        ("critic_minibatches", "7"),
        ("target_kl", "0.03"),
        ("critic_max_grad_norm", "7.0"),
        ("value_norm_beta", "0.9"),
        ("value_norm_per", "rollout"),
        ("value_clip", "0.1"),
    ],
)
def test_what_openrl_lacks_is_refused_in_a_sentence(field, value):
    override = f"learner.{field}={value}"
    if field == "critic":
        override = "learner.critic.hidden=[32,32]"
    with pytest.raises(UserError, match=rf"^learner\.{field} must be .* with library=openrl, not .*--with openrl"):
        told(override)


def test_what_does_not_matter_is_not_refused():
    told("learner.value_norm=false", "learner.value_norm_beta=0.5", "learner.value_norm_per=rollout")
    told("learner.lr_schedule=constant", "learner.lr_final_fraction=0.5")
