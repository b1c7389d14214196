"""What can be configured about a learner. Defaults are the plainest; `presets/default.yaml` says what is good."""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Optional

from pydantic import Field, ValidationError, model_validator
from typing_extensions import Annotated

from ..settings import FolderName, Settings, name_in
from .registry import LEARNERS


class NetworkConfig(Settings):
    """A multilayer perceptron."""

    hidden: List[int] = Field([128, 128], min_length=1, max_length=8, description="width of each hidden layer")
    activation: Literal["elu", "relu", "tanh"] = Field("tanh", description="nonlinearity of the hidden layers")
    fast_tanh: bool = Field(
        False, description="on a CPU tanh(x) is 2 sigmoid(2x) - 1: four times as fast, differs by less than 2e-7"
    )
    layer_norm: bool = Field(False, description="LayerNorm after the activation of each hidden layer")
    last_activation: bool = Field(
        True, description="whether the last hidden layer has an activation (upstream's has none)"
    )
    input_norm: bool = Field(False, description="LayerNorm of the input (HARL's use_feature_normalization)")

    @model_validator(mode="after")
    def _check(self) -> NetworkConfig:
        if min(self.hidden) < 1 or max(self.hidden) > 8192:
            raise ValueError(f"hidden must hold widths from 1 to 8192, not {self.hidden}")
        return self


class PolicyConfig(Settings):
    """The Gaussian policy of each robot."""

    network: NetworkConfig = NetworkConfig()
    encoder: Literal["none", "sets", "attention"] = Field(
        "none",
        description="how sets of things are read, such as the other robots: none: as plain numbers; sets: mean and "
        "largest values of embedded things; attention: what the robot's own numbers ask for. The critic's too, where "
        "it sees observations",
    )
    token_width: int = Field(64, ge=1, le=1024, description="numbers that stand for a thing of a set")
    squash: bool = Field(False, description="mean = tanh(network), else the network's output")
    mirror: bool = Field(False, description="mean is equivariant under reflection about the robot's heading")
    std: Literal["exp", "sigmoid"] = Field(
        "exp", description="deviation = exp(parameter), or as HARL's exp(log_std_max) * sigmoid(parameter)"
    )
    log_std_init: float = Field(
        -0.2, ge=-10, le=5, description="log standard deviation at the start: how much is explored"
    )
    log_std_min: float = Field(-1.6, ge=-20, le=5, description="lower bound of the log standard deviation")
    log_std_max: float = Field(0.0, ge=-20, le=20, description="upper bound; upstream's is unbounded and ends near 4.4")

    @model_validator(mode="after")
    def _check(self) -> PolicyConfig:
        if not self.log_std_min <= self.log_std_init <= self.log_std_max:
            raise ValueError(
                f"log_std_init must lie between log_std_min ({self.log_std_min:g}) and log_std_max "
                f"({self.log_std_max:g}), not {self.log_std_init:g}"
            )
        if self.std == "sigmoid" and self.log_std_init == self.log_std_max:
            raise ValueError(
                f"log_std_init must lie below log_std_max ({self.log_std_max:g}) with std=sigmoid, which never reaches "
                "its upper bound"
            )
        return self


class DemonstrationsConfig(Settings):
    """How a training with `--demonstrations` begins; without it these have no effect."""

    epochs: int = Field(30, ge=0, le=100_000, description="passes over the demonstrations for each actor; 0: none")
    critic_epochs: int = Field(30, ge=0, le=100_000, description="the same for the critic, which learns the returns")
    batch: int = Field(512, ge=1, le=10**6, description="decisions for one gradient step")


class LearnerConfig(Settings):
    """The learner; names follow HARL where it has one."""

    library: Annotated[str, name_in(lambda: LEARNERS)] = Field(
        "native", description="native: this project's own learners; harl, openrl, or a plug-in's"
    )
    algorithm: FolderName = Field(
        "happo",
        description="happo: robots are updated one after the other; mappo: all at once; or another of a library",
    )
    options: Dict[str, Any] = Field({}, description="settings that only the library of a plug-in has")
    share_actor: bool = Field(False, description="one actor for all robots; mappo only")
    policy: PolicyConfig = PolicyConfig()
    critic: NetworkConfig = NetworkConfig()
    demonstrations: DemonstrationsConfig = DemonstrationsConfig()
    gamma: float = Field(0.99, ge=0, le=1, description="discount per decision")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="advantages: 0 trusts the critic, 1 the returns")
    actor_lr: float = Field(
        1e-3, ge=0, le=1, description="Adam's step size for the actors, at the start of the schedule"
    )
    critic_lr: float = Field(
        1e-3, ge=0, le=1, description="Adam's step size for the critic, at the start of the schedule"
    )
    lr_schedule: Literal["constant", "linear"] = Field(
        "constant", description="linear: both rates fall over the training"
    )
    lr_final_fraction: float = Field(
        0.05, ge=0, le=1, description="what a linear schedule leaves of the rate at the end"
    )
    adam_eps: float = Field(1e-5, gt=0, le=1, description="added to the root of Adam's second moment")
    epochs: int = Field(3, ge=1, le=100, description="passes over a rollout for the actors")
    critic_epochs: int = Field(3, ge=1, le=100, description="passes over a rollout for the critic")
    actor_minibatches: int = Field(8, ge=1, le=10_000, description="parts of a rollout for one gradient step each")
    critic_minibatches: int = Field(8, ge=1, le=10_000, description="the same for the critic")
    clip: float = Field(0.2, gt=0, le=10, description="clip range of the probability ratio")
    target_kl: Optional[float] = Field(
        None, gt=0, description="an actor's epochs stop above this KL divergence; null: never"
    )
    entropy_coef: float = Field(0.0, ge=0, le=10, description="weight of the entropy bonus: keeps the policy noisy")
    actor_max_grad_norm: float = Field(1.0, gt=0, description="bound of the norm of an actor's gradient")
    critic_max_grad_norm: float = Field(1.0, gt=0, description="bound of the norm of the critic's gradient")
    advantage_norm: bool = Field(
        True, description="advantages of a rollout are shifted and scaled to mean 0, deviation 1"
    )
    value_norm: bool = Field(True, description="the critic predicts normalised returns")
    value_norm_beta: float = Field(0.95, ge=0, lt=1, description="memory of the returns' running mean and variance")
    value_norm_per: Literal["rollout", "minibatch"] = Field(
        "rollout", description="how often these are updated (HARL: minibatch)"
    )
    value_loss: Literal["mse", "huber"] = Field("mse", description="huber: linear for errors beyond huber_delta")
    huber_delta: float = Field(10.0, gt=0, description="error at which the Huber loss turns from quadratic to linear")
    value_loss_coef: float = Field(1.0, gt=0, description="factor of the critic's loss, before its gradient is clipped")
    value_clip: Optional[float] = Field(None, gt=0, description="clip range of the value update; null: none")

    @model_validator(mode="after")
    def _check(self) -> LearnerConfig:
        kind = LEARNERS[self.library]
        if self.algorithm not in kind.algorithms:
            able = " or ".join(kind.algorithms)
            raise ValueError(f"algorithm must be {able} with library={self.library}, not {self.algorithm}")
        if self.share_actor and self.algorithm not in kind.can_share_actor:
            raise ValueError(f"share_actor must be false for algorithm={self.algorithm}: its robots have an actor each")
        try:
            kind.options.model_validate(self.options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field, known = ".".join(map(str, first["loc"])), ", ".join(kind.options.model_fields)
            reason = first["msg"][0].lower() + first["msg"][1:]
            if first["type"] == "extra_forbidden":
                reason = f"it has {f'the options {known}' if known else 'no options'}"
            raise ValueError(f"options.{field} is not allowed with library={self.library}: {reason}") from None
        return self
