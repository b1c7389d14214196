import pytest
import torch

from mapush_stack.evaluation.protocol import Episodes, run_episodes, summarize, wilson_interval
from mapush_stack.task.terminations import CAUSES
from tests.conftest import kinematic_env, small_config
from tests.envs.test_push_env import toward_object


def episodes(success, seconds, collaboration, causes, valid=None):
    return Episodes(
        torch.tensor(success),
        torch.tensor(valid or [True] * len(success)),
        torch.tensor(seconds),
        torch.tensor(collaboration),
        torch.tensor([CAUSES.index(cause) for cause in causes]),
        torch.ones(len(success), 0, dtype=torch.bool),
        torch.zeros(len(success), 0),
        torch.zeros(len(success)),
        *[torch.zeros(len(success), 0)] * 2,
    )


def test_failures_count_as_the_time_limit_and_collaboration_over_successes():
    found = summarize(
        episodes(
            [True, False, True, False],
            [6.0, 0.02, 8.0, 20.0],
            [0.5, 0.9, 0.1, 0.9],
            ["finished", "collision", "finished", "time_limit"],
            [True, False, True, True],
        ),
        20.0,
    )
    assert found.success_rate == 0.5 and found.successes == 2
    assert found.finished_time == pytest.approx((6 + 20 + 8 + 20) / 4)
    assert found.collaboration_degree == pytest.approx(0.3)
    assert found.valid_episodes == 3 and found.valid_success_rate == pytest.approx(2 / 3)
    assert found.causes == {"finished": 2, "collision": 1, "time_limit": 1}
    assert found.collision_degree == 0.0


def test_the_published_figures_mean_what_the_description_says():
    # docs/task.md section 11: 0.597 and 13.61 s together mean 9.3 s per success.
    wins = 179
    found = summarize(
        episodes([True] * wins + [False] * (300 - wins), [9.29] * 300, [0.0] * 300, ["finished"] * 300), 20.0
    )
    assert found.success_rate == pytest.approx(0.597, abs=1e-3) and found.finished_time == pytest.approx(
        13.61, abs=0.01
    )


def test_no_success_is_no_division_by_zero():
    found = summarize(episodes([False], [20.0], [0.0], ["time_limit"], [False]), 20.0)
    assert found.success_rate == found.collaboration_degree == found.valid_success_rate == 0.0


@pytest.mark.parametrize(
    "successes, total, low, high",
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962), (279, 300, 0.8954, 0.9538)],
)
def test_wilsons_interval(successes, total, low, high):
    found = wilson_interval(successes, total)
    assert found == pytest.approx((low, high), abs=5e-4)
    assert (found[0] == 0.0) == (successes == 0) and (found[1] == 1.0) == (successes == total)


def test_only_the_first_episode_of_each_environment_counts():
    config = small_config("task.episode_seconds=4.0", "task.target_distance=[1.5,1.6]")
    env = kinematic_env(config, seed=7)
    seen, first = [], {}
    observations, _ = env.reset()
    for _ in range(90):
        step = env.step(toward_object(observations))
        observations = step.observations
        for n in step.episode.done.nonzero().flatten().tolist():
            seen.append(n)
            first.setdefault(n, (bool(step.episode.success[n]), int(step.episode.steps[n])))
    assert len(seen) > len(first) == 8
    found = run_episodes(toward_object, kinematic_env(config, seed=7))
    for n in range(8):
        assert (bool(found.success[n]), round(float(found.seconds[n]) / 0.02)) == first[n]


def test_an_evaluation_repeats_itself():
    config = small_config("task.episode_seconds=2.0")
    one, two = (run_episodes(toward_object, kinematic_env(config, seed=1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two))
