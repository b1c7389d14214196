"""What the rules find in a run."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional

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

    @property
    def short_of_data(self) -> bool:
        """True if less than half of the rules could be judged, so that finding nothing means little."""
        return self.judged < len(self.not_judged)

    @property
    def severe(self) -> bool:
        """True if something severe was found."""
        return any(finding.severity is Severity.SEVERE for finding in self.findings)


def diagnose(run: LoggedRun, rules: Rules) -> Diagnosis:
    """Apply every rule to a run."""
    judged_run = JudgedRun(run, run_facts(run, rules), rules)
    findings: Dict[str, Finding] = {}
    not_judged: Dict[str, str] = {}
    for rule in rules.rules:
        if any(name in findings for name in rule.unless):
            continue
        try:
            results = list(CHECKS[rule.name](judged_run, rule.thresholds))
        except NotJudgedError as reason:
            not_judged[rule.name] = str(reason)
            continue
        if results:
            worst = max(results, key=lambda result: result.badness)
            findings[rule.name] = _finding(rule, worst, run.config)
    return Diagnosis(
        findings=sorted(findings.values(), key=lambda finding: list(Severity).index(finding.severity)),
        checklist=[_item(judged_run, criterion) for criterion in rules.checklist],
        not_judged=not_judged,
        judged=len(rules.rules) - len(not_judged),
    )


def _item(judged_run: JudgedRun, criterion: Criterion) -> ChecklistItem:
    try:
        return ChecklistItem(
            criterion.name, criterion.title, *CRITERIA[criterion.name](judged_run, criterion.tolerance)
        )
    except NotJudgedError as reason:
        return ChecklistItem(criterion.name, criterion.title, None, str(reason))


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
