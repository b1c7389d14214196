"""The one vocabulary of metrics; its data is `vocabulary.yaml`."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Pattern, Tuple

import yaml

from .events import Series

_FACTORS = {"1 / robots": lambda robots: 1 / robots, "2 / robots": lambda robots: 2 / robots, "-1": lambda robots: -1.0}


class Tag(NamedTuple):
    """A metric of the vocabulary."""

    unit: str
    meaning: str


class _Rule(NamedTuple):
    """What becomes of a library's tag."""

    pattern: Pattern[str]
    template: Optional[str]
    """Of the vocabulary's tag; None where it only looks like one."""
    factor: Optional[str] = None
    note: Optional[str] = None
    """What the reader must know."""


class _Vocabulary(NamedTuple):
    tags: Dict[str, Tag]
    known: Pattern[str]
    rules: Dict[str, List[_Rule]]
    """By library."""
    derived: Dict[str, str]


class Translation(NamedTuple):
    """A run's series by the vocabulary."""

    series: Dict[str, Series]
    unknown: Dict[str, Series]
    """Those that no rule maps, by their own tags."""
    needs_robots: bool
    """Whether a series was divided by the number of robots."""
    notes: List[str]
    """What the reader must know of them."""


@functools.lru_cache(maxsize=None)
def _vocabulary() -> _Vocabulary:
    plain = yaml.safe_load((Path(__file__).parent / "vocabulary.yaml").read_text(encoding="utf-8"))
    tags = {name: Tag(**entry) for name, entry in plain["tags"].items()}
    patterns = [re.escape(name).replace(r"\#", "#").replace("#", r"\d+") for name in tags]
    rules = {
        library: [_Rule(re.compile(rule["from"]), rule["to"], rule.get("times"), rule.get("note")) for rule in found]
        for library, found in plain["libraries"].items()
    }
    return _Vocabulary(tags, re.compile("|".join(patterns + plain["families"])), rules, plain["derived"])


def tags() -> Dict[str, Tag]:
    """Every tag that a run should have, with robot 0 for `#`."""
    return {name.replace("#", "0"): tag for name, tag in _vocabulary().tags.items()}


def describe(tag: str) -> Optional[Tag]:
    """What a tag means, whichever robot's it is; None where the vocabulary does not say."""
    return _vocabulary().tags.get(re.sub(r"^agent\d+/", "agent#/", tag))


def derivation(tag: str) -> str:
    """How a derived tag is computed."""
    return _vocabulary().derived[tag]


def translate(series: Dict[str, Series], library: str, robots: int) -> Translation:
    """Bring a library's series under the vocabulary's tags and into its units."""
    vocabulary = _vocabulary()
    known: Dict[str, Series] = {}
    unknown: Dict[str, Series] = {}
    needs_robots = False
    notes: Dict[str, None] = {}
    for tag, found in series.items():
        new, rule = _rule(vocabulary, tag, library)
        if new is None:
            unknown[tag] = found
            continue
        if rule is not None and rule.note is not None:
            notes[rule.note] = None
        if rule is not None and rule.factor is not None:
            needs_robots = needs_robots or "robots" in rule.factor
            found = found._replace(values=found.values * _FACTORS[rule.factor](robots))
        known[new] = found
    return Translation(known, unknown, needs_robots, list(notes))


def _rule(vocabulary: _Vocabulary, tag: str, library: str) -> Tuple[Optional[str], Optional[_Rule]]:
    """The vocabulary's name for a tag, None without one, and the library's rule that says so."""
    for rule in vocabulary.rules.get(library, []):
        match = rule.pattern.fullmatch(tag)
        if match:
            return (None if rule.template is None else match.expand(rule.template)), rule
    return (tag if vocabulary.known.fullmatch(tag) else None), None
