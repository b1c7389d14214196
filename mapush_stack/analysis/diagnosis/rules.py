"""The model of `rules.yaml`: rules with thresholds, reasons and changes to try."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Dict, List, Optional, Union

from pydantic import Field, model_validator

from ...rules import load_rules
from ...settings import Settings

PATH = Path(__file__).resolve().parent / "rules.yaml"


class Severity(str, Enum):
    """How much a finding matters."""

    SEVERE = "severe"
    """The run's result should not be used as it is."""
    REMARK = "remark"
    """Worth knowing; the run may still be good."""


class ChangeRule(Settings):
    """A field of this project's configuration to change: to a value, or by a factor."""

    field: str
    value: Optional[Union[bool, int, float, str]] = None
    factor: Optional[float] = Field(default=None, gt=0)
    why: str

    @model_validator(mode="after")
    def _check(self) -> ChangeRule:
        if (self.value is None) == (self.factor is None):
            raise ValueError(f"{self.field} needs either value or factor")
        return self


class Rule(Settings):
    """Something that can be wrong with a run; the check of the same name is in `checks/`."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    severity: Severity
    thresholds: Dict[str, float]
    unless: List[str] = Field(
        default=[], description="rules whose finding explains this one, which is then not checked"
    )
    why: str
    changes: List[ChangeRule]
    source: List[str] = Field(min_length=1)


class Criterion(Settings):
    """A line of the checklist; the function of the same name is in `checklist.py`."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    tolerance: float = Field(ge=0)


class Published(Settings):
    """Settings of upstream's published run, which its logs do not contain."""

    source: str
    gamma: float
    action_repeat: int
    saturation: float
    weights: Dict[str, float]
    fields: Dict[str, str] = Field(
        description="names of the weights in `task/config.py`, which may lie beside the logs"
    )


class Rules(Settings):
    """The content of `rules.yaml`."""

    published: Published
    events: List[str] = Field(description="reward terms that are paid on single steps")
    telescoping: List[str] = Field(
        description="reward terms whose sum over an episode depends only on its start and end"
    )
    action_size: int = Field(ge=1)
    fewest_points: int = Field(ge=4)
    fewest_steps: int = Field(ge=0)
    rules: List[Rule] = Field(min_length=1)
    checklist: List[Criterion] = Field(min_length=1)

    def thresholds(self, name: str) -> Dict[str, float]:
        """The thresholds of a rule."""
        return next(rule.thresholds for rule in self.rules if rule.name == name)

    @model_validator(mode="after")
    def _check(self) -> Rules:
        seen: List[str] = []
        for rule in self.rules:
            if rule.name in seen:
                raise ValueError(f"{rule.name} occurs twice")
            missing = [name for name in rule.unless if name not in seen]
            if missing:
                raise ValueError(f"{rule.name} depends on {missing[0]}, which must come before it")
            seen.append(rule.name)
        return self


def load(path: Path = PATH) -> Rules:
    """The rules.

    Raises:
        UserError: the file is missing or damaged.

    """
    return load_rules(path, Rules, "the rules of diagnosis")
