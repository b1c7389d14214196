import pytest
import torch

from mapush_stack.task import terminations
from mapush_stack.task.geometry import measure
from tests.conftest import kinematic_env, small_config


@pytest.fixture
def scene():
    """A state in which nothing ends, as (config, state, target)."""
    config = small_config("sim.num_envs=1")
    env = kinematic_env(config)
    env.reset()
    state = env.simulator.state()
    apart = torch.tensor([[[1.2, 0.0, 0.28], [-1.2, 0.0, 0.28]]])
    return config, state._replace(robot_pos=apart), torch.tensor([[2.0, 0.0]])


def ending(scene, age=10, value_error=False):
    config, state, target = scene
    vertices = torch.tensor(config.object.task.vertices)
    now = measure(config.task, vertices, state, target)
    return terminations.evaluate(
        config.task,
        config.object.task,
        torch.tensor([0.45, 0.45]),
        state,
        now,
        torch.tensor([age]),
        torch.tensor([value_error]),
    )


def cause(found):
    return terminations.CAUSES[int(found.cause)]


def test_nothing_ends_by_itself(scene):
    found = ending(scene)
    assert not found.done and cause(found) == "running" and int(found.exceptional) == 0


def test_success_is_within_a_metre(scene):
    config, state, _ = scene
    assert cause(ending((config, state, torch.tensor([[0.999, 0.0]])))) == "finished"
    assert cause(ending((config, state, torch.tensor([[1.001, 0.0]])))) == "running"


def change(state, field, index, value):
    tensor = getattr(state, field).clone()
    tensor[index] = value
    return state._replace(**{field: tensor})


@pytest.mark.parametrize(
    "field, index, ends, goes_on, expected",
    [
        ("robot_pos", (0, 1), [0.96, 0.0, 0.28], [0.94, 0.0, 0.28], "collision"),
        ("robot_rpy", (0, 0, 0), -0.81, -0.79, "roll"),
        ("robot_rpy", (0, 1, 1), 1.61, 1.59, "pitch"),
        ("robot_pos", (0, 0, 2), 0.09, 0.11, "robot_height"),
        ("robot_pos", (0, 0, 2), 0.81, 0.79, "robot_height"),
        ("object_pos", (0, 2), 0.66, 0.64, "object_height"),
    ],
)
def test_each_rule_at_its_threshold(scene, field, index, ends, goes_on, expected):
    config, state, target = scene
    broken = change(state, field, index, torch.tensor(ends))
    found = ending((config, broken, target))
    assert found.done and cause(found) == expected and int(found.exceptional) == 1
    kept = change(state, field, index, torch.tensor(goes_on))
    assert not ending((config, kept, target)).done


def test_the_time_limit(scene):
    assert not ending(scene, age=999).done
    found = ending(scene, age=1000)
    assert found.done and cause(found) == "time_limit" and int(found.exceptional) == 0


def test_upstreams_time_limit_is_a_step_late():
    assert small_config(preset="paper").task.max_steps == 1001


def test_a_value_error_counts_once_more(scene):
    config, state, target = scene
    found = ending((config, state, target), value_error=True)
    assert found.done and cause(found) == "value_error" and int(found.exceptional) == 1
    tilted = change(state, "robot_rpy", (0, 0, 0), 1.0)
    assert int(ending((config, tilted, target), value_error=True).exceptional) == 2


def test_success_counts_even_where_a_rule_breaks(scene):
    config, state, _ = scene
    tilted = change(state, "robot_rpy", (0, 0, 0), 1.0)
    found = ending((config, tilted, torch.tensor([[0.5, 0.0]])))
    assert found.finished and cause(found) == "finished" and int(found.exceptional) == 1
