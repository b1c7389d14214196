"""One name and unit per metric for all libraries, as listed in `metric_names.yaml`."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

from pydantic import Field

from ..rules import load_rules
from ..settings import Settings
from .events import Series

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
    note: Optional[str] = None
    """A warning for the reader of such a run."""


class MetricNames(Settings):
    """The content of `metric_names.yaml`."""

    tags: Dict[str, Metric]
    families: List[str]
    libraries: Dict[str, List[Translation]]
    derived: Dict[str, str]


class Translated(NamedTuple):
    """A run's series under our tags."""

    series: Dict[str, Series]
    unknown: Dict[str, Series]
    """Series that no rule translates, by their own tags."""
    needs_robots: bool
    """True if a series was divided by the number of robots."""
    notes: List[str]
    """Warnings about the series."""


@functools.lru_cache(maxsize=None)
def _names() -> MetricNames:
    return load_rules(PATH, MetricNames, "the names of metrics")


@functools.lru_cache(maxsize=None)
def _own_tag() -> str:
    """Regular expression of our own tags."""
    patterns = [re.escape(name).replace(r"\#", "#").replace("#", r"\d+") for name in _names().tags]
    return "|".join(patterns + _names().families)


def tags() -> List[str]:
    """Every tag that a run should have, with robot 0 for `#`."""
    return [name.replace("#", "0") for name in _names().tags]


def derivation(tag: str) -> str:
    """How a derived tag is computed."""
    return _names().derived[tag]


def translate(series: Dict[str, Series], library: str, robots: int) -> Translated:
    """Translate a library's series into our tags and units."""
    result = Translated({}, {}, False, [])
    for tag, one in series.items():
        name, rule = _translation(tag, library)
        if name is None:
            result.unknown[tag] = one
            continue
        if rule is not None:
            if rule.note is not None and rule.note not in result.notes:
                result.notes.append(rule.note)
            number, _, per_robot = rule.times.partition(" / ")
            result = result._replace(needs_robots=result.needs_robots or bool(per_robot))
            one = one._replace(values=one.values * (int(number) / (robots if per_robot else 1)))
        result.series[name] = one
    return result


def _translation(tag: str, library: str) -> Tuple[Optional[str], Optional[Translation]]:
    """Our name of a tag (None if it has none), and the library's rule that gave it."""
    for rule in _names().libraries.get(library, []):
        match = re.fullmatch(rule.pattern, tag)
        if match:
            return (None if rule.name is None else match.expand(rule.name)), rule
    return (tag if re.fullmatch(_own_tag(), tag) else None), None
