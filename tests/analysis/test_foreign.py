"""Runs of other programs: what they count, which runs are seeds of one experiment, and no finding without a fault."""

import json

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra report is not installed")
from mapush_stack.analysis import listing, run
from mapush_stack.analysis.comparison import compare, load
from mapush_stack.analysis.diagnosis import rules
from mapush_stack.analysis.diagnosis.diagnosis import diagnose
from mapush_stack.errors import UserError
from tests.analysis import foreign
from tests.cli.runner import mapush

STEPS = "environment steps"
TOOLS = {
    "cleanrl": (STEPS, 1_000_000),
    "sb3": (STEPS, 1_000_000),
    "rl_games": (STEPS, 6_553_600),
    "rsl_rl": (STEPS, 9_830_400),
    "skrl": ("timesteps of each environment", 60_000),
    "tianshou": (STEPS, 1_000_000),
    "rllib": (STEPS, 400_000),
    "epymarl": (STEPS, 1_000_000),
    "benchmarl": (STEPS, 6_000_000),
    "on_policy": (STEPS, 320_000),
    "sample_factory": (STEPS, 13_107_200),
}
"""What a run of `foreign` counts, and how far it is."""


def diagnosed(folder):
    return diagnose(run.read(folder), rules.load())


def severe(folder):
    return [one.rule for one in diagnosed(folder).findings if one.severity.value == "severe"]


def groups(*folders, **options):
    runs, notes = load(folders)
    return compare(runs, notes, **options)


def named(found):
    return {group.name: len(group.runs) for group in found.groups}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_program_is_recognised_with_what_its_steps_count(tmp_path, tool):
    folder = getattr(foreign, tool)(tmp_path)
    found = run.read(folder)
    assert (found.library, found.axis, found.steps) == (tool, *TOOLS[tool])
    assert "train_episode_rewards" in found.series and "average_step_reward" not in found.series
    assert severe(folder) == []
    assert [path.resolve() for path in listing.find(tmp_path).runs] == [found.path.resolve()]


@pytest.mark.parametrize(
    "values, rules",
    [
        (np.minimum(500, 2500 * foreign.RISE), []),  # solved early: nothing says that more is possible
        (-800 + foreign.noisy(20), []),
        (np.where(foreign.RISE < 0.5, 400 * foreign.RISE, 300 - 200 * foreign.RISE), ["degradation"]),
    ],
)
def test_only_what_the_reward_shows_is_found(tmp_path, values, rules):
    log = {"rollout/ep_rew_mean": values, "train/critic_loss": np.exp(6 * foreign.RISE), "train/std": 3 * foreign.RISE}
    assert severe(foreign.write(tmp_path, foreign.curves(log, 20_000))) == rules


@pytest.mark.parametrize("each, about", [(98_304, ""), (1_000, ""), (4_096 * 24, "")])
def test_rsl_rl_tells_the_steps_of_an_iteration(tmp_path, each, about):
    found = run.read(foreign.rsl_rl(tmp_path, each=each))
    assert (found.axis, found.steps) == (STEPS, 100 * each)
    assert any(f"an iteration has {about}{each:,} environment steps" in note for note in found.problems)


def test_without_its_rates_rsl_rl_counts_iterations_and_is_judged(tmp_path):
    folder = foreign.rsl_rl(tmp_path, perf=False)
    found = run.read(folder)
    assert (found.axis, found.steps) == ("iterations", 100)
    assert "Train/mean_reward/time" not in found.unknown
    assert any("rsl_rl's iterations and not environment steps" in note for note in found.problems)
    met = {item.name: item for item in diagnosed(folder).checklist}
    assert met["no-degradation"].met and "up to 100 iterations" in met["final-is-best"].sentence
    out, _ = mapush("watch", "--once", folder)
    assert "100 iterations" in out


def test_a_program_that_does_not_count_as_usual_is_not_believed(tmp_path):
    iterations = foreign.write(tmp_path / "a", foreign.curves({"rollout/ep_rew_mean": foreign.RISE}, 1))
    steps = foreign.write(tmp_path / "b", foreign.curves({"Train/mean_reward": foreign.RISE}, 98_304))
    for folder in (iterations, steps, foreign.torchrl(tmp_path / "c")):
        found = run.read(folder)
        assert found.axis == "steps" and "nothing says what its steps count" in "".join(found.problems)


def test_a_counter_in_the_log_gives_environment_steps(tmp_path):
    at = np.arange(100)
    log = {"my/return": (at, foreign.RISE), "my/total_timesteps": (at, (at + 1) * 512.0), "other": (at * 1000, at)}
    found = run.read(foreign.write(tmp_path, log))
    assert found.axis == STEPS and found.unknown["my/return"].steps[-1] == 51_200
    assert found.unknown["other"].steps[-1] == 99_000  # on an axis of its own


@pytest.mark.parametrize("far", [2**62, 10**12])
def test_a_record_far_beyond_the_others_is_left_out_and_said(tmp_path, far):
    log = foreign.curves({"rollout/ep_rew_mean": 200 * foreign.RISE})
    steps, values = log["rollout/ep_rew_mean"]
    folder = foreign.write(tmp_path, {"rollout/ep_rew_mean": (np.append(steps, far), np.append(values, 5))})
    found = run.read(folder)
    assert found.steps == 1_000_000 and severe(folder) == []
    assert f"step {far:,}" in found.problems[0] and "left out" in found.problems[0]


def two_files(folder, second, later=90_000.0, **options):
    """A log of 100 records, and `second` in another file of the same folder."""
    foreign.write(folder, foreign.curves({"rollout/ep_rew_mean": foreign.RISE}))
    return run.read(foreign.write(folder, second, start=1.7e9 + later, name="host.2.0", **options))


def test_a_training_that_begins_anew_in_the_same_folder_is_said(tmp_path):
    short = {"rollout/ep_rew_mean": (np.arange(1, 4) * 10_000, [7, 8, 9])}
    found = two_files(tmp_path, short)
    assert found.series["train_episode_rewards"].values.tolist() == pytest.approx(foreign.RISE.tolist())
    (said,) = (problem for problem in found.problems if "begin anew" in problem)
    assert "steps 10,000 to 1,000,000 (100 records); steps 10,000 to 30,000 (3 records)" in said


def test_what_a_later_file_repeats_counts_once_and_is_said(tmp_path):
    again = {"rollout/ep_rew_mean": (600_000 + np.arange(100) * 10_000, 5 + foreign.RISE)}
    found = two_files(tmp_path, again)
    values = found.series["train_episode_rewards"].values
    assert found.steps == 1_590_000 and (values[:59] < 1).all() and (values[59:] >= 5).all()
    assert "41 records were logged again by a later file" in "".join(found.problems)


def test_two_writers_at_the_same_time_are_one_training(tmp_path):
    found = two_files(tmp_path, foreign.curves({"eval/mean_reward": foreign.RISE}), later=1.0)
    assert len(found.series["train_episode_rewards"].steps) == len(found.series["eval_average_episode_rewards"].steps)
    assert found.problems == []


def test_one_bad_record_loses_one_record(tmp_path):
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder = foreign.write(tmp_path, foreign.curves({"rollout/ep_rew_mean": foreign.RISE}))
    (file,) = folder.iterdir()
    rest = file.read_bytes()
    with file.open("wb") as opened:
        RecordWriter(opened).write(b"\x2a\x08\x0a\x06\x0a\x04\xff\xff\xff\xff")  # a tag that is no UTF-8
    file.write_bytes(file.read_bytes() + rest)
    found = run.read(folder)
    assert len(found.series["train_episode_rewards"].steps) == 100
    assert "has 1 records that are no event of TensorBoard" in found.problems[0]


def same(log, *folders):
    for folder in folders:
        foreign.write(folder, log)


LOG = foreign.curves({"rollout/ep_rew_mean": foreign.RISE, "train/value_loss": 1})
LAYOUTS = {
    "a log of its own above many runs": (lambda root: same(LOG, root, root / "a", root / "b"), ["a", "b"]),
    "a log of its own above one run with the same tags": (lambda root: same(LOG, root, root / "a"), ["a"]),
    "a text log above many runs": (
        lambda root: [same(LOG, root / "a", root / "b"), (root / "log.txt").write_text("x\n")],
        ["a", "b"],
    ),
    "a configuration above many runs": (
        lambda root: [same(LOG, root / "a", root / "b"), (root / "config.json").write_text("{}")],
        ["a", "b"],
    ),
    "writers of one run": (lambda root: same(LOG, root / "x" / "train", root / "x" / "validation"), ["x"]),
    "an evaluation inside a run": (
        lambda root: [same(LOG, root / "x"), foreign.write(root / "x" / "evals", {"eval/mean_reward": ([1], [1])})],
        ["x"],
    ),
    "torch's curves": (
        lambda root: [
            same(LOG, root / "x"),
            *(foreign.write(root / "x" / f"losses_{name}", {"losses": ([1, 2], [1, 1])}) for name in ("a", "b")),
        ],
        ["x"],
    ),
    "wandb's copies and checkpoints": (
        lambda root: same(LOG, root / "x", root / "x" / "wandb" / "run-1", root / "x" / "checkpoints" / "old"),
        ["x"],
    ),
    "runs of one tag": (
        lambda root: same(foreign.curves({"return": foreign.RISE}), root / "a", root / "b"),
        ["a", "b"],
    ),
    "runs below a folder with the tag's name": (
        lambda root: same(foreign.curves({"reward": foreign.RISE}), root / "reward" / "a", root / "reward" / "b"),
        ["reward/a", "reward/b"],
    ),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_runs_are_neither_merged_nor_hidden(tmp_path, case, monkeypatch):
    make, expected = LAYOUTS[case]
    make(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in listing.find(tmp_path).runs] == expected
    if len(expected) > 1:
        with pytest.raises(UserError, match=f"holds {len(expected)} runs; .*give the folders of those you want"):
            run.read(tmp_path)
    else:
        assert "train_episode_rewards" in run.read(tmp_path / expected[0]).series or case == "writers of one run"
    monkeypatch.chdir(tmp_path)
    out, _ = mapush("runs", ".")
    assert f"{len(expected)} run{'s' * (len(expected) > 1)} in" in out
    assert ("lies above other runs" in out) == (case.startswith(("a log", "a text")))


SEEDS = (1, 2, 3)
REPEATED = {
    "cleanrl's names": (lambda root, seed: foreign.cleanrl(root, seed=seed, table=False), {"Hopper-v4__ppo": 3}),
    "cleanrl's table": (lambda root, seed: foreign.cleanrl(root, seed=seed), {"Hopper-v4__ppo": 3}),
    "sb3": (lambda root, seed: [foreign.sb3(root, seed), foreign.sb3(root, seed, "SAC")], {"PPO": 3, "SAC": 3}),
    "rl_games": (lambda root, seed: foreign.rl_games(root, date=f"03-10-20-3{seed}"), {"Ant": 3}),
    "rsl_rl": (
        lambda root, seed: foreign.rsl_rl(root / "flat", f"2024-03-0{seed}_10-20-30", config=f"seed: {seed}\n"),
        {"flat": 3},
    ),
    "tianshou": (foreign.tianshou, {"ppo": 3}),
    "rllib": (lambda root, seed: foreign.rllib(root, seed=seed), {"PPO_CartPole-v1": 3}),
    "epymarl": (
        lambda root, seed: [foreign.epymarl(root, name, seed) for name in ("qmix", "vdn")],
        {"qmix_3m": 3, "vdn_3m": 3},
    ),
    "on_policy": (foreign.on_policy, {"check": 3}),
    "sample_factory": (foreign.sample_factory, {"doom": 3}),
    "spinning up": (
        lambda root, seed: foreign.write(root / "go" / f"go_s{seed}", foreign.curves({"return": foreign.RISE})),
        {"go": 3},
    ),
    "legged_gym": (
        lambda root, seed: foreign.rsl_rl(root / "a1", f"Mar0{seed}_10-20-30_stairs", perf=False),
        {"stairs": 3},
    ),
    "hydra": (
        lambda root, seed: foreign.write(root / "jobs" / "2024-03-01" / f"1{seed}-00-00", LOG),
        {"jobs": 3},
    ),
    "harl": (
        lambda root, seed: foreign.write(
            root / "mappo" / f"seed-0000{seed}-2024-03-01-10-20-30" / "logs" / "agent0/kl" / "agent0/kl",
            foreign.curves({"agent0/kl": foreign.RISE}),
        ),
        {"mappo": 3},
    ),
    "settings": (lambda root, seed: foreign.sb3(root, 32 * seed, "hidden"), {f"hidden_{32 * n}": 1 for n in SEEDS}),
    "small settings": (lambda root, seed: foreign.sb3(root, seed, "layers"), {f"layers_{n}": 1 for n in SEEDS}),
    "decimals": (
        lambda root, seed: foreign.write(root / f"lr-0.00{seed}", foreign.curves({"return": foreign.RISE})),
        {f"lr-0.00{n}": 1 for n in SEEDS},
    ),
}


@pytest.mark.parametrize("case", REPEATED)
def test_seeds_are_grouped_and_settings_are_not(tmp_path, case):
    make, expected = REPEATED[case]
    for seed in SEEDS:
        make(tmp_path, seed)
    assert len(listing.find(tmp_path).runs) == sum(expected.values())
    found = groups(tmp_path)
    assert named(found) == expected
    unsure = any("is a group by the names of its folders" in note for note in found.notes)
    assert unsure == (max(expected.values()) > 1 and not found.runs[0].config)


def test_a_setting_that_is_called_like_the_folder_stays(tmp_path):
    folder = foreign.write(tmp_path / "ppo", LOG)
    (folder / "config.yaml").write_text("algo: ppo\nseed: 4\nlog_dir: /x/ppo\n")
    found = run.read(folder)
    assert (found.algorithm, found.seed, found.config["log_dir"]) == ("ppo", 4, "/x/ppo")


def test_other_settings_are_other_groups_although_the_names_agree(tmp_path):
    for seed in SEEDS:
        config = f"seed: {seed}\ngamma: {0.9 if seed == 3 else 0.99}\n"
        foreign.rsl_rl(tmp_path / "flat", f"2024-03-0{seed}_10-20-30", config=config)
    assert sorted(named(groups(tmp_path)).values()) == [1, 2]


def test_a_field_or_a_regular_expression_makes_other_groups(tmp_path):
    for seed in SEEDS:
        for lab in ("x", "y"):
            foreign.cleanrl(tmp_path / lab, seed=seed)
    assert named(groups(tmp_path, group_by="task")) == {"Hopper-v4": 6}
    assert named(groups(tmp_path, group_by="gamma")) == {"0.99": 6}
    assert named(groups(tmp_path, group_by="/([xy])/Hopper")) == {"x": 3, "y": 3}
    with pytest.raises(UserError, match=r"--group-by lab: it is no field of the runs, and .* does not match it"):
        groups(tmp_path, group_by="lab")


def test_returns_of_unknown_tasks_are_compared_on_a_condition(tmp_path):
    for seed in SEEDS:
        foreign.rl_games(tmp_path, "Ant", f"03-10-20-3{seed}")
        foreign.rl_games(tmp_path, "Humanoid", f"03-10-20-3{seed}", seed)
    (verdict,) = groups(tmp_path).significance
    assert verdict.sentence.startswith("if both are of one task with one reward, which nothing says: ")


@pytest.mark.parametrize("rises", [True, False])
def test_a_fork_of_mapush_is_judged_by_its_own_average(tmp_path, rises):
    folder = foreign.mapush_fork(tmp_path, drop=not rises)
    assert severe(folder) == ([] if rises else ["degradation"])
    out, _ = mapush("diagnose", folder, code=0 if rises else 1)
    said = " ".join(out.split())
    assert "average_step_reward is taken as it was logged" in said and "formation_bonus" in said
    assert "assumed" not in said


def test_tags_get_names_of_ours(tmp_path):
    folder = foreign.torchrl(tmp_path)
    mapush("diagnose", folder, code=1)  # nothing could be judged
    out, _ = mapush("diagnose", folder, "--map", "train/reward=train_episode_rewards")
    assert "train_episode_rewards by quarters" in out and "eval/reward, train/lr" in out
    out, _ = mapush("compare", folder, "--tag", "train/l*", "--json")
    (panel,) = json.loads(out)["panels"]
    assert panel["name"] == "train/lr"
    out, _ = mapush("watch", "--once", folder)
    assert "eval/reward" in out


def test_extremes_are_those_of_the_whole_log(tmp_path):
    steps, values = np.arange(1, 5001) * 1000, np.zeros(5000)
    values[2500], values[3500] = 9.0, -7.0
    folder = foreign.write(tmp_path, {"rollout/ep_rew_mean": (steps, values)})
    (curve,) = next(panel for panel in groups(folder).panels if panel.name == "episode return").over_steps
    assert (curve.lowest, curve.highest) == (-7.0, 9.0) and len(curve.x) == 256


def test_a_return_is_no_number_until_an_episode_ends(tmp_path):
    values = np.where(foreign.RISE < 0.2, np.nan, foreign.RISE)
    late = np.where(foreign.RISE > 0.5, np.nan, foreign.RISE)
    assert severe(foreign.write(tmp_path / "a", foreign.curves({"rollout/ep_rew_mean": values}))) == []
    folder = foreign.write(tmp_path / "b", foreign.curves({"rollout/ep_rew_mean": late, "mine": late}))
    assert severe(folder) == ["not-finite"]
    notes = groups(folder).notes
    for tag in ("train_episode_rewards", "mine"):
        said = f"50 of 100 values of {tag} are not finite and are left out: all from step 510,000 on"
        assert any(said in note for note in notes), tag


@pytest.mark.parametrize("inside", ["params/agent.yaml", "config.yaml", ".hydra/config.yaml", "args.json"])
def test_hostile_configurations_are_no_way_in(tmp_path, inside):
    folder = foreign.torchrl(tmp_path)
    (folder / inside).parent.mkdir(exist_ok=True)
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    for text in ("!!python/object/apply:os.system [exit 7]", "[" * 10_000, bomb, "\0", "- 1\n- 2\n", "a: !!int many"):
        (folder / inside).write_text(text)
        assert run.read(folder).unknown  # read without running or expanding anything
