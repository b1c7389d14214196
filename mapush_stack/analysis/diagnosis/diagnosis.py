"""What the rules find in a run."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional

from .. import axes
from ..run import LoggedRun
from .checklist import CRITERIA
from .checks import CHECKS
from .judged_run import CheckResult, Evidence, JudgedRun, NotJudgedError
from .rules import ChangeRule, Criterion, Rule, Rules, Severity
from .run_facts import get, run_facts


class Change(NamedTuple):
    """What to try: another value for a field of this project's configuration."""

    field: str
    now: Any
    """The field's value in the run; None if its files do not say."""
    value: Any
    why: str


class Finding(NamedTuple):
    """Something that is wrong with the run."""

    rule: str
    title: str
    severity: Severity
    sentence: str
    why: str
    evidence: List[Evidence]
    changes: List[Change]
    source: List[str]


class ChecklistItem(NamedTuple):
    """A line of the checklist."""

    name: str
    title: str
    met: Optional[bool]
    """None if it cannot be judged."""
    sentence: str


class Diagnosis(NamedTuple):
    """Everything that the rules found."""

    findings: List[Finding]
    """Severe ones first."""
    checklist: List[ChecklistItem]
    not_judged: Dict[str, str]
    """Rules that had no data, and what was missing."""
    judged: int
    """Number of rules that had data."""
    assumed: str = ""
    """What is not in the run's files and was taken from upstream's published run."""

    @property
    def short_of_data(self) -> bool:
        """True if less than half of the rules could be judged, so that finding nothing means little."""
        return self.judged < len(self.not_judged)

    @property
    def reasons(self) -> str:
        """The rules that were not judged, with their reasons, in one sentence; empty if there are none."""
        by_reason: Dict[str, List[str]] = {}
        for name, reason in self.not_judged.items():
            by_reason.setdefault(reason, []).append(name)
        listed = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())
        return listed and f"{listed}."

    @property
    def severe(self) -> bool:
        """True if something severe was found."""
        return any(finding.severity is Severity.SEVERE for finding in self.findings)


def diagnose(run: LoggedRun, rules: Rules) -> Diagnosis:
    """Apply every rule to a run."""
    facts = run_facts(run, rules)
    judged_run = JudgedRun(run, facts, rules)
    findings: Dict[str, Finding] = {}
    not_judged: Dict[str, str] = {}
    for rule in rules.rules:
        if any(name in findings for name in rule.unless):
            continue
        try:
            results = list(CHECKS[rule.name](judged_run, rule.thresholds))
        except NotJudgedError as reason:
            not_judged[rule.name] = _counted(str(reason), run)
            continue
        if results:
            worst = max(results, key=lambda result: result.badness)
            findings[rule.name] = _finding(rule, worst._replace(sentence=_counted(worst.sentence, run)), run.config)
    return Diagnosis(
        findings=sorted(findings.values(), key=lambda finding: list(Severity).index(finding.severity)),
        checklist=[_item(judged_run, criterion) for criterion in rules.checklist],
        not_judged=not_judged,
        judged=len(rules.rules) - len(not_judged),
        assumed=facts.assumed,
    )


def _counted(sentence: str, run: LoggedRun) -> str:
    """A sentence in which numbers of steps are called by what the run's steps count."""
    return (
        sentence
        if run.axis == axes.STEPS
        else re.sub(r"(?<=\d)( M)? steps\b(?! a second)", rf"\1 {run.axis}", sentence)
    )


def _item(judged_run: JudgedRun, criterion: Criterion) -> ChecklistItem:
    met: Optional[bool] = None
    try:
        met, sentence = CRITERIA[criterion.name](judged_run, criterion.tolerance)
    except NotJudgedError as reason:
        sentence = str(reason)
    return ChecklistItem(criterion.name, criterion.title, met, _counted(sentence, judged_run.logged))


def _finding(rule: Rule, result: CheckResult, config: Dict[str, Any]) -> Finding:
    changes = [_change(change, config) for change in rule.changes]
    return Finding(
        rule=rule.name,
        title=rule.title,
        severity=result.severity or rule.severity,
        sentence=result.sentence,
        why=rule.why,
        evidence=result.evidence,
        changes=[change for change in changes if change.now is None or change.now != change.value],
        source=rule.source,
    )


def _change(change: ChangeRule, config: Dict[str, Any]) -> Change:
    """The change to try, with the field's present value in the run."""
    now = get(config, *change.field.split("."))
    value: Any = change.value
    if change.factor is not None:
        value = f"{change.factor:g} x the present"
        if isinstance(now, (int, float)) and not isinstance(now, bool):
            value = type(now)(float(f"{change.factor * now:.3g}"))
    return Change(field=change.field, now=now, value=value, why=change.why)
