"""Comparing runs: groups, milestones, significance, from event files that trainings could have left."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra report is not installed")
from mapush_stack.analysis import run
from mapush_stack.analysis.comparison import compare
from mapush_stack.analysis.comparison import load as load_runs
from mapush_stack.analysis.comparison.curves import hours
from mapush_stack.analysis.comparison.export import to_json
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


def harl_run(folder, seed, steps=STEPS):
    """A run of HARL's own program."""
    tags = {"agent0/policy_loss": "agent0/policy_loss", "train_episode_rewards": "aver_rewards"}
    for tag, inner in {**tags, "eval_average_episode_rewards": "eval_average_episode_rewards"}.items():
        with MetricsLog(folder / "logs" / tag / inner, 0) as log:
            for step in steps:
                log.write({tag: step / 1000}, step)
    main = {"algo": "happo", "env": "mapush", "exp_name": "safe"}
    arguments = {"seed": {"seed": seed}, "train": {"num_env_steps": steps[-1]}}
    plain = {"main_args": main, "algo_args": arguments, "env_args": {"task": "push"}}
    (folder / "config.json").write_text(json.dumps(plain))
    return folder


def plain_logs(folder, **tags):
    """A folder of TensorBoard logs, with values by tag."""
    with MetricsLog(folder, 0) as log:
        for index in range(max(map(len, tags.values()))):
            log.write({tag.replace("__", "/"): values[index] for tag, values in tags.items()}, 1000 * (index + 1))
    return folder


def scored(found, name):
    return next(score for score in found.scores if score.name.startswith(name))


def comparison(*folders):
    return compare(*load_runs(folders))


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


@pytest.mark.parametrize(
    "seeds, conclusion, words",
    [
        ([7, 7, 7, 7], "nothing", "5 and 1 seeds"),
        ([7, 7, 8, 8], "nothing", "5 and 2 seeds"),
        ([5, 6, 7, 8, 8], "apart", "(5 and 4 seeds)"),
    ],
)
def test_a_seed_that_is_repeated_counts_once(tmp_path, seeds, conclusion, words):
    good = [make_run(tmp_path / f"g{seed}", "experiment=good", seed=seed, rate=0.8 + 0.01 * seed) for seed in range(5)]
    rates = [0.2 + 0.01 * index for index in range(len(seeds))]
    bad = [
        make_run(tmp_path / f"b{index}", "learner.clip=0.9", seed=seed, rate=rate)
        for index, (seed, rate) in enumerate(zip(seeds, rates))
    ]
    found = comparison(*good, *bad)
    (verdict,) = found.significance
    assert verdict.conclusion == conclusion and words in verdict.sentence
    estimate = scored(found, "success at the end").by_group[1]
    assert estimate.seeds == len(set(seeds)) and (estimate.interval is None) == (len(set(seeds)) < 2)
    assert any(f"several runs of seed {7 if 7 in seeds[:2] else 8}" in note for note in found.notes)


def test_unlike_tasks_and_rewards_are_said(tmp_path):
    cuboid, tblock = make_run(tmp_path / "a"), make_run(tmp_path / "b", object_name="tblock")
    found = comparison(cuboid, tblock)
    assert any("different tasks (go1push_mid-cuboid, go1push_mid-tblock)" in note for note in found.notes)
    assert not found.significance
    found = comparison(cuboid, make_run(tmp_path / "c", "task.rewards.push=0.1"))
    assert any("different rewards: their returns cannot be compared" in note for note in found.notes)
    found = comparison(cuboid, make_run(tmp_path / "d", "task.rewards.push=0.1", object_name="tblock"))
    said = [note for note in found.notes if "cannot be compared" in note]
    assert len(said) == 1 and "success and reward cannot be compared" in said[0]


@pytest.mark.parametrize("strange", [np.inf, -np.inf, np.nan])
def test_success_that_is_no_number_is_left_out_and_said(tmp_path, strange):
    whole, other = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    with MetricsLog(other / "logs", 0) as log:
        for step in STEPS:
            log.write({"mapush/success_rate": strange if step == 25_000 else 0.9 * step / 50_000}, step)
    found = comparison(whole, other)
    right, with_gap = found.milestones
    assert with_gap.steps == right.steps and with_gap.best == pytest.approx(right.best)
    for score in found.scores:
        assert score.by_run[1] == pytest.approx(score.by_run[0]) or score.unit != "share"
    assert any(
        note.endswith("1 of 50 values of mapush/success_rate are not finite and are left out") for note in found.notes
    )


def test_one_evaluated_checkpoint_is_a_milestone_and_no_curve(tmp_path):
    found = comparison(make_run(tmp_path / "a", evaluations=[(20_000, 0.85)]))
    first = found.milestones[0]
    assert first.source == "evaluations" and first.best == 0.85
    assert first.steps == {0.2: 20_000, 0.4: 20_000, 0.6: 20_000, 0.8: 20_000, 0.9: None}
    assert "success of checkpoints" not in [panel.name for panel in found.panels]


def test_the_best_of_ten_records_is_called_so(tmp_path):
    found = comparison(make_run(tmp_path / "a"))
    names = [score.name for score in found.scores]
    assert scored(found, "best").by_run[0] < scored(found, "success at the end of training").by_run[0]
    assert "best success in training over 10 records" in names


def test_seeds_of_harl_are_called_after_their_experiment(tmp_path):
    runs = [harl_run(tmp_path / f"seed-0000{seed}-date", seed) for seed in (1, 2, 3)]
    found = comparison(*runs)
    assert [group.name for group in found.groups] == ["safe"]
    assert found.labels == ["safe, seed 1", "safe, seed 2", "safe, seed 3"]
    assert scored(found, "return of evaluation").by_group[0].value == pytest.approx(47.5, abs=1)
    assert "return of evaluation episodes" in [panel.name for panel in found.panels]


def test_a_run_that_was_not_evaluated_lacks_nothing(tmp_path):
    assert not any("evaluation" in note for note in comparison(make_run(tmp_path / "a")).notes)


def test_what_no_rule_maps_is_said(tmp_path):
    tags = {f"own__tag{index}": [1.0] for index in range(10)}
    notes = comparison(plain_logs(tmp_path / "a", rollout__ep_rew_mean=[1.0], **tags)).notes
    said = ", ".join(f"own/tag{index}" for index in range(8))
    assert any(
        f"no rule reads these tags (--map TAG=NAME gives one a name of ours): {said} and 2 more" in n for n in notes
    )


def test_rsl_rl_is_read_and_its_iterations_are_said(tmp_path):
    tags = {
        "Loss__value_function": [0.5],
        "Loss__surrogate": [-0.01],
        "Loss__entropy": [9.0],
        "Perf__total_fps": [100.0],
    }
    found = comparison(plain_logs(tmp_path, **tags, Policy__mean_noise_std=[0.8], Train__mean_reward=[2.0]))
    (one,) = found.runs
    values = {tag: series.values.tolist() for tag, series in one.series.items()}
    assert values == {
        "critic/value_loss": [0.5],
        "agent0/policy_loss": [pytest.approx(-0.01)],
        "agent0/dist_entropy": [9.0],
        "agent0/action_std": [pytest.approx(0.8)],
        "train_episode_rewards": [2.0],
        "perf/fps": [100.0],
    }
    assert not one.unknown and any("rsl_rl's iterations and not environment steps" in note for note in found.notes)


def test_what_cannot_be_read_is_left_out_and_said(tmp_path):
    (tmp_path / "empty").mkdir()
    whole = make_run(tmp_path / "a")
    runs, notes = load_runs([whole, tmp_path / "empty", tmp_path / "absent", whole])
    assert len(runs) == 1
    assert [note.split(":")[0] for note in notes[:2]] == ["left out", "left out"]
    assert "is empty" in notes[0] and "does not exist" in notes[1] and "counts once" in notes[2]
    with pytest.raises(UserError, match=r"^.*empty is empty; give the folder of a run"):
        load_runs([tmp_path / "empty"])


def test_the_hours_of_a_stopped_run_leave_out_its_rest(tmp_path):
    found = run.read(make_run(tmp_path / "a"))
    series = found.series["mapush/success_rate"]
    wall = 1e9 + 10.0 * np.arange(50)
    wall[25:] += 86_400  # a day's rest
    stopped = series._replace(wall=wall)
    rested = replace(found, series={"mapush/success_rate": stopped}, started=1e9)
    assert hours(rested, stopped)[-1] == pytest.approx(490 / 3600)


def test_a_reward_term_is_explained_by_its_own_words(tmp_path):
    found = comparison(make_run(tmp_path / "a"), make_run(tmp_path / "b", "task.rewards.push=0.1"))
    (difference,) = found.differences
    assert difference.field == "task.rewards.push" and "0.1 m/s" in difference.meaning


def test_json_says_its_schema(tmp_path):
    assert to_json(comparison(make_run(tmp_path / "a")))["schema"] == 2
