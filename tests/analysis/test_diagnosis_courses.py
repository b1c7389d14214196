"""What `mapush diagnose` says of courses with noise, and of runs that lack something."""

import numpy as np
import pytest

from mapush_stack.analysis.diagnosis import rules
from mapush_stack.analysis.diagnosis.diagnosis import diagnose
from mapush_stack.analysis.evaluations import Evaluation
from tests.analysis import runs
from tests.cli.runner import mapush

KNOWN = rules.load()
SUCCESS, RETURN = "mapush/success_rate", "train_episode_rewards"
SEEDS = range(6)


def noisy(seed, points=400, noise=0.05):
    """(configuration, series, share of the run, random numbers) of a healthy run."""
    config, series = runs.healthy(points=points, seed=seed, noise=noise)
    return config, series, np.linspace(1 / points, 1, points), np.random.default_rng(seed)


def put(series, **values):
    steps = series["perf/fps"][0]
    series.update({tag: (steps, value) for tag, value in values.items()})


def only_returns(series):
    """Without success and the reward of a step."""
    for tag in [tag for tag in series if tag.startswith("rewards/")] + [SUCCESS]:
        del series[tag]


def told(config, series, **changes):
    """(findings by rule, ticks by name) of a run."""
    diagnosis = diagnose(runs.in_memory(config, series, **changes), KNOWN)
    return {one.rule: one for one in diagnosis.findings}, {tick.name: tick for tick in diagnosis.checklist}


@pytest.mark.parametrize("points", [60, 400])
@pytest.mark.parametrize("noise", [0.05, 0.15])
def test_noise_is_no_disease(points, noise):
    for seed in SEEDS:
        config, series, *_ = noisy(seed, points, noise)
        for logged in (lambda _: None, only_returns):
            logged(series)
            findings, ticks = told(config, series)
            assert not findings and not [tick.sentence for tick in ticks.values() if tick.met is False]


@pytest.mark.parametrize("begin", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("points", [60, 400])
def test_a_late_collapse_is_found_and_ticked(begin, points):
    for seed in SEEDS:
        config, series, share, _ = noisy(seed, points)
        for tag, lost in ((SUCCESS, 0.02), (RETURN, -3), ("rewards/success", 1e-4), ("rewards/progress", 1e-4)):
            series[tag] = (series[tag][0], np.where(share < begin, series[tag][1], lost))
        for logged in (lambda _: None, only_returns):
            logged(series)
            findings, ticks = told(config, series)
            assert list(findings) == ["degradation"] and findings["degradation"].severity is rules.Severity.SEVERE
            assert [ticks[name].met for name in ("no-degradation", "final-is-best", "smooth")] == [False] * 3


@pytest.mark.parametrize("noise", [0.8, 4.0])
def test_the_labs_decay_is_found_in_noise(noise):
    for seed in SEEDS:
        config, series, _, random = noisy(seed)
        only_returns(series)
        put(series, **{RETURN: np.repeat([-14.65, -15.31, -17.08, -19.55], 100) + noise * random.normal(size=400)})
        findings, ticks = told(config, series)
        assert list(findings) == ["degradation"] and ticks["no-degradation"].met is False


@pytest.mark.parametrize(
    "success, severity", [([0.7, 0.7, 0.7, 0.69], rules.Severity.SEVERE), ([0.5, 0.6, 0.7, 0.8], rules.Severity.REMARK)]
)
def test_falling_returns_are_found_beside_the_reward_of_a_step(success, severity):
    config, series, _, random = noisy(0)
    put(series, **{RETURN: np.repeat([-14.65, -15.31, -17.08, -19.55], 100) + 0.8 * random.normal(size=400)})
    put(series, **{SUCCESS: np.repeat(success, 100) + 0.01 * random.normal(size=400)})
    findings, ticks = told(config, series)
    assert list(findings) == ["degradation"] and findings["degradation"].severity is severity
    assert ("although success rises" in findings["degradation"].sentence) == (severity is rules.Severity.REMARK)
    assert ticks["no-degradation"].met is False and RETURN in ticks["no-degradation"].sentence


def test_lost_success_fails_the_checklist_although_the_reward_rises():
    config, series, share, random = noisy(0)
    put(series, **{SUCCESS: np.interp(share, [0, 0.4, 0.5, 1], [0, 0.8, 0.8, 0.3]) + 0.03 * random.normal(size=400)})
    findings, ticks = told(config, series)
    assert list(findings) == ["degradation"]
    for name in ("no-degradation", "final-is-best"):
        assert ticks[name].met is False and ticks[name].sentence.startswith(SUCCESS)


def test_a_fall_in_the_last_quarter_alone_fails_the_checklist():
    config, series, _, random = noisy(0)
    only_returns(series)
    # Above the first half all the time: upstream's published cylinder.
    put(series, **{RETURN: np.repeat([-327.0, -148.0, 28.0, -2.0], 100) + random.normal(size=400)})
    findings, ticks = told(config, series)
    assert not findings
    assert ticks["no-degradation"].met is False


def test_what_noise_excuses_is_said():
    config, series, share, random = noisy(0)
    only_returns(series)
    ends = np.where((share > 0.8) & (share <= 0.9), 0.3, 0.0)
    put(series, **{RETURN: 3 * np.minimum(2 * share, 1) + ends + 0.5 * random.normal(size=400)})
    tick = told(config, series)[1]["final-is-best"]
    assert tick.met is True and "within noise (\N{PLUS-MINUS SIGN}0." in tick.sentence


def test_an_applied_norm_above_its_limit_is_not_ticked_as_bounded():
    config, series, share, _ = noisy(0)
    for agent in ("agent0", "agent1"):
        del series[f"{agent}/actor_grad_norm_clipped_max"]
        put(series, **{f"{agent}/actor_grad_norm_clipped": np.where(share > 0.7, 3.0, 0.5)})
    findings, ticks = told(config, series)
    assert list(findings) == ["gradient-unclipped"]
    assert ticks["gradients-bounded"].met is False and "applied 3, limit 1" in ticks["gradients-bounded"].sentence


def test_a_run_that_is_nan_at_the_end_is_not_ticked():
    config, series, share, _ = noisy(0)
    series = {tag: (steps, np.where(share > 0.6, np.nan, values)) for tag, (steps, values) in series.items()}
    findings, ticks = told(config, series)
    assert list(findings) == ["not-finite"]
    assert {name: tick.met for name, tick in ticks.items() if name != "completes"} == dict.fromkeys(
        ("no-degradation", "final-is-best", "gradients-bounded", "smooth")
    )
    assert not any("nan" in tick.sentence for tick in ticks.values())
    assert "is not finite after 4.8 M steps" in ticks["smooth"].sentence


def test_checkpoints_that_lose_success_are_a_remark():
    def evaluated(*shares, episodes=300):
        return [Evaluation(steps=10**6 * (i + 1), success_rate=one, episodes=episodes) for i, one in enumerate(shares)]

    config, series, *_ = noisy(0)
    findings, ticks = told(config, series, evaluations=evaluated(0.36, 0.723, 0.617))
    assert findings["degradation"].severity is rules.Severity.REMARK and ticks["no-degradation"].met is False
    assert "in 72.3% of 300 evaluated episodes" in findings["degradation"].sentence
    for fine in (evaluated(0.78, 0.743), evaluated(0.72, 0.61, episodes=50), evaluated(0.9, 0.1, episodes=None)):
        assert not told(config, series, evaluations=fine)[0]


@pytest.mark.parametrize("begin", [0.2, 0.3, 0.4, 0.5])
@pytest.mark.parametrize("points", [60, 400])
def test_a_plateau_far_from_mastered_is_stalled(begin, points):
    for seed in SEEDS:
        config, series, share, random = noisy(seed, points)
        risen = np.minimum(share / begin, 1)
        put(series, **{SUCCESS: np.clip(0.2 * risen + 0.02 * random.normal(size=points), 0, 1)})
        put(series, **{RETURN: 3 * risen - 3 + 0.1 * random.normal(size=points)})
        for term in ("rewards/success", "rewards/progress"):
            put(series, **{term: 6e-4 * risen * (1 + 0.1 * random.normal(size=points))})
        assert list(told(config, series)[0]) == ["learning-stalled"]


@pytest.mark.parametrize("points", [60, 400])
def test_slow_learning_is_not_stalled(points):
    for seed in SEEDS:
        config, series, share, random = noisy(seed, points)
        risen = 1 - np.exp(-2 * share)
        put(series, **{SUCCESS: 0.5 * risen + 0.03 * random.normal(size=points)})
        put(series, **{RETURN: 3 * risen - 3 + 0.2 * random.normal(size=points)})
        assert not told(config, series)[0]


@pytest.mark.parametrize("tag", ["perf/fps", "perf/rss_mib"])
def test_trends_are_found_in_noise(tag):
    for seed in SEEDS:
        config, series, share, random = noisy(seed)
        noise = random.normal(size=400)
        put(
            series,
            **{tag: 30_000 * np.exp(0.3 * noise - 1.5 * share) if "fps" in tag else 900 + 2000 * share + 200 * noise},
        )
        assert list(told(config, series)[0]) == ["fps-falling" if "fps" in tag else "memory-growing"]


@pytest.mark.parametrize(
    "library, config, judged",
    [
        ("tensorboard", {}, False),
        ("harl", {"main_args": {"env": "dexhands"}}, False),
        ("harl", {"main_args": {"env": "mapush"}}, True),
        ("openrl", {}, False),
    ],
)
def test_deviations_follow_from_entropies_of_three_dimensions_alone(library, config, judged):
    _, series, share, _ = noisy(0)
    series = {"agent0/dist_entropy": (series["perf/fps"][0], 24.1 - 4.1 * share)}
    diagnosis = diagnose(runs.in_memory(config, series, library=library), KNOWN)
    names = ("policy-std-exploding", "entropy-rising", "entropy-out-of-range")
    assert all((name in diagnosis.not_judged) is not judged for name in names)
    assert [one.rule for one in diagnosis.findings] == (["entropy-out-of-range"] if judged else [])
    if not judged:
        assert {diagnosis.not_judged[name] for name in names} == {"the number of action dimensions is not known"}


def test_reasons_name_tags_and_what_a_configuration_lacks():
    config = {"algo_args": {"algo": {"gamma": 0.99}}}
    reasons = diagnose(runs.in_memory(config, {}, library="harl"), KNOWN).not_judged
    assert reasons["gradient-large"] == "agent0/actor_grad_norm and critic/critic_grad_norm are not logged"
    assert reasons["memory-growing"] == "perf/vram_mib and perf/rss_mib are not logged"
    assert reasons["reward-scales-lopsided"] == "the run's configuration names no success bonus"
    assert "has no configuration" in diagnose(runs.in_memory({}, {}), KNOWN).not_judged["reward-scales-lopsided"]


def test_a_limit_of_zero_is_none():
    config, series, *_ = noisy(0)
    config["learner"].update(actor_max_grad_norm=0, critic_max_grad_norm=0)
    findings, ticks = told(config, series)
    assert not findings and ticks["gradients-bounded"].met is None


@pytest.mark.parametrize(
    "tag, words, code",
    [
        ("speed of light", "Nothing could be judged.\n", 1),
        ("Loss/value_function", "Nothing found, but only 1 of 17 rules could be judged.\n", 0),
    ],
)
def test_it_says_where_little_or_nothing_could_be_judged(tmp_path, tag, words, code):
    folder = runs.write_run(tmp_path / "run", {}, {tag: ([1, 2], [0.5, 0.4])})
    out, _ = mapush("diagnose", folder, code=code)
    assert words in out and "Nothing found.\n" not in out


def test_without_logs_no_rule_is_judged():
    assert diagnose(runs.in_memory({}, {}), KNOWN).judged == 0
