import pytest
import torch

from mapush_stack.locomotion.gait import SIGHTED, View
from mapush_stack.locomotion.policy import WalkingPolicy
from mapush_stack.system.signals import StopRequest
from tests.conftest import small_config

BLIND = View(2, linear_velocity=False)


def constant(view, value):
    """A policy whose actions are all `value`."""
    walker = WalkingPolicy([], view)
    walker.net[-1].weight.data.zero_()
    walker.net[-1].bias.data.fill_(value)
    return walker


@pytest.fixture
def env(mujoco):
    from mapush_stack.walking.env import make_walking_env

    config = small_config("sim.robot=go1", "sim.num_envs=8")
    return make_walking_env(config.sim, config.object.body, 0, BLIND, 0.02)


def test_a_student_learns_what_the_teacher_does_and_stands_as_it_did(env):
    from mapush_stack.walking.imitation import Imitation
    from mapush_stack.walking.training import Progress

    progress = Progress(lambda number, means: None, StopRequest())
    start = constant(BLIND, -0.2)
    learner = Imitation(env, constant(SIGHTED, 0.2), start, {})
    assert 0 < int(env.standing().sum()) < 16 and env.told().shape == (16, SIGHTED.size)
    standing = env.standing()
    seen, right = learner._walk(start, 0.0, progress)
    assert torch.equal(right[:16, 0], torch.where(standing, -0.2, 0.2)) and seen.shape == (24 * 16, BLIND.size)
    student = learner.learn(3, progress)
    action = student(seen[:16]).mean(-1)
    assert action[~standing].mean() > 0 and action[standing].mean() < action[~standing].mean() - 0.1
    assert torch.equal(start.net[-1].bias, constant(BLIND, -0.2).net[-1].bias) and len(progress.curve) == 4
    assert float(env._hardware.delay.max()) < 0.02
