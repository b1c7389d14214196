"""Triage rules: YAML files that say which crashes are known, how they show, and what to do about them."""

from __future__ import annotations

import re
import signal
from enum import Enum
from pathlib import Path
from typing import Any, Dict, List, Optional

from pydantic import Field, field_validator, model_validator

from ...errors import UserError
from ...registry import Registry
from ...rules import load_rules
from ...settings import Settings

PATH = Path(__file__).resolve().parent / "rules.yaml"
"""The project's own rules about simulators and learners, and what all files need."""
_MACHINE = PATH.with_name("machine.yaml")
"""Those about the machine and its installation."""
_EXIT = (
    r"(?:\b(?:exit(?:ed|s)?|return(?:ed)?)(?: with)?(?: a)?(?: non-zero)?(?: exit)? (?:code|status)[\"']? *[:=(]? *"
    r"|\b(?:exit(?:ed)?|exit_?code|return_?code|rc)[\"']? *[:=(] *|\bexit(?:ed)? with )"
)
"""What is printed before an exit code, such as `exited with code `, `returned non-zero exit status ` or `Exited (`.

It is neither the `exit ` of a shell script nor the return of an episode.
"""


class Confidence(str, Enum):
    """How sure a rule is."""

    HIGH = "high"
    """The lines say it themselves, or nothing else is possible."""
    MEDIUM = "medium"
    """The usual cause; others look alike."""
    LOW = "low"
    """One of several possible causes."""

    @property
    def rank(self) -> int:
        """0 is the surest."""
        return list(Confidence).index(self)


class Fact(str, Enum):
    """What rules may ask about the run and its machine besides lines; each is a number or unknown."""

    COMPUTE_CAPABILITY = "compute_capability"
    """Of the GPU, such as 8.6."""
    GPU_MEMORY = "gpu_memory"
    """Share (0 to 1) of the fullest card's memory in use at the peak."""
    HOST_MEMORY = "host_memory"
    """Share (0 to 1) of the machine's or container's memory in use at the peak."""


def _checked_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return pattern


def _checked_expressions(patterns: List[str]) -> List[str]:
    return [_checked_expression(pattern) for pattern in patterns]


class Condition(Settings):
    """A bound on a fact."""

    fact: Fact
    at_least: Optional[float] = None
    below: Optional[float] = None
    unknown: Optional[Confidence] = Field(
        default=None, description="highest confidence if the fact is unknown; without it the rule then does not fire"
    )

    @model_validator(mode="after")
    def _check(self) -> Condition:
        if (self.at_least is None) == (self.below is None):
            raise ValueError("give at_least or below, one of them")
        return self

    def holds(self, value: float) -> bool:
        """Whether a known value is within the bound."""
        above = self.at_least is None or value >= self.at_least
        return above and (self.below is None or value < self.below)


class Ending(Settings):
    """A way in which a process can end, known by its signal or by what is printed."""

    signal: Optional[int] = None
    pattern: str = Field(
        description="{EXIT} in it stands for what is printed before an exit code, {ERROR} for the `errors` of the files"
    )
    unless: List[str] = Field(default=[], description="expressions that, found later, show that the run went on")

    _expression = field_validator("pattern")(_checked_expression)
    _expressions = field_validator("unless")(_checked_expressions)

    @property
    def wording(self) -> str:
        """`pattern`, or the signal or its exit code as shells, Docker, Python and schedulers print them."""
        pattern = self.pattern.replace("{EXIT}", _EXIT)
        if self.signal is None:
            return pattern
        name = signal.Signals(self.signal).name
        code = rf"(?i:{_EXIT}(?:{128 + self.signal}|-{self.signal})\b(?!\.?\d))"
        return rf"{pattern}|{code}|<Signals\.{name}|(?i:\bsignals?[ :=]+(?:{self.signal}\b(?!\.?\d)|{name}\b))"


class Reading(Settings):
    """How a line of the log tells a fact: as a fixed value, or as the number in the expression's groups."""

    fact: Fact
    pattern: str
    value: Optional[float] = None

    _expression = field_validator("pattern")(_checked_expression)


class Rule(Settings):
    """A known crash. The rule fires if everything that it asks for is found."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    cause: str
    remedy: str
    confidence: Confidence
    source: List[str] = Field(min_length=1, description="where the wording or the explanation comes from")
    lines: List[str] = Field(default=[], description="expressions, each found in a line after the one before")
    within: Optional[int] = Field(default=None, gt=0, description="lines from the first of them to the last or the end")
    anywhere: List[str] = Field(default=[], description="expressions found in any order")
    unless: List[str] = Field(default=[], description="expressions not found after the first of `lines`")
    nowhere: List[str] = Field(default=[], description="expressions not found in any line")
    ends: List[str] = Field(default=[], description="the process ended in one of these ways, after the last of `lines`")
    conditions: List[Condition] = Field(default=[])
    leads_to: List[str] = Field(
        default=[], description="last errors of other words that it explains, beside those that say nothing (`vague`)"
    )
    fatal: bool = Field(default=True, description="false if a run that ends with exit code 0 can have had it")

    _expressions = field_validator("lines", "anywhere", "unless", "nowhere", "leads_to")(_checked_expressions)

    @model_validator(mode="after")
    def _check(self) -> Rule:
        if not (self.lines or self.anywhere or self.ends):
            raise ValueError("a rule needs lines, anywhere or ends")
        return self


class Rules(Settings):
    """A file of rules, or all registered files together."""

    success: List[str] = Field(default=[], description="found in the last lines of a run that succeeded")
    work: List[str] = Field(default=[], description="lines of a run that makes progress")
    errors: List[str] = Field(default=[], description="how programs start the line that says that they failed")
    vague: List[str] = Field(default=[], description="errors that only say that something else failed")
    doubts: List[str] = Field(default=[], description="found in the last lines of a run that may have failed")
    calm: List[str] = Field(default=[], description="what allays doubts if it comes later")
    files: List[str] = Field(default=[], description="how a log names another log: the first group is its path")
    endings: Dict[str, Ending] = Field(default={})
    readings: List[Reading] = Field(default=[])
    attach: List[str] = Field(default=[], description="what a report of an unknown crash needs")
    rules: List[Rule] = Field(default=[], description="of two that are equally sure, the first is reported first")

    _expressions = field_validator("success", "work", "errors", "vague", "doubts", "calm", "files")(
        _checked_expressions
    )


RULES: Registry[Rule] = Registry("triage rule")
_ENDINGS: Registry[Ending] = Registry("process ending")
FILES: Dict[Path, Rules] = {}
"""The registered files."""


def register_triage_rules(path: Path) -> None:
    """Add the rules of a YAML file like `rules.yaml`; they may use its endings.

    Raises:
        UserError: the file is missing or damaged, a name is taken, or a rule uses an unknown ending.

    """
    remedy = "install mapush_stack again" if path in (PATH, _MACHINE) else "correct the file"
    added = load_rules(path, Rules, "triage rules", remedy)
    for rule in added.rules:
        for ending in rule.ends:
            if ending not in added.endings and ending not in _ENDINGS:
                raise UserError(f"{path}: in the rule {rule.name}, {_ENDINGS.unknown(ending)}")
    for name, one in added.endings.items():
        _ENDINGS.register(name, one)
    for rule in added.rules:
        RULES.register(rule.name, rule)
    FILES[path] = added


def registered() -> Rules:
    """All registered rules."""
    lists = ("success", "work", "errors", "vague", "doubts", "calm", "files", "readings", "attach")
    joined: Dict[str, Any] = {name: [one for file in FILES.values() for one in getattr(file, name)] for name in lists}
    error = "|".join(f"(?:{pattern})" for pattern in joined["errors"])
    endings = {name: _ENDINGS[name] for name in _ENDINGS}
    for name, ending in endings.items():
        endings[name] = ending.model_copy(update={"pattern": ending.pattern.replace("{ERROR}", error)})
    return Rules(**joined, endings=endings, rules=[RULES[name] for name in RULES])


register_triage_rules(PATH)
register_triage_rules(_MACHINE)
