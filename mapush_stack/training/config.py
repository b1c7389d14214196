"""The configuration of an experiment, from preset, object and command line."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional, Sequence

from pydantic import Field, ValidationError, model_validator

from .. import presets
from ..envs.leader_config import LeaderConfig
from ..errors import UserError
from ..learning.config import LearnerConfig
from ..presets import Layer
from ..settings import FolderName, Settings, check_names, check_path
from ..sim.config import ObjectConfig, RobotName, SimConfig
from ..system.limits import check_plain, parse_settings, shown
from ..task.config import MOST_ROBOTS, TaskConfig
from .config_errors import sentence

MOST_TORCH_THREADS = 4
"""More threads do not make networks of this size faster."""
_KEPT = {
    "task": ("goal", "observation", "outline_points", "global_state", "action_repeat"),
    "learner": ("algorithm", "share_actor", "policy", "critic"),
}
"""The sections that a stage can change, with the fields that it cannot."""


class StageConfig(Settings):
    """A stage of a curriculum; it starts from the weights of the stage before."""

    name: str
    steps: int = Field(ge=1, description="environment steps of the stage")
    changes: Dict[str, Any] = Field({}, description="fields of `task` and `learner` that differ in this stage")


class TrainingConfig(Settings):
    """Settings of the training loop."""

    total_steps: Optional[int] = Field(
        None, ge=1, le=10**12, description="environment steps of 0.02 s; null with stages"
    )
    stages: List[StageConfig] = Field([], description="a curriculum; empty for a single stage of total_steps")
    rollout_length: int = Field(16, ge=1, le=100_000, description="decisions per environment between two updates")
    random_initial_ages: bool = Field(
        False, description="first episodes start at random ages, so that they end at different times"
    )
    checkpoint_interval: int = Field(1_000_000, ge=1, description="environment steps between checkpoints")
    seed: int = Field(1, ge=0, lt=2**63, description="seed of everything that is random in the training")
    kernel_from: Optional[int] = Field(
        None,
        ge=1,
        description="steps of a training from which sim.backend=auto on a CPU means the kernel for planar robots, if "
        "Warp is installed; null: never",
    )
    torch_threads: int = Field(
        0,
        ge=0,
        le=1024,
        description=f"threads of torch; 0: OMP_NUM_THREADS or MKL_NUM_THREADS, else one per CPU, at most "
        f"{MOST_TORCH_THREADS}. A resumed run keeps its number",
    )

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
        if bool(self.stages) == (self.total_steps is not None):
            have = "both" if self.stages else "neither"
            raise ValueError(f"total_steps or stages must be given, not {have}: stages have steps of their own")
        return self


class EvaluationConfig(Settings):
    """The published protocol (docs/task.md section 11)."""

    episodes: int = Field(1000, ge=1, le=1_000_000, description="environments, of which the first episode counts")
    seed: int = Field(1_000_003, ge=0, lt=2**63, description="seed of the starts")


class ExperimentConfig(Settings):
    """Everything that determines a run."""

    preset: str = "default"
    description: str = ""
    experiment: FolderName = Field("default", description="name of the folder that the run is in")
    team: List[RobotName] = Field([], description="kind of each robot, in order; empty: the object's team")
    object: ObjectConfig
    task: TaskConfig = TaskConfig()
    sim: SimConfig
    learner: LearnerConfig
    leader: Optional[LeaderConfig] = Field(None, description="what is trained leads a trained team; null: is the team")
    training: TrainingConfig
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _check(self) -> ExperimentConfig:
        per_agent = self.task.global_state == "observation"
        if self.learner.algorithm == "happo" and per_agent:
            raise ValueError("task.global_state must be published or target_frame for happo, which has one team value")
        if self.learner.policy.mirror and self.task.observation == "published":
            raise ValueError(
                "learner.policy.mirror must be false with task.observation=published, whose angles jump from 2 pi to 0"
            )
        samples = self.sim.num_envs * self.training.rollout_length
        for name in ("actor_minibatches", "critic_minibatches"):
            if getattr(self.learner, name) > samples:
                raise ValueError(
                    f"learner.{name} must be at most sim.num_envs * training.rollout_length = {samples}, "
                    f"not {getattr(self.learner, name)}"
                )
        for name, team in (("team", self.team), ("object.team", self.object.team)):
            if team and len(team) != self.object.task.num_robots:
                raise ValueError(
                    f"{name} has {len(team)} robots, but object.task.num_robots is {self.object.task.num_robots}"
                )
        if self.object.family is not None and self.task.observation in ("published", "cos_sin", "features"):
            raise ValueError(
                f"task.observation must be sets with {self.object.name}, whose objects differ in their shape, not "
                f"{self.task.observation}"
            )
        if self.task.placement == "apart" or self.task.observation == "sets":
            wrong = self.object.wrong_outline()
            if wrong:
                raise ValueError(f"object.task.vertices {wrong}")
        size, robots = self.task.team_size, len(self.team_kinds)
        if self.task.obstacles.planner == "network" and robots != 2:
            raise ValueError(f"task.obstacles.planner=network is for 2 robots, not {robots}: choose another planner")
        if size is not None and size[1] > robots:
            raise ValueError(f"task.team_size must be at most the {robots} robots of the team, not {list(size)}")
        if self.leader is not None and (self.learner.library != "native" or self.training.stages):
            wrong = "training.stages" if self.training.stages else f"learner.library={self.learner.library}"
            raise ValueError(f"{wrong} is not for a leader: leave it out")
        for index in range(len(self.training.stages)):
            self.stage(index)
        return self

    @property
    def team_kinds(self) -> List[str]:
        """The kind of each robot, in order: `team`, else the object's, else `sim.robot` for all."""
        return self.team or self.object.team or [self.sim.robot] * self.object.task.num_robots

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
        """A stage as an experiment of its own, with the changes of the stage applied.

        Raises:
            ValueError: a stage cannot make these changes, or they do not pass the checks.

        """
        stage = self.training.stages[index]
        where = f"training.stages.{index}.changes"
        for name in stage.changes:
            if name not in _KEPT:
                raise ValueError(f"{where} can hold {' and '.join(_KEPT)}, not {name}")
        plain = presets.merge(self.model_dump(), stage.changes)
        plain["training"].update(stages=[], total_steps=stage.steps)
        try:
            changed = validated(plain)
        except UserError as error:
            raise ValueError(f"{where}: {error}") from None
        for section, names in _KEPT.items():
            for name in names:
                if getattr(getattr(changed, section), name) != getattr(getattr(self, section), name):
                    raise ValueError(
                        f"{where} cannot change {section}.{name}: the networks are kept from stage to stage"
                    )
        return changed


def load(
    preset: str = "default", object_name: str = "", overrides: Sequence[str] = (), parts: Sequence[str] = ()
) -> ExperimentConfig:
    """The configuration of a preset with parts, an object and `path.to.field=value` overrides.

    Raises:
        UserError: an unknown name, a wrong type or a value out of range, in one sentence.

    """
    return _completed({}, presets.layers(preset, object_name, parts), overrides)


def overridden(
    config: ExperimentConfig, overrides: Sequence[str], object_name: str = "", parts: Sequence[str] = ()
) -> ExperimentConfig:
    """A configuration with another object, parts and `path.to.field=value` overrides laid over it.

    Raises:
        UserError: as `load`.

    """
    plain = config.model_dump(mode="json")
    if object_name:
        plain["object"] = _object(object_name).content["object"]
    return _completed(plain, presets.part_layers(plain, parts) if parts else [], overrides)


def validated(plain: Mapping[str, Any], layers: Sequence[Layer] = ()) -> ExperimentConfig:
    """Plain data as a checked configuration.

    Args:
        plain: the data.
        layers: what it was made of, so that a message can name the file of a wrong value.

    Raises:
        UserError: the first thing that is wrong, in one sentence.

    """
    check_names(ExperimentConfig, plain)
    try:
        check_plain(plain)
        # Strict JSON mode takes lists for tuples and integers for floats, and nothing else for something else.
        return ExperimentConfig.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise UserError(sentence(error, layers)) from None
    except ValueError as error:
        raise UserError(f"the configuration cannot be used: {error}") from None


def _completed(plain: Dict[str, Any], layers: Sequence[Layer], overrides: Sequence[str]) -> ExperimentConfig:
    """A checked configuration from a base, layers over it, the object's file, and overrides."""
    stored = bool(plain)
    for layer in layers:
        check_names(ExperimentConfig, layer.content, layer.source)
        if layer.applies:
            plain = presets.merge(plain, layer.content)
    layers = [layer for layer in layers if layer.applies]
    if isinstance(plain["object"], str) and not any(override.partition("=")[0] == "object" for override in overrides):
        thing = _object(plain["object"])
        layers.append(thing)
        plain["object"] = thing.content["object"]
    for override in overrides:
        layers.append(Layer("", _apply(plain, override)))
    if isinstance(plain["object"], str):
        plain["object"] = _object(plain["object"]).content["object"]
    elif not isinstance(plain["object"], dict):
        raise UserError(f"object={shown(plain['object'])} is not allowed: give an object's name or a YAML file")
    paths = [override.partition("=")[0].strip() for override in overrides]
    config = validated(_with_team(plain, paths), layers)
    load = config.task.load_per_robot
    asked = (not stored or "task.load_per_robot" in paths) and "task.team_size" not in paths
    if load is not None and config.task.team_size is None and asked:
        raise UserError(
            f"task.load_per_robot={load:g} needs task.team_size, such as [2,4]: it chooses among such teams"
        )
    return config


def _with_team(plain: Dict[str, Any], overridden_paths: Sequence[str]) -> Dict[str, Any]:
    """A configuration with the size of its team, and a section for each kind of robot."""
    team = plain.get("team") or plain["object"].get("team")
    if not isinstance(team, list) or not team:
        team = _drawn_team(plain, overridden_paths)
        if not team:
            return plain
        plain = {**plain, "team": team}
    elif "sim.robot" in overridden_paths:
        raise UserError(f"sim.robot has no effect on a team ({', '.join(map(str, team))}); set team=[...] instead")
    if len(team) > MOST_ROBOTS:
        raise UserError(f"team has {len(team)} robots; a team has 1 to {MOST_ROBOTS}")
    if "object.task.num_robots" not in overridden_paths:
        plain = presets.merge(plain, {"object": {"task": {"num_robots": len(team)}}})
    from ..sim.robots import ROBOTS

    sections: Dict[str, Any] = {kind: {} for kind in team if isinstance(kind, str) and kind in ROBOTS}
    return presets.merge({"sim": sections}, plain)


def _drawn_team(plain: Dict[str, Any], overridden_paths: Sequence[str]) -> List[str]:
    """For --robot: as many of it as `task.team_size` may draw, whatever they push; empty without either."""
    task = plain.get("task")
    size = task.get("team_size") if isinstance(task, dict) else None
    asked = "sim.robot" in overridden_paths and "object.task.num_robots" not in overridden_paths
    if not asked or not isinstance(size, list) or not size or not isinstance(size[-1], int):
        return []
    return [plain["sim"]["robot"]] * min(size[-1], MOST_ROBOTS)


def _object(name: str) -> Layer:
    """An object's fields as a layer, after a check of their names."""
    source, content, _ = presets.load_object(name)
    check_names(ObjectConfig, content, source)
    return Layer(source, {"object": content})


def parse_value(text: str) -> Any:
    """The value of an override; the text itself if it is not valid YAML."""
    try:
        return parse_settings(text)
    except ValueError:
        return text


def _apply(plain: Dict[str, Any], override: str) -> Dict[str, Any]:
    """Set one field from `path.to.field=value`, the value in YAML; returns the change as a layer's content."""
    path, equals, text = override.partition("=")
    parts = path.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"{override} is not an override: write it as path.to.field=value")
    check_path(ExperimentConfig, parts)
    try:
        value = parse_settings(text)
    except ValueError as error:
        raise UserError(f"{path}={shown(text)} is not allowed: the value is not valid YAML: {error}") from None
    if parts[0] == "object" and len(parts) > 1 and isinstance(plain["object"], str):
        plain["object"] = _object(plain["object"]).content["object"]
    node, change = plain, value
    for depth, part in enumerate(parts[:-1], 1):
        inner = node.get(part)
        if inner is not None and not isinstance(inner, dict):
            section = ".".join(parts[:depth])
            raise UserError(f"{section}={shown(inner)} is not allowed: {section} is a section with fields")
        node[part] = dict(inner or {})
        node = node[part]
    node[parts[-1]] = value
    for part in reversed(parts):
        change = {part: change}
    return dict(change)
