"""What the rules say of a log and of how its process ended."""

from __future__ import annotations

import bisect
import signal
from enum import Enum
from typing import Dict, List, NamedTuple, Optional, Tuple

from pydantic import BaseModel, ConfigDict

from .log import Log
from .rules import Confidence, Fact, Reading, Rule, Rules

_TAIL = 200
"""Lines at the end of a log where a crash is told: as long as faulthandler's account of some threads."""
_SHOWN = 5
"""Last lines shown of an unknown crash."""
_TRACEBACK = r"Traceback \(most recent call last\)"
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""How people and schedulers stop a run; no crash."""


class Verdict(str, Enum):
    """What became of the run."""

    KNOWN = "known"
    """A rule knows the crash."""
    UNKNOWN = "unknown"
    """It failed, and no rule knows why."""
    HEALTHY = "healthy"
    """Nothing says that it failed."""


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Evidence(_Told):
    """A line of the log, or, without a number, something that was observed."""

    line: Optional[int]
    text: str


class Finding(_Told):
    """A rule that fired."""

    rule: str
    cause: str
    remedy: str
    confidence: Confidence
    evidence: List[Evidence]
    source: List[str]


class Diagnosis(_Told):
    """The answer."""

    verdict: Verdict
    findings: List[Finding]
    """The surest first."""
    exit_code: Optional[int]
    """0 to 255 or, for a signal, its negative number."""
    facts: Dict[Fact, float]
    last_lines: List[Evidence]
    """Of an unknown crash."""
    exceptions: List[Evidence]
    """Where nothing says that it failed: the last traceback, after which more was printed."""
    attach: List[str]
    """To a report of an unknown crash."""


class _Ended(NamedTuple):
    """An ending that was seen, and after which line it came."""

    after: int
    evidence: Evidence


def diagnose(log: Log, rules: Rules, exit_code: Optional[int] = None, facts: Optional[Dict] = None) -> Diagnosis:
    """Say what happened.

    Args:
        log: what the process printed.
        rules: what is known.
        exit_code: of the process; a signal N as -N or, as shells have it, 128 + N. None where nobody knows it.
        facts: what is known of the run and its machine beside the log, by `Fact`.

    """
    if exit_code is not None and 128 < exit_code <= 128 + signal.NSIG:
        exit_code = 128 - exit_code
    known = {**_read(log, rules.readings), **(facts or {})}
    ended = _endings(log, rules, exit_code)
    # Of two that are as sure, what a run can survive is less likely the reason that this one did not.
    succeeded = exit_code == 0 or (exit_code is None and not ended and bool(log.spans(rules.success, last=_SHOWN)))
    tried = [rule for rule in sorted(rules.rules, key=lambda rule: not rule.fatal) if not (rule.fatal and succeeded)]
    found = [_try(rule, log, ended, known) for rule in tried]
    findings = sorted((finding for finding in found if finding), key=lambda finding: finding.confidence.rank)
    if findings:
        verdict = Verdict.KNOWN
    elif exit_code is None:
        verdict = Verdict.UNKNOWN if ended or not log.last(1) else Verdict.HEALTHY
    elif exit_code == 0 or -exit_code in _STOPS:
        verdict = Verdict.HEALTHY
    else:
        verdict = Verdict.UNKNOWN
    unknown = verdict is Verdict.UNKNOWN
    return Diagnosis(
        verdict=verdict,
        findings=findings,
        exit_code=exit_code,
        facts=known,
        last_lines=_evidence(log, log.last(_SHOWN)) if unknown else [],
        exceptions=_evidence(log, log.find(_TRACEBACK)[-1:])
        if verdict is Verdict.HEALTHY and exit_code is None
        else [],
        attach=rules.attach if unknown else [],
    )


def describe_exit(exit_code: int) -> str:
    """An exit code in words: `exit code 1`, `signal 11 (SIGSEGV)`."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"signal {-exit_code} ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"signal {-exit_code}"


def say_fact(fact: Fact, value: float) -> str:
    """A fact in words."""
    if fact is Fact.COMPUTE_CAPABILITY:
        return f"compute capability {value:.1f}"
    return f"{'GPU' if fact is Fact.GPU_MEMORY else 'host'} memory {100 * value:.0f} % full at the peak"


def _evidence(log: Log, numbers: List[int]) -> List[Evidence]:
    return [Evidence(line=number, text=log.line(number)) for number in numbers]


def _read(log: Log, readings: List[Reading]) -> Dict[Fact, float]:
    """The facts that lines give away; of two, the later line's."""
    facts: Dict[Fact, Tuple[int, float]] = {}
    for reading in readings:
        found = log.groups(reading.pattern)
        if found and found[0] > facts.get(reading.fact, (0, 0.0))[0]:
            value = float(".".join(found[1])) if reading.value is None else reading.value
            facts[reading.fact] = found[0], value
    return {fact: value for fact, (_, value) in facts.items()}


def _endings(log: Log, rules: Rules, exit_code: Optional[int]) -> Dict[str, _Ended]:
    """How it ended, by the names of rules.yaml."""
    if exit_code == 0:
        return {}
    ended = {}
    for name, ending in rules.endings.items():
        first, last = (log.spans(ending.wording, last=_TAIL) or [(0, 0)])[-1]
        went_on = [span for pattern in ending.unless for span in log.spans(pattern, last=_TAIL) if span[0] > first]
        if last and not went_on:
            ended[name] = _Ended(last, *_evidence(log, [first]))
        elif exit_code is not None and ending.signal == -exit_code:
            ended[name] = _Ended(len(log) + 1, Evidence(line=None, text=describe_exit(exit_code)))
    return ended


def _try(rule: Rule, log: Log, ended: Dict[str, _Ended], facts: Dict[Fact, float]) -> Optional[Finding]:
    """What a rule says, None where it is silent."""
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
    evidence = _evidence(log, numbers)
    evidence += [ending.evidence for ending in endings[:1]]
    evidence += [
        Evidence(line=None, text=say_fact(bound.fact, facts[bound.fact]))
        for bound in rule.conditions
        if bound.fact in facts
    ]
    return Finding(
        rule=rule.name,
        cause=" ".join(rule.cause.split()),
        remedy=" ".join(rule.remedy.split()),
        confidence=confidence,
        evidence=evidence,
        source=rule.source,
    )


def _sequence(log: Log, patterns: List[str], within: Optional[int]) -> Optional[List[int]]:
    """Lines in which expressions are found one after the other, as near to the log's end as can be; None for none."""
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
    """How sure a rule is; None where a bound does not hold."""
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
