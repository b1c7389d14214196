"""What the rules say of a run."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional

from pydantic import BaseModel, ConfigDict, field_serializer

from ..run import LoggedRun
from .checklist import CRITERIA
from .checks import CHECKS
from .facts import facts, get
from .rules import ChangeRule, Rule, Rules, Severity
from .subject import NotJudgedError, Observed, Subject


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Evidence(_Told):
    """A number that was logged, or a mean or median that ends at `steps`."""

    tag: str
    steps: int
    value: float

    @field_serializer("value", when_used="json")
    def _plain(self, value: float) -> Any:
        # JSON has no word for NaN and infinity.
        return value if math.isfinite(value) else str(value)


class Change(_Told):
    """What to try: a field of this project's configuration."""

    field: str
    now: Any
    """What the run had; None where its files do not say."""
    value: Any
    why: str


class Finding(_Told):
    """Something that is wrong with the run."""

    rule: str
    title: str
    severity: Severity
    sentence: str
    why: str
    evidence: List[Evidence]
    changes: List[Change]
    source: List[str]


class Tick(_Told):
    """A line of the checklist; `met` is None where it cannot be said."""

    name: str
    title: str
    met: Optional[bool]
    sentence: str


class Diagnosis(_Told):
    """The answer."""

    findings: List[Finding]
    """Severe ones first."""
    checklist: List[Tick]
    not_judged: Dict[str, str]
    """Rules that had nothing to look at, and why."""
    judged: int
    """Rules that had something to look at; with `not_judged`, all of them."""

    @property
    def scanty(self) -> bool:
        """Whether the logs let less than half of the rules be judged, so that finding nothing says little."""
        return self.judged < len(self.not_judged)

    @property
    def severe(self) -> bool:
        """Whether anything severe was found."""
        return any(finding.severity is Severity.SEVERE for finding in self.findings)


def diagnose(run: LoggedRun, rules: Rules) -> Diagnosis:
    """Look for everything that the rules know."""
    subject = Subject(run, facts(run, rules), rules)
    findings: Dict[str, Finding] = {}
    not_judged: Dict[str, str] = {}
    for rule in rules.rules:
        if any(name in findings for name in rule.unless):
            continue
        try:
            observed = CHECKS[rule.name](subject, rule.thresholds)
        except NotJudgedError as reason:
            not_judged[rule.name] = str(reason)
            continue
        if observed is not None:
            findings[rule.name] = _finding(rule, observed, run.config)
    ordered = sorted(findings.values(), key=lambda finding: list(Severity).index(finding.severity))
    return Diagnosis(
        findings=ordered,
        checklist=[_tick(subject, one) for one in rules.checklist],
        not_judged=not_judged,
        judged=len(rules.rules) - len(not_judged),
    )


def _tick(subject: Subject, criterion: Any) -> Tick:
    try:
        met, sentence = CRITERIA[criterion.name](subject, criterion.tolerance)
    except NotJudgedError as reason:
        met, sentence = None, str(reason)
    return Tick(name=criterion.name, title=criterion.title, met=met, sentence=sentence)


def _finding(rule: Rule, observed: Observed, config: Dict[str, Any]) -> Finding:
    changes = rule.changes if observed.changes is None else observed.changes
    return Finding(
        rule=rule.name,
        title=rule.title,
        severity=observed.severity or rule.severity,
        sentence=observed.sentence,
        why=rule.why,
        evidence=[Evidence(tag=one.tag, steps=one.steps, value=one.value) for one in observed.evidence],
        changes=[made for made in (_change(change, config) for change in changes) if made is not None],
        source=rule.source,
    )


def _change(change: ChangeRule, config: Dict[str, Any]) -> Optional[Change]:
    """What to try, given what the run had; None where it had just that."""
    now = get(config, *change.field.split("."))
    value: Any = change.value
    if change.factor is not None:
        number = isinstance(now, (int, float)) and not isinstance(now, bool)
        value = f"{change.factor:g} x the present" if not number else type(now)(_rounded(change.factor * now))
    return (
        None if now is not None and now == value else Change(field=change.field, now=now, value=value, why=change.why)
    )


def _rounded(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")
