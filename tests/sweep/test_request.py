import pytest

from mapush_stack.errors import UserError
from mapush_stack.sweep.request import SweepRequest, parse_axis, parse_seeds


def request(**changes):
    plain = {"presets": ["default"], "objects": [""], "axes": {}, "seeds": [1], "parts": [], "overrides": []}
    return SweepRequest(**{**plain, "cpus_per_trial": 2, "gpus_per_trial": 0.0, **changes})


@pytest.mark.parametrize(
    "text, seeds", [("1-5", [1, 2, 3, 4, 5]), ("7", [7]), ("1, 3,7-9", [1, 3, 7, 8, 9]), ("0-0", [0])]
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "1-", "3-1", "1,,2", "-1", "1.5", "1-9999999999", "1-20000", "1-9999,1-2"])
def test_what_is_no_list_of_seeds_is_refused(text):
    with pytest.raises(UserError, match="--seeds"):
        parse_seeds(text)


@pytest.mark.parametrize(
    "text, field, values",
    [
        ("learner.gamma=0.99,0.995", "learner.gamma", ["0.99", "0.995"]),
        ("learner.actor_lr=1e-3", "learner.actor_lr", ["1e-3"]),
        ("learner.policy.network.hidden=[64],[128, 128]", "learner.policy.network.hidden", ["[64]", "[128, 128]"]),
        ("learner.value_clip=null,0.2", "learner.value_clip", ["null", "0.2"]),
    ],
)
def test_a_grid_keeps_lists_together(text, field, values):
    assert parse_axis(text) == (field, values)


@pytest.mark.parametrize("text", ["learner.gamma", "learner.gamma=", "=1", "learner.gamma=[1", "learner.gamma=1]"])
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(UserError, match="--grid"):
        parse_axis(text)


def test_trials_are_all_combinations_seed_by_seed():
    axes = {"learner.algorithm": ["happo", "mappo"], "learner.actor_lr": ["1e-3", "3e-4"]}
    trials = request(presets=["default", "basic"], axes=axes, seeds=[1, 2]).trials()
    assert len(trials) == 2 * 2 * 2 * 2 and len({trial.name for trial in trials}) == 16
    assert [trial.seed for trial in trials] == [1] * 8 + [2] * 8
    first, last = trials[0], trials[-1]
    assert first.name == "0001-seed-1-default-happo-actor_lr=1e-3"
    assert first.point == {
        "preset": "default",
        "object": "cuboid",
        "algo": "happo",
        "robot": "planar",
        "learner.actor_lr": "1e-3",
    }
    assert first.config.learner.actor_lr == 1e-3 and first.config.training.seed == 1
    assert last.config.learner.algorithm == "mappo" and last.config.training.seed == 2
    assert last.config.preset == "basic" and last.config.learner.actor_lr == 3e-4


def test_threads_are_those_of_the_trial_where_the_configuration_leaves_them_open():
    (trial,) = request().trials()
    assert (trial.config.training.torch_threads, trial.config.sim.threads) == (2, 2)
    (trial,) = request(cpus_per_trial=16).trials()
    assert (trial.config.training.torch_threads, trial.config.sim.threads) == (4, 16)
    (trial,) = request(overrides=["training.torch_threads=3"]).trials()
    assert (trial.config.training.torch_threads, trial.config.sim.threads) == (3, 2)
    assert trial.train[-2:] == ["sim.threads=2", "training.seed=1"] and "training.torch_threads=3" in trial.train


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"presets": ["nope"]}, "there is no preset called nope"),
        ({"presets": ["default", "default"]}, "--preset has default twice"),
        ({"seeds": [1, 2, 1]}, "--seeds has 1 twice"),
        (
            {"axes": {"learner.gamma": ["0.9", "2"]}},
            r"gamma=2 is not allowed.*\(in the trials default-gamma=2\)",
        ),
        ({"axes": {"learner.gamma": ["0.9"]}, "overrides": ["learner.gamma=0.9"]}, "learner.gamma is given twice"),
        ({"axes": {"training.seed": ["1"]}}, "training.seed is what --seeds is for"),
        ({"seeds": range(10_001)}, "the sweep has 10,001 trials"),
        ({"overrides": ["sim.backend=warp"]}, "needs a GPU; add --gpus-per-trial 1"),
        ({"overrides": ["sim.device=cuda:1"], "gpus_per_trial": 1.0}, "Ray chooses the GPU"),
    ],
)
def test_a_bad_request_is_refused_whole(changes, words):
    with pytest.raises(UserError, match=words):
        request(**changes).trials()
