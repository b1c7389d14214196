"""One name and unit per metric for all libraries, as listed in `metric_names.yaml`."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from pydantic import Field

from ..rules import load_rules
from ..settings import Settings
from . import axes
from .events import Series
from .layouts.layout import NATIVE

PATH = Path(__file__).parent / "metric_names.yaml"


class Metric(Settings):
    """A metric that every run should have."""

    unit: str
    meaning: str


class Translation(Settings):
    """A rule that translates a library's tag."""

    pattern: str = Field(alias="from")
    name: Optional[str] = Field(alias="to")
    """Our tag, with the pattern's groups; None to leave out a tag that only looks like ours."""
    times: str = Field(default="1", pattern=r"^-?\d+( / robots)?$")
    """Factor of the values."""


class Tool(Settings):
    """A program that is recognised by its tags."""

    sign: str
    """Regular expression of a tag that only this program writes."""
    axis: str
    """What its steps count, in the plural."""


class MetricNames(Settings):
    """The content of `metric_names.yaml`."""

    tags: Dict[str, Metric]
    families: List[str]
    libraries: Dict[str, List[Translation]]
    tools: Dict[str, Tool]
    derived: Dict[str, str]


class Translated(NamedTuple):
    """A run's series under our tags."""

    series: Dict[str, Series]
    unknown: Dict[str, Series]
    """Series that no rule translates, by their own tags."""
    needs_robots: bool
    """True if a series was divided by the number of robots."""
    origins: Dict[str, str]
    """The run's own tag of each series."""


@functools.lru_cache(maxsize=None)
def _names() -> MetricNames:
    return load_rules(PATH, MetricNames, "the names of metrics")


@functools.lru_cache(maxsize=None)
def _own_tag() -> str:
    """Regular expression of our own tags."""
    return "|".join([*map(_pattern, _names().tags), *_names().families])


def _pattern(name: str) -> str:
    return re.escape(name).replace(r"\#", "#").replace("#", r"\d+")


def tags() -> List[str]:
    """Every tag that a run should have, with robot 0 for `#`."""
    return [name.replace("#", "0") for name in _names().tags]


def derivation(tag: str) -> str:
    """How a derived tag is computed."""
    return _names().derived[tag]


def is_own(tag: str) -> bool:
    """True for a tag of this project."""
    return bool(re.fullmatch(_own_tag(), tag))


def recognise(tags: Iterable[str]) -> Tuple[str, str]:
    """The program that logs such tags, and what its steps count; "tensorboard" if it is not known."""
    known = list(tags)
    for name, tool in _names().tools.items():
        if any(re.fullmatch(tool.sign, tag) for tag in known):
            return name, tool.axis
    ours = any(re.fullmatch(_pattern(name), tag) for name in _names().tags for tag in known)
    return "tensorboard", axes.STEPS if ours else axes.UNKNOWN


def translate(series: Dict[str, Series], library: str, robots: int, renamed: Mapping[str, str]) -> Translated:
    """Translate a library's series into our tags and units; `renamed` maps further tags to ours."""
    result = Translated({}, {}, False, {})
    rules = _names().libraries
    own = _own_tag() if library in NATIVE else "|".join(map(_pattern, _names().tags))
    if library == "tensorboard" and any(re.fullmatch(own, tag) for tag in series):
        own = _own_tag()
    for tag, one in sorted(series.items(), key=lambda pair: pair[0] not in renamed):
        name, rule = renamed.get(tag), None
        if name is None:
            name, rule = _translation(tag, rules.get(library, rules["tensorboard"]), own)
        if name is None or name in result.series:
            result.unknown[tag] = one
            continue
        if rule is not None:
            number, _, per_robot = rule.times.partition(" / ")
            result = result._replace(needs_robots=result.needs_robots or bool(per_robot))
            one = one._replace(values=one.values * (int(number) / (robots if per_robot else 1)))
        result.series[name], result.origins[name] = one, tag
    return result


def _translation(tag: str, rules: Sequence[Translation], own: str) -> Tuple[Optional[str], Optional[Translation]]:
    """Our name of a tag (None if it has none), and the rule that gave it."""
    for rule in rules:
        match = re.fullmatch(rule.pattern, tag)
        if match:
            return (None if rule.name is None else match.expand(rule.name)), rule
    return (tag if re.fullmatch(own, tag) else None), None
