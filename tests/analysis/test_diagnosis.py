"""What `mapush diagnose` finds in runs of which it is known what is wrong with them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mapush_stack.analysis.diagnosis import rules
from mapush_stack.analysis.diagnosis.checklist import CRITERIA
from mapush_stack.analysis.diagnosis.checks import CHECKS
from mapush_stack.analysis.diagnosis.diagnosis import diagnose
from mapush_stack.analysis.run import read
from mapush_stack.errors import UserError
from mapush_stack.training import config as configuration
from tests.analysis import runs
from tests.cli.runner import mapush

KNOWN = rules.load()


def diagnosed(folder):
    return diagnose(read(folder), KNOWN)


def found(folder):
    return [finding.rule for finding in diagnosed(folder).findings]


@pytest.mark.parametrize("rule", [rule.name for rule in KNOWN.rules])
def test_a_run_with_one_disease_has_that_disease(rule, tmp_path):
    (finding,) = diagnosed(runs.write_run(tmp_path / "run", *runs.diseased(rule))).findings
    assert finding.rule == rule
    assert finding.severity is (rules.Severity.REMARK if rule in runs.REMARKS else rules.Severity.SEVERE)
    assert finding.evidence and all(one.steps > 0 for one in finding.evidence)
    assert len(finding.sentence) > 40 and finding.sentence.endswith(".")


@pytest.mark.parametrize("name", runs.RECORDED)
def test_a_healthy_run_gets_a_clean_bill(name, tmp_path):
    diagnosis = diagnosed(runs.recorded(name, tmp_path))
    assert [finding.sentence for finding in diagnosis.findings] == []
    assert [tick.sentence for tick in diagnosis.checklist if tick.met is False] == []


@pytest.mark.parametrize("points", [3, 25, 800])
def test_a_healthy_synthetic_run_of_any_length_does_too(points, tmp_path):
    assert found(runs.write_run(tmp_path / "run", *runs.healthy(40_000 * points, points))) == []


def test_the_command_says_it_in_sentences_and_in_json(tmp_path):
    bad = runs.write_run(tmp_path / "bad", *runs.diseased("degradation"))
    out, _ = mapush("diagnose", bad, code=1)
    assert "severe: The run degrades after its best time" in out and "learner.lr_schedule" not in out
    assert "-14.6" in out and "-19.5" in out and "try learner.actor_lr=0.0006 (now 0.002)" in out
    out, _ = mapush("diagnose", bad, "--json", code=1)
    told = json.loads(out)
    assert [finding["rule"] for finding in told["findings"]] == ["degradation"]
    assert [tick["met"] for tick in told["checklist"]] == [True, False, False, True, True]
    good = runs.recorded("happo-cuboid", tmp_path)
    out, _ = mapush("diagnose", good, code=0)
    assert "Nothing found." in out and "+ It learns smoothly" in out
    remark = runs.write_run(tmp_path / "remark", *runs.diseased("reward-term-idle"))
    assert "remark: A reward term contributes nothing" in mapush("diagnose", remark, code=0)[0]
    assert "does not exist" in mapush("diagnose", tmp_path / "nowhere", code=2)[1]


def test_the_published_run():
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "upstream_logs" / "cuboid"
    if not folder.is_dir():
        pytest.skip("the published run's logs are not here")
    diagnosis = diagnosed(folder)
    exploding, lopsided = diagnosis.findings
    assert (exploding.rule, lopsided.rule) == ("policy-std-exploding", "reward-scales-lopsided")
    assert "4.263 to 17.45" in exploding.sentence and "to 81.2" in exploding.sentence
    assert "by weight 2,500 times" in lopsided.sentence and "by weight 6,667 times" in lopsided.sentence
    assert [tick.met for tick in diagnosis.checklist] == [True, True, True, None, True]
    assert "approx_kl is not logged" in diagnosis.not_judged["kl-high"]


def test_a_run_that_still_goes_on_is_not_called_incomplete(tmp_path):
    config, series = runs.healthy()
    config["training"]["total_steps"] *= 2
    run = read(runs.write_run(tmp_path / "run", config, series))
    ticks = {tick.name: tick.met for tick in diagnose(run, KNOWN).checklist}
    assert run.running and ticks["completes"] is None
    over = {tick.name: tick.met for tick in diagnose(replace(run, running=False), KNOWN).checklist}
    assert over["completes"] is False


def test_a_curriculum_is_judged_by_success_alone(tmp_path):
    config, series = runs.diseased("degradation")
    config["training"]["stages"] = [{"name": "all", "steps": runs.TOTAL, "changes": {}}]
    assert found(runs.write_run(tmp_path / "run", config, series)) == []


@pytest.mark.parametrize("slower", [5.0, 1.5])
def test_a_neighbour_on_the_machine_slows_rollouts_and_updates_alike(slower, tmp_path):
    config, series = runs.diseased("fps-falling")
    steps, fps = series["perf/fps"]
    times = np.linspace(1, 5, len(fps))
    series["perf/rollout_seconds"] = (steps, times)
    series["perf/update_seconds"] = (steps, 0.5 * np.linspace(1, slower, len(fps)))
    assert found(runs.write_run(tmp_path / "run", config, series)) == ([] if slower == 5.0 else ["fps-falling"])


def test_rare_value_errors_are_a_remark(tmp_path):
    config, series = runs.healthy()
    steps = series["perf/fps"][0]
    series["mapush/value_errors"] = (steps, np.arange(len(steps)) > 100)
    series["mapush/cause/value_error"] = (steps, 1e-5 * (np.arange(len(steps)) == 100))
    (finding,) = diagnosed(runs.write_run(tmp_path / "run", config, series)).findings
    assert (finding.rule, finding.severity) == ("value-errors", rules.Severity.REMARK)


def test_every_rule_has_a_check_and_every_change_a_field():
    assert [rule.name for rule in KNOWN.rules] == list(CHECKS)
    assert [criterion.name for criterion in KNOWN.checklist] == list(CRITERIA)
    plain = configuration.load().model_dump()
    for rule in KNOWN.rules:
        for change in rule.changes:
            node = plain
            for name in change.field.split("."):
                assert name in node, f"{rule.name}: there is no field {change.field}"
                node = node[name]
            if change.value is not None:
                configuration.load(overrides=[f"{change.field}={change.value}"])


def test_a_damaged_file_of_rules_is_told(tmp_path):
    text = rules.PATH.read_text(encoding="utf-8")
    broken = tmp_path / "rules.yaml"
    for damage, reason in (
        (text.replace("severity: severe", "severity: bad", 1), "severity"),
        (text.replace("unless: [policy-std-exploding]", "unless: [nothing]", 1), "depends on nothing"),
        (text[:500], "should be an object"),
        ("\x00", "special characters"),
    ):
        broken.write_text(damage)
        with pytest.raises(UserError, match=f"does not hold the rules.*(?:{reason})"):
            rules.load(broken)
