"""Random configurations never end in a traceback: they run, or are refused with one sentence."""

import contextlib
import io
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapush_stack import presets
from mapush_stack.cli.main import main
from tests.conftest import SMALL

pytestmark = pytest.mark.usefixtures("mujoco")

LEFT_OUT = {"object", "description", "extends", "preset"}
# Fields that a value can make slow rather than wrong get small values only.
COSTLY = {
    "num_envs": [0, -1, 1, 3, 1.5],
    "threads": [0, -1, 2, "many"],
    "hidden": [[], [0], [3], [2, 2], [-1], "wide"],
    "epochs": [0, 1, 2, -3],
    "critic_epochs": [0, 1, 2],
    "actor_minibatches": [0, 1, 3, 10**6],
    "critic_minibatches": [0, 1, 3, 10**6],
    "solver_iterations": [0, 1, 100, 101],
    "physics_dt": [0.02, 0.01, 0.005, 0.003, 0, -1, 1],
    "total_steps": [0, 1, 200, -5, "null"],
    "stages": ["[]", "[{name: a, steps: 3, changes: {}}]", "[{steps: 1}]", "[1]"],
    "rollout_length": [0, 1, 3, -1],
    "checkpoint_interval": [0, 1, 100],
    "episodes": [0, 1, 5, -2],
    "episode_seconds": [0, 0.02, 1.0, -1, 1e9],
    "action_repeat": [0, 1, 2, 50, 51],
    "torch_threads": [0, 1, -1],
    "linear_time_constant": [0, 0.01, 5, -1],
    "backend": ["mujoco", "warp", "auto", "isaac"],
    "device": ["auto", "cpu", "cuda", "cuda:7", "tpu"],
}
JUNK = [
    "",
    "null",
    "true",
    "-1",
    "0",
    "1",
    "2",
    "0.5",
    "1e9",
    "-1e9",
    "nan",
    "inf",
    "-inf",
    "[]",
    "{}",
    "x",
    "[1, 2]",
    "1e-9",
]
CHOICES = ["happo", "mappo", "published", "cos_sin", "features", "target_frame", "observation", "elu", "relu", "tanh",
           "huber", "mse", "constant", "linear", "minibatch", "rollout", "mujoco", "warp", "planar",
           "go1", "cpu", "cuda"]  # fmt: skip


def leaves(tree, path=()):
    for name, value in tree.items():
        if not path and name in LEFT_OUT:
            continue
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield ".".join((*path, name))


FIELDS = sorted(leaves({key: value for one in presets.layers("default") for key, value in one.content.items()}))


@st.composite
def override(draw):
    field = draw(st.sampled_from(FIELDS))
    costly = COSTLY.get(field.rpartition(".")[2])
    value = (
        draw(st.sampled_from(costly)) if costly else draw(st.sampled_from(JUNK + CHOICES) | st.floats(-3, 3).map(str))
    )
    return f"{field}={value}"


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([["--preset", name] for name in presets.PRESETS]),
    st.sampled_from([["--object", name] for name in presets.OBJECTS]),
    st.lists(override(), max_size=4),
)
def test_a_random_configuration_runs_or_is_refused(preset, thing, overrides):
    small = [*SMALL, "training.total_steps=100", "training.stages=[]", "task.episode_seconds=0.5"]
    small = [change for change in small if change.partition("=")[0] not in {o.partition("=")[0] for o in overrides}]
    # Presets with one minibatch on the published layout keep theirs.
    small = [change for change in small if "minibatches" not in change]
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as results, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["train", "--results", results, *preset, *thing, *small, *overrides])
    message = err.getvalue()
    assert code in (0, 2), message
    if code == 2:
        assert message.startswith("mapush: ") and message.count("\n") == 1, message
    else:
        assert "run directory:" in out.getvalue()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(max_size=20), max_size=4))
def test_random_words_are_refused_or_run(words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["train", "--results", "/dev/null", *words])
    assert code in (0, 2)
    assert code == 0 or err.getvalue().count("\n") == 1, err.getvalue()
