"""Applies the triage rules to a log and to the way in which its process ended."""

from __future__ import annotations

import bisect
import signal
from enum import Enum
from typing import Dict, List, NamedTuple, Optional, Tuple

from ...settings import Settings
from ...system.signals import STOPS
from .log import Log
from .rules import Confidence, Fact, Reading, Rule, Rules

_TAIL = 200
"""Last lines of a log in which an ending is looked for; faulthandler's output on several threads is that long."""
_SHOWN = 5
"""Number of last lines that are shown of an unknown crash."""
_TRACEBACK = r"Traceback \(most recent call last\)"
"""Signals by which people and schedulers stop a run; that is no crash."""


class Verdict(str, Enum):
    """Whether the run failed, and whether the cause is known."""

    KNOWN = "known"
    """A rule fired."""
    UNKNOWN = "unknown"
    """It failed, and no rule fired."""
    HEALTHY = "healthy"
    """Nothing shows that it failed."""


class MatchedLine(Settings):
    """A line of the log or, without a number, another observation such as the exit code."""

    line: Optional[int]
    text: str


class Match(Settings):
    """A rule that fired, with the lines that it fired on."""

    rule: str
    cause: str
    remedy: str
    confidence: Confidence
    evidence: List[MatchedLine]
    source: List[str]


class Diagnosis(Settings):
    """The verdict on a run, and what it is based on."""

    verdict: Verdict
    findings: List[Match]
    """The surest first."""
    exit_code: Optional[int]
    """0 to 255, or a signal's negative number; None if unknown."""
    facts: Dict[Fact, float]
    last_lines: List[MatchedLine]
    """Of an unknown crash."""
    exceptions: List[MatchedLine]
    """Of a healthy run without an exit code: the last traceback, which it survived."""
    attach: List[str]
    """What a report of an unknown crash should contain."""


class _Ending(NamedTuple):
    """An ending that was observed, and the line after which it came."""

    after: int
    evidence: MatchedLine


def diagnose(
    log: Log, rules: Rules, exit_code: Optional[int] = None, facts: Optional[Dict[Fact, float]] = None
) -> Diagnosis:
    """Find out what happened to a run.

    Args:
        log: what the process printed.
        rules: the rules to apply.
        exit_code: of the process, a signal N as -N or 128 + N; None if unknown.
        facts: measured facts about the run and its machine; they win over those in the log.

    """
    if exit_code is not None and 128 < exit_code <= 128 + signal.NSIG:
        exit_code = 128 - exit_code
    known = {**_read(log, rules.readings), **(facts or {})}
    ended = _endings(log, rules, exit_code)
    # Of two equally sure rules the fatal one comes first: what a run can survive is less likely to have ended it.
    succeeded = exit_code == 0 or (
        exit_code is None and not ended and any(log.spans(pattern, last=_SHOWN) for pattern in rules.success)
    )
    tried = [rule for rule in sorted(rules.rules, key=lambda rule: not rule.fatal) if not (rule.fatal and succeeded)]
    found = [_try(rule, log, ended, known) for rule in tried]
    matches = sorted((match for match in found if match), key=lambda match: match.confidence.rank)
    seems_well = not ended and bool(log.last(1))
    healthy = seems_well if exit_code is None else exit_code == 0 or -exit_code in STOPS
    verdict = Verdict.KNOWN if matches else Verdict.HEALTHY if healthy else Verdict.UNKNOWN
    unknown, survived = verdict is Verdict.UNKNOWN, verdict is Verdict.HEALTHY and exit_code is None
    return Diagnosis(
        verdict=verdict,
        findings=matches,
        exit_code=exit_code,
        facts=known,
        last_lines=_evidence(log, log.last(_SHOWN)) if unknown else [],
        exceptions=_evidence(log, log.find(_TRACEBACK)[-1:]) if survived else [],
        attach=rules.attach if unknown else [],
    )


def describe_exit(exit_code: int) -> str:
    """An exit code in words, such as `exit code 1` or `signal 11 (SIGSEGV)`."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"signal {-exit_code} ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"signal {-exit_code}"


def describe_fact(fact: Fact, value: float) -> str:
    """A fact in words."""
    if fact is Fact.COMPUTE_CAPABILITY:
        return f"compute capability {value:.1f}"
    return f"{'GPU' if fact is Fact.GPU_MEMORY else 'host'} memory {100 * value:.0f} % full at the peak"


def _evidence(log: Log, numbers: List[int]) -> List[MatchedLine]:
    return [MatchedLine(line=number, text=log.line(number)) for number in numbers]


def _read(log: Log, readings: List[Reading]) -> Dict[Fact, float]:
    """The facts found in the log; of several readings of a fact, the one in the last line."""
    facts: Dict[Fact, Tuple[int, float]] = {}
    for reading in readings:
        found = log.groups(reading.pattern)
        if found and found[0] > facts.get(reading.fact, (0, 0.0))[0]:
            value = float(".".join(found[1])) if reading.value is None else reading.value
            facts[reading.fact] = found[0], value
    return {fact: value for fact, (_, value) in facts.items()}


def _endings(log: Log, rules: Rules, exit_code: Optional[int]) -> Dict[str, _Ending]:
    """The observed endings, by their names in the rules."""
    if exit_code == 0:
        return {}
    ended = {}
    for name, ending in rules.endings.items():
        first, last = (log.spans(ending.wording, last=_TAIL) or [(0, 0)])[-1]
        went_on = [span for pattern in ending.unless for span in log.spans(pattern, last=_TAIL) if span[0] > first]
        if last and not went_on:
            ended[name] = _Ending(last, *_evidence(log, [first]))
        elif exit_code is not None and ending.signal == -exit_code:
            ended[name] = _Ending(len(log) + 1, MatchedLine(line=None, text=describe_exit(exit_code)))
    return ended


def _try(rule: Rule, log: Log, ended: Dict[str, _Ending], facts: Dict[Fact, float]) -> Optional[Match]:
    """The match of a rule; None if it does not fire."""
    lines = _sequence(log, rule.lines, rule.within)
    anywhere = [log.find(pattern)[-1:] for pattern in rule.anywhere]
    if lines is None or not all(anywhere):
        return None
    if any(number > (lines or [0])[0] for pattern in rule.unless for number in log.find(pattern)):
        return None
    endings = [ended[name] for name in rule.ends if name in ended and ended[name].after >= (lines or [0])[-1]]
    if rule.within and lines:
        endings = [ending for ending in endings if ending.after - lines[0] <= rule.within]
    confidence = _confidence(rule, facts)
    if confidence is None or (rule.ends and not endings):
        return None
    numbers = sorted({*lines, *(number for numbers in anywhere for number in numbers)})
    known = [bound.fact for bound in rule.conditions if bound.fact in facts]
    evidence = [*_evidence(log, numbers), *(ending.evidence for ending in endings[:1])]
    evidence += [MatchedLine(line=None, text=describe_fact(fact, facts[fact])) for fact in known]
    return Match(
        rule=rule.name,
        cause=" ".join(rule.cause.split()),
        remedy=" ".join(rule.remedy.split()),
        confidence=confidence,
        evidence=evidence,
        source=rule.source,
    )


def _sequence(log: Log, patterns: List[str], within: Optional[int]) -> Optional[List[int]]:
    """Numbers of lines that match expressions in this order, as near to the end as possible; None without any."""
    if not patterns:
        return []
    for last in reversed(log.find(patterns[-1])):
        lines = [last]
        for pattern in reversed(patterns[:-1]):
            found = log.find(pattern)
            before = bisect.bisect_left(found, lines[0])
            lines[:0] = found[before - 1 : before] if before else []
        if len(lines) == len(patterns) and (within is None or last - lines[0] <= within):
            return lines
    return None


def _confidence(rule: Rule, facts: Dict[Fact, float]) -> Optional[Confidence]:
    """The confidence of a rule under these facts; None if a condition does not hold."""
    confidence = rule.confidence
    for condition in rule.conditions:
        if condition.fact in facts:
            if not condition.holds(facts[condition.fact]):
                return None
        elif condition.unknown is None:
            return None
        else:
            confidence = max(confidence, condition.unknown, key=lambda one: one.rank)
    return confidence
