"""`rules.yaml`: which crashes are known, by what they are known, and what to do about them."""

from __future__ import annotations

import json
import re
import signal
from enum import Enum
from pathlib import Path
from typing import Dict, List, Optional

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ...errors import UserError

PATH = Path(__file__).resolve().parent / "rules.yaml"
_EXIT = (
    r"(?:\b(?:exit(?:ed|s)?|return(?:ed)?)(?: with)?(?: a)?(?: non-zero)?(?: exit)? (?:code|status)[\"']? *[:=(]? *"
    r"|\b(?:exit(?:ed)?|exit_?code|return_?code|rc)[\"']? *[:=(] *|\bexit(?:ed)? with )"
)
"""What stands before an exit code: `exited with code `, `exitcode  : `, `returned non-zero exit status `, `Exited (`;
not the `exit ` of a script, nor the return of an episode."""


class Confidence(str, Enum):
    """How sure a rule is."""

    HIGH = "high"
    """The lines say it themselves, or leave nothing else."""
    MEDIUM = "medium"
    """Usually this; other causes look alike."""
    LOW = "low"
    """One of several that fit."""

    @property
    def rank(self) -> int:
        """0 is the surest."""
        return list(Confidence).index(self)


class Fact(str, Enum):
    """What rules may ask of the run beside its lines; each is a number, or not known."""

    COMPUTE_CAPABILITY = "compute_capability"
    """Of the GPU, as 8.6."""
    GPU_MEMORY = "gpu_memory"
    """The share (0 to 1) of the fullest card's memory in use at the peak."""
    HOST_MEMORY = "host_memory"
    """The share (0 to 1) of the machine's or container's memory in use at the peak."""


class _Entry(BaseModel):
    """Unknown names are errors, values are fixed once checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return pattern


class Condition(_Entry):
    """A bound on a fact."""

    fact: Fact
    at_least: Optional[float] = None
    below: Optional[float] = None
    unknown: Optional[Confidence] = Field(
        default=None, description="the most that may be said where the fact is not known; without it the rule is silent"
    )

    @model_validator(mode="after")
    def _check(self) -> Condition:
        if (self.at_least is None) == (self.below is None):
            raise ValueError("give at_least or below, one of them")
        return self

    def holds(self, value: float) -> bool:
        """Whether a known value is within the bound."""
        return value >= self.at_least if self.at_least is not None else value < self.below


class Ending(_Entry):
    """How a process can end, by its signal or by what is printed of it."""

    signal: Optional[int] = None
    pattern: str = Field(description="{EXIT} in it stands for what is printed before an exit code")
    unless: List[str] = Field(default=[], description="expressions after it that say: that was not the end")

    _expression = field_validator("pattern")(_expression)
    _expressions = field_validator("unless")(lambda patterns: [*map(_expression, patterns)])

    @property
    def wording(self) -> str:
        """`pattern`, or the signal or its exit code as shells, Docker, Python and schedulers print them."""
        pattern = self.pattern.replace("{EXIT}", _EXIT)
        if self.signal is None:
            return pattern
        name = signal.Signals(self.signal).name
        code = rf"(?i:{_EXIT}(?:{128 + self.signal}|-{self.signal})\b(?!\.?\d))"
        return rf"{pattern}|{code}|<Signals\.{name}|(?i:\bsignals?[ :=]+(?:{self.signal}\b(?!\.?\d)|{name}\b))"


class Reading(_Entry):
    """How a line of the log gives a fact away: by a value, or by the number in its groups."""

    fact: Fact
    pattern: str
    value: Optional[float] = None

    _expression = field_validator("pattern")(_expression)


class Rule(_Entry):
    """A known crash. It fires where all that it asks for is there."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    cause: str
    remedy: str
    confidence: Confidence
    source: List[str] = Field(min_length=1, description="where the wording or the explanation comes from")
    lines: List[str] = Field(default=[], description="expressions, each found in a line after the one before")
    within: Optional[int] = Field(default=None, gt=0, description="lines from the first of them to the last or the end")
    anywhere: List[str] = Field(default=[], description="expressions found in whatever order")
    unless: List[str] = Field(default=[], description="expressions that are nowhere after the first of `lines`")
    ends: List[str] = Field(default=[], description="endings, one of which it was, after the last of `lines`")
    conditions: List[Condition] = []
    fatal: bool = Field(default=True, description="a run that ended with exit code 0 cannot have had it")

    _expressions = field_validator("lines", "anywhere", "unless")(lambda patterns: [*map(_expression, patterns)])

    @model_validator(mode="after")
    def _check(self) -> Rule:
        if not (self.lines or self.anywhere or self.ends):
            raise ValueError("a rule needs lines, anywhere or ends")
        return self


class Rules(_Entry):
    """The whole file."""

    success: str = Field(description="found in the last lines of a run that was not ended by anything")
    endings: Dict[str, Ending]
    readings: List[Reading]
    attach: List[str] = Field(min_length=1, description="what a report of an unknown crash needs")
    rules: List[Rule] = Field(min_length=1, description="of two that are as sure, the first is told first")

    _expression = field_validator("success")(_expression)

    @model_validator(mode="after")
    def _check(self) -> Rules:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError(f"a name occurs twice in {names}")
        for rule in self.rules:
            for ending in rule.ends:
                if ending not in self.endings:
                    raise ValueError(f"{rule.name} names the ending {ending}; there are {', '.join(self.endings)}")
        return self


def load(path: Path = PATH) -> Rules:
    """The rules.

    Raises:
        UserError: the file is missing or damaged.

    """
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Rules.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        reason = str(error)
    raise UserError(f"{path} does not hold the rules of triage: {reason}; install mapush_stack again")
