"""Comparing runs: groups, milestones, significance, from event files that trainings could have left."""

import json

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra report is not installed")
from mapush_stack.analysis import compare, run
from mapush_stack.errors import UserError
from mapush_stack.training.config import load
from mapush_stack.training.log import MetricsLog

STEPS = range(1000, 51_000, 1000)


def make_run(folder, *overrides, seed=1, rate=0.9, evaluations=(), steps=STEPS, **options):
    """A run of this project whose success rises linearly to `rate`."""
    config = load(overrides=[f"training.seed={seed}", "training.total_steps=50000", *overrides], **options)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config.model_dump(mode="json")))
    (folder / ".lock").touch()
    with MetricsLog(folder / "logs", 0) as log:
        for step in steps:
            metrics = {"mapush/success_rate": rate * step / steps[-1], "train_episode_rewards": step / 1000}
            log.write({**metrics, "agent0/dist_entropy": 1.0, "agent1/dist_entropy": 3.0}, step)
    if evaluations:
        rows = [row(at, share) for at, share in evaluations]
        (folder / "evaluations.json").write_text(json.dumps(rows))
    return folder


def row(steps, share):
    figures = {"finished_time": 9.0, "collaboration_degree": 0.5, "causes": {"finished": 1}}
    return {
        "steps": steps,
        "success_rate": share,
        "episodes": 100,
        "success_interval": [0, 1],
        "valid_success_rate": share,
        **figures,
    }


def comparison(*folders):
    return compare.compare(*compare.load(folders))


def test_seeds_of_one_configuration_are_a_group(tmp_path):
    seeds = [make_run(tmp_path / f"a{seed}", seed=seed, rate=0.5 + 0.1 * seed) for seed in (1, 2, 3)]
    other = make_run(tmp_path / "b", "learner.gamma=0.9", "sim.threads=1")
    found = comparison(*seeds, other)
    assert [group.runs for group in found.groups] == [[0, 1, 2], [3]]
    assert [group.name for group in found.groups] == ["default gamma=0.99", "default gamma=0.9"]
    (difference,) = found.differences
    assert (difference.field, difference.values) == ("learner.gamma", [0.99, 0.9])
    assert difference.meaning == "discount per decision"
    (panel,) = (panel for panel in found.panels if panel.name == "success in training")
    band = panel.over_steps[0]
    assert band.seeds == 3 and band.x[-1] == 50_000
    assert [band.low[-1], band.mean[-1], band.high[-1]] == pytest.approx([0.65, 0.7, 0.75])
    (entropy,) = (panel for panel in found.panels if panel.name == "entropy")
    assert np.allclose(entropy.over_steps[0].mean, 2.0)  # of both robots
    assert np.all(np.diff(panel.over_hours[0].x) >= 0)
    (score,) = (score for score in found.scores if score.name == "success at the end of training")
    assert score.by_group[0].value == pytest.approx(0.95 * 0.7, abs=0.01) and score.by_group[0].interval is not None


def test_milestones_are_the_first_checkpoints_at_a_success_rate(tmp_path):
    evaluated = [(10_000, 0.25), (20_000, 0.62), (30_000, 0.59), (40_000, 0.8)]
    found = comparison(make_run(tmp_path / "a", evaluations=evaluated))
    by_checkpoint, in_training = found.milestones
    assert by_checkpoint.steps == {0.2: 10_000, 0.4: 20_000, 0.6: 20_000, 0.8: 40_000, 0.9: None}
    assert in_training.steps == {0.2: 12_000, 0.4: 23_000, 0.6: 34_000, 0.8: 45_000, 0.9: None}
    assert in_training.source == "training" and by_checkpoint.best == 0.8
    assert not found.significance and not found.differences


def test_one_lucky_episode_is_no_milestone(tmp_path):
    folder = make_run(tmp_path / "a", rate=0.3)
    with MetricsLog(folder / "logs", 0) as log:  # a second file with what the first one lacks
        log.write({"mapush/success_rate": 1.0}, 500)
        for step in STEPS:
            log.write({"mapush/success_rate": 0.3 * step / 50_000}, step)
    (milestones,) = comparison(folder).milestones
    assert milestones.steps[0.2] == 34_000 and milestones.steps[0.4] is None
    assert milestones.best < 0.3


def test_two_seeds_prove_nothing_and_five_may(tmp_path):
    folders = {
        name: [make_run(tmp_path / f"{name}{seed}", *changes, seed=seed, rate=rate + 0.01 * seed) for seed in range(5)]
        for name, changes, rate in (("good", ["experiment=good"], 0.8), ("bad", ["learner.clip=0.9"], 0.2))
    }
    (few,) = comparison(*folders["good"][:2], *folders["bad"][:2]).significance
    assert (
        few.conclusion == "nothing" and "nothing can be concluded" in few.sentence and "2 and 2 seeds" in few.sentence
    )
    (many,) = comparison(*folders["good"], *folders["bad"]).significance
    assert many.conclusion == "apart" and "good is better than default" in many.sentence
    assert many.improvement.probability == 0.0 and many.improvement.p_value < 0.01
    (alone,) = comparison(*folders["good"][:1], *folders["bad"][:1]).significance
    assert alone.improvement.interval is None and alone.conclusion == "nothing"


def test_unlike_tasks_and_rewards_are_said(tmp_path):
    cuboid, tblock = make_run(tmp_path / "a"), make_run(tmp_path / "b", object_name="tblock")
    found = comparison(cuboid, tblock)
    assert any("different tasks (go1push_mid-cuboid, go1push_mid-tblock)" in note for note in found.notes)
    assert not found.significance
    found = comparison(cuboid, make_run(tmp_path / "c", "task.rewards.push=0.1"))
    assert any("different rewards: their returns do not compare" in note for note in found.notes)


def test_what_cannot_be_read_is_left_out_and_said(tmp_path):
    (tmp_path / "empty").mkdir()
    whole = make_run(tmp_path / "a")
    runs, notes = compare.load([whole, tmp_path / "empty", tmp_path / "absent", whole])
    assert len(runs) == 1
    assert [note.split(":")[0] for note in notes[:2]] == ["left out", "left out"]
    assert "is empty" in notes[0] and "does not exist" in notes[1] and "counts once" in notes[2]
    with pytest.raises(UserError, match=r"^.*empty is empty; give the folder of a run"):
        compare.load([tmp_path / "empty"])


def test_the_hours_of_a_stopped_run_leave_out_its_rest(tmp_path):
    found = run.read(make_run(tmp_path / "a"))
    series = found.series["mapush/success_rate"]
    wall = 1e9 + 10.0 * np.arange(50)
    wall[25:] += 86_400  # a day's rest
    stopped = series._replace(wall=wall)
    rested = found._replace(series={"mapush/success_rate": stopped}, started=1e9)
    assert compare.hours(rested, stopped)[-1] == pytest.approx(490 / 3600)
