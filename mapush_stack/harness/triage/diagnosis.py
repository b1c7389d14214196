"""Applies the triage rules to a log and to the way in which its process ended."""

from __future__ import annotations

import bisect
import hashlib
import re
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
"""Number of last lines in which a run says that it succeeded, or may have failed."""
_APART = 4
"""Most lines between two errors that belong together."""
_TRACEBACK = r"Traceback \(most recent call last\)"
_RAISED = rf"^([ \t]*)(?=\S).*{_TRACEBACK}.*\n(?:\1[ \t│|].*\n|[ \t]*\n)*(?:╰.*\n)?\1[^\s│|╰]"
"""A traceback up to the start of its exception, which is indented as its head is."""
_CHAINED = r"^[ \t]*(?:During handling of the above exception|The above exception was the direct cause)"
_FRAME = r'^[ \t]*File ".*", line \d+, in '


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
    """What explains how the run ended, the surest first."""
    noticed: List[Match]
    """What else was found: it does not explain how the run ended."""
    exit_code: Optional[int]
    """0 to 255, or a signal's negative number; None if unknown."""
    facts: Dict[Fact, float]
    telling: List[MatchedLine]
    """Of an unknown crash: its first error, the innermost frame of its last exception, and its last error."""
    fingerprint: Optional[str]
    """Of an unknown crash: the same for the same crash, whatever its numbers, addresses, folders and times."""
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
    errors = _errors(log, rules)
    end = _end(log, rules, errors)
    if log.spans(_RAISED) and not any(error.traceback for error in errors):
        ended.pop("traceback", None)  # it went on after the exception
    # Of two equally sure rules the fatal one comes first: what a run can survive is less likely to have ended it.
    tried = sorted(rules.rules, key=lambda rule: not rule.fatal)
    found = [(rule, *match) for rule in tried for match in [_try(rule, log, ended, known)] if match]
    failed = None if exit_code is None and not ended else exit_code != 0
    explaining = {rule.name for rule, last, _ in found if _explains(rule, last, log, rules, end, failed)}
    findings = [match for *_, match in found if match.rule in explaining]
    noticed = [match for *_, match in found if match.rule not in explaining]
    if exit_code is None:
        healthy = not ended and bool(log.last(1)) and not _doubts(log, rules)
    else:
        healthy = exit_code == 0 or -exit_code in STOPS
    verdict = Verdict.KNOWN if findings else Verdict.HEALTHY if healthy else Verdict.UNKNOWN
    unknown, survived = verdict is Verdict.UNKNOWN, verdict is Verdict.HEALTHY and exit_code is None
    telling = _evidence(log, end.telling or log.last(_SHOWN)) if unknown else []
    crash = [one.text for one in telling] + ([] if end.telling or exit_code is None else [describe_exit(exit_code)])
    return Diagnosis(
        verdict=verdict,
        findings=sorted(findings, key=lambda match: match.confidence.rank),
        noticed=noticed,
        exit_code=exit_code,
        facts=known,
        telling=telling,
        fingerprint=_fingerprint(crash) if crash else None,
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


def _fingerprint(lines: List[str]) -> str:
    """A short name for a crash."""
    text = re.sub(r"[^\s'\"(]*[/\\]", "", "\n".join(lines))
    text = re.sub(r"\b(?:0x)?[0-9a-fA-F]*\d[0-9a-fA-F]*\b|\d+", "#", text)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


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


class _Error(NamedTuple):
    """An error line, or an exception with its traceback."""

    first: int
    """Line of the error, or of the head of its traceback."""
    line: int
    traceback: bool


class _End(NamedTuple):
    """The last errors of a log, which say how it ended."""

    first: int
    """Line with which they start; 0 if no error says anything, so that any line may explain the end."""
    error: str
    """The last error that says something; it may be empty."""
    telling: List[int]


def _end(log: Log, rules: Rules, errors: List[_Error]) -> _End:
    """The errors with which a log ends.

    The last error counts, with the errors of the same kind just before it, such as an exception that led to another.
    Errors that only say that something else failed are left out.
    """
    said = [error for error in errors if not _matches(rules.vague, log.line(error.line))]
    if not said:
        return _End(0, "", [error.line for error in (errors[:1] + errors[1:][-1:])])
    first = last = said[-1]
    chained = log.find(_CHAINED)
    for error in reversed(errors[: errors.index(last)]):
        near = first.first - error.line <= _APART or any(error.line < one < first.first for one in chained)
        if error.traceback != last.traceback or not near:
            break
        first = error
    frame = [one for one in log.find(_FRAME) if last.first < one < last.line][-1:]
    return _End(first.first, log.line(last.line), sorted({said[0].line, *frame, last.line}))


def _errors(log: Log, rules: Rules) -> List[_Error]:
    """The errors in the last lines that no progress follows, in their order."""
    well = max((first for pattern in _well(rules) for first, _ in log.spans(pattern, last=_TAIL)), default=0)
    raised = [_Error(first, last, True) for first, last in log.spans(_RAISED) if last > max(well, len(log) - _TAIL)]
    printed = {first for first, _ in log.spans(rules.endings["failure"].wording, last=_TAIL) if first > well}
    told = {number for error in raised for number in range(error.first, error.line + 1)}
    return sorted([*raised, *(_Error(line, line, False) for line in printed - told)], key=lambda error: error.line)


def _explains(rule: Rule, last: int, log: Log, rules: Rules, end: _End, failed: Optional[bool]) -> bool:
    """Whether a rule whose last line is `last` explains how the run ended; `failed` is None if that is unknown."""
    if failed:
        return last >= end.first or _matches(rule.leads_to, end.error)
    survived = failed is False or any(log.spans(pattern, last=len(log) - last) for pattern in _well(rules))
    return not (rule.fatal and survived)


def _matches(patterns: List[str], text: str) -> bool:
    return any(re.search(pattern, text) for pattern in patterns)


def _well(rules: Rules) -> List[str]:
    """Expressions of lines that show progress or success."""
    return [*rules.work, *rules.success]


def _doubts(log: Log, rules: Rules) -> bool:
    """Whether the last lines speak of a failure, and no progress or success follows."""
    doubts = [number for pattern in rules.doubts for number in log.find(pattern) if number >= log.last(_SHOWN)[0]]
    calm = [number for pattern in (*_well(rules), *rules.calm) for number in log.find(pattern) if number not in doubts]
    return bool(doubts) and max(doubts) > max(calm, default=0)


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


def _try(rule: Rule, log: Log, ended: Dict[str, _Ending], facts: Dict[Fact, float]) -> Optional[Tuple[int, Match]]:
    """The last line of the evidence for a rule, and its match; None if it does not fire."""
    lines = _sequence(log, rule.lines, rule.within)
    anywhere = [log.find(pattern)[-1:] for pattern in rule.anywhere]
    if lines is None or not all(anywhere):
        return None
    if any(number > (lines or [0])[0] for pattern in rule.unless for number in log.find(pattern)):
        return None
    if any(map(log.find, rule.nowhere)):
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
    match = Match(
        rule=rule.name,
        cause=" ".join(rule.cause.split()),
        remedy=" ".join(rule.remedy.split()),
        confidence=confidence,
        evidence=evidence,
        source=rule.source,
    )
    return (numbers[-1] if numbers else endings[0].after), match


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
