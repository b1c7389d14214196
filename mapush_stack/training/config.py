"""A whole experiment's configuration: preset, object, command line, checked together before anything starts."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Sequence

import yaml
from pydantic import Field, ValidationError, model_validator

from .. import presets
from ..errors import UserError
from ..learning.config import LearnerConfig
from ..registry import closest
from ..settings import Settings
from ..sim.config import ObjectBody, SimConfig
from ..task.config import ObjectTask, TaskConfig

MOST_TORCH_THREADS = 4
"""More than networks of this size can use."""
_STAGE_SECTIONS = ("task", "learner")


class ObjectConfig(Settings):
    """The object that is pushed; see `presets/objects/`."""

    name: str = Field(description="what is pushed; see presets/objects/")
    task: ObjectTask
    body: ObjectBody


class StageConfig(Settings):
    """A stage of a curriculum: starts from the last one's weights, with its own rewards."""

    name: str
    steps: int = Field(ge=1, description="environment steps of the stage")
    changes: Dict[str, Any] = Field(description="fields of `task` and `learner` that differ in this stage")


class TrainingConfig(Settings):
    """The loop."""

    total_steps: Optional[int] = Field(ge=1, le=10**12, description="environment steps of 0.02 s; null with stages")
    stages: List[StageConfig] = Field(description="a curriculum; empty for a single stage of total_steps")
    rollout_length: int = Field(ge=1, le=100_000, description="decisions per environment between two updates")
    random_initial_ages: bool = Field(description="first episodes start at random ages, so that they end apart")
    checkpoint_interval: int = Field(ge=1, description="environment steps between checkpoints")
    seed: int = Field(ge=0, lt=2**63, description="of everything that is random in the training")
    torch_threads: int = Field(
        ge=0, le=1024, description=f"0: one a CPU, at most {MOST_TORCH_THREADS}. On resume the run's own number is used"
    )

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
        if bool(self.stages) == (self.total_steps is not None):
            have = "both" if self.stages else "neither"
            raise ValueError(f"total_steps or stages must be given, not {have}: stages have steps of their own")
        return self


class EvaluationConfig(Settings):
    """The published protocol (task_spec section 11)."""

    episodes: int = Field(ge=1, le=1_000_000, description="first episodes of as many environments")
    seed: int = Field(ge=0, lt=2**63, description="of the starts")


class ExperimentConfig(Settings):
    """Everything that determines a run."""

    preset: str
    description: str
    experiment: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the run's folder")
    object: ObjectConfig
    task: TaskConfig
    sim: SimConfig
    learner: LearnerConfig
    training: TrainingConfig
    evaluation: EvaluationConfig

    @model_validator(mode="after")
    def _check(self) -> ExperimentConfig:
        per_agent = self.task.global_state == "observation"
        if self.learner.algorithm == "happo" and per_agent:
            raise ValueError("task.global_state must be published or target_frame for happo, which has one team value")
        if self.learner.policy.mirror and self.task.observation == "published":
            raise ValueError("learner.policy.mirror must be false with task.observation=published, whose angles wrap")
        samples = self.sim.num_envs * self.training.rollout_length
        for name in ("actor_minibatches", "critic_minibatches"):
            if getattr(self.learner, name) > samples:
                raise ValueError(
                    f"learner.{name} must be at most sim.num_envs * training.rollout_length = {samples}, "
                    f"not {getattr(self.learner, name)}"
                )
        for index in range(len(self.training.stages)):
            self.stage(index)
        return self

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole run."""
        if self.training.stages:
            return sum(stage.steps for stage in self.training.stages)
        assert self.training.total_steps is not None
        return self.training.total_steps

    @property
    def steps_per_update(self) -> int:
        """Environment steps (0.02 s) between two updates."""
        return self.sim.num_envs * self.training.rollout_length * self.task.action_repeat

    def stage(self, index: int) -> ExperimentConfig:
        """This experiment as one of its stages sees it: a single stage with that stage's changes applied.

        Raises:
            ValueError: the changes touch what a stage cannot change, or do not pass the checks.

        """
        stage = self.training.stages[index]
        where = f"training.stages.{index}.changes"
        for name in stage.changes:
            if name not in _STAGE_SECTIONS:
                raise ValueError(f"{where} can hold {' and '.join(_STAGE_SECTIONS)}, not {name}")
        plain = presets.merge(self.model_dump(), stage.changes)
        plain["training"].update(stages=[], total_steps=stage.steps)
        try:
            changed = _parse(plain)
        except ValidationError as error:
            raise ValueError(f"{where}: {sentence(error)}") from None
        for name in ("observation", "global_state", "action_repeat"):
            if getattr(changed.task, name) != getattr(self.task, name):
                raise ValueError(f"{where} cannot change task.{name}: the networks are kept from stage to stage")
        for name in ("algorithm", "share_actor", "policy", "critic"):
            if getattr(changed.learner, name) != getattr(self.learner, name):
                raise ValueError(f"{where} cannot change learner.{name}: the networks are kept from stage to stage")
        return changed


def load(
    preset: str = "default", object_name: str = "", overrides: Sequence[str] = (), parts: Sequence[str] = ()
) -> ExperimentConfig:
    """The configuration that a preset, parts, an object and `path.to.field=value` overrides amount to.

    Raises:
        UserError: an unknown name, a wrong type or a value out of range, said in one sentence.

    """
    plain = presets.load(preset, object_name, parts)
    for override in overrides:
        _apply(plain, override)
    if isinstance(plain["object"], str):
        plain["object"] = presets.load_object(plain["object"])
    return validated(plain)


def overridden(
    config: ExperimentConfig, overrides: Sequence[str], object_name: str = "", parts: Sequence[str] = ()
) -> ExperimentConfig:
    """A configuration with another object, parts and `path.to.field=value` overrides laid over it.

    Raises:
        UserError: as `load`.

    """
    plain = config.model_dump(mode="json")
    if object_name:
        plain["object"] = presets.load_object(object_name)
    plain = presets.lay_over(plain, parts)
    for override in overrides:
        _apply(plain, override)
    return validated(plain)


def validated(plain: Dict[str, Any]) -> ExperimentConfig:
    """Plain data as a checked configuration.

    Raises:
        UserError: the first thing that is wrong, in one sentence.

    """
    try:
        return _parse(plain)
    except ValidationError as error:
        raise UserError(sentence(error)) from None


def _parse(plain: Dict[str, Any]) -> ExperimentConfig:
    # Strict JSON mode takes lists for tuples and integers for floats, and nothing else for something else.
    return ExperimentConfig.model_validate_json(json.dumps(plain, default=str), strict=True)


def sentence(error: ValidationError) -> str:
    """The first error of a validation as one sentence with field, value and what is allowed."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].replace("Value error, ", "")
    if first["type"] == "extra_forbidden":
        return f"there is no field {field}"
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "value_error":
        return f"{field}.{message}" if field and not message.startswith(("task.", "learner.", "training.")) else message
    return f"{field}={_shown(first['input'])} is not allowed: {message[0].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as a string and 5e6 as no integer; both are meant as numbers."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _apply(plain: Dict[str, Any], override: str) -> None:
    """Set one field from `path.to.field=value`, the value in YAML."""
    path, equals, text = override.partition("=")
    parts = path.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"{override} is not an override: write it as path.to.field=value")
    try:
        value = _number(yaml.safe_load(text))
    except yaml.YAMLError:
        raise UserError(f"{path}={_shown(text)} is not allowed: the value is not valid YAML") from None
    node = plain
    for depth, part in enumerate(parts):
        if not isinstance(node, dict) or part not in node:
            known = sorted(node) if isinstance(node, dict) else []
            where = ".".join(parts[:depth]) or "the configuration"
            hint = f"; {closest(part, known)}" if known else ""
            raise UserError(f"there is no field {path.strip()}: {where} has no {part}{hint}")
        if depth + 1 < len(parts):
            if depth == 0 and part == "object" and isinstance(node[part], str):
                node[part] = presets.load_object(node[part])
            node = node[part]
    node[parts[-1]] = value
