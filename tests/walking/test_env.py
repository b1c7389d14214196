import math

import pytest
import torch

from mapush_stack.locomotion.gait import NUM_JOINTS, SIGHTED, Proprioception, View
from mapush_stack.locomotion.policy import load
from mapush_stack.walking import rewards
from tests.conftest import small_config


@pytest.fixture
def env(mujoco):
    from mapush_stack.walking.env import make_walking_env

    config = small_config("sim.robot=go1", "sim.num_envs=8")
    return make_walking_env(config.sim, config.object.body, 0)


def test_walkers_are_the_robots_of_every_scene(env):
    assert env.num_walkers == 16
    assert env.observe().shape == (16, SIGHTED.size) and env.privileged().shape == (16, 67)
    result = env.step(torch.zeros(16, NUM_JOINTS))
    assert result.rewards.shape == result.done.shape == result.timed_out.shape == (16,)
    assert not result.done.any()
    assert set(result.log) == {f"/reward/{term.__name__}" for term in rewards.WEIGHTS}


def test_scenes_have_their_own_bodies(env):
    batch = env.engine.batch
    for name in ("geom_friction", "body_mass", "actuator_gainprm"):
        values = batch.expanded(name)
        assert abs(values - values[:1]).max() > 0, name
    floor = env.engine.model.geom("floor").id
    assert (batch.expanded("geom_friction")[:, floor] == batch.expanded("geom_friction")[0, floor]).all()


def test_a_fall_ends_both_walkers_and_only_the_fallen_one_is_blamed(env):
    env.step(torch.zeros(16, NUM_JOINTS))
    # The first robot of scene 3 lies on its back.
    env.engine.batch.qpos[3, 7 + 3 : 7 + 7] = [0.0, 1.0, 0.0, 0.0]
    result = env.step(torch.zeros(16, NUM_JOINTS))
    assert result.done.nonzero().squeeze(-1).tolist() == [6, 7]
    assert result.timed_out.nonzero().squeeze(-1).tolist() == [7]
    assert result.rewards[6] < result.rewards[7] - 1.0
    assert env.ages[3] == 0 and (env.ages[[0, 1, 2]] == 2).all()


def test_the_shipped_policy_is_rewarded_more_than_standing_limp(env):
    walker = load("shipped")
    totals = []
    for act in (walker, lambda seen: torch.zeros(len(seen), NUM_JOINTS)):
        env._random.manual_seed(5)
        env._restart(torch.arange(8))
        totals.append(sum(float(env.step(act(env.observe())).rewards.sum()) for _ in range(100)))
    assert totals[0] > totals[1] + 10


def step(**changes):
    zero = torch.zeros(1)
    body = Proprioception(*(torch.zeros(1, size) for size in (3, 3, 3, 12, 12)))
    values = {
        "body": body,
        "command": torch.zeros(1, 3),
        "phase": zero,
        "height": zero + rewards.HEIGHT,
        "foot_height": torch.zeros(1, 4),
        "foot_speed": torch.zeros(1, 4),
        "foot_drift": torch.zeros(1, 4),
        "mean_error": torch.zeros(1, 3),
        "torque": torch.zeros(1, 12),
        "action": torch.zeros(1, 12),
        "last_action": torch.zeros(1, 12),
        "fallen": zero.bool(),
    }
    return rewards.WalkingStep(**{**values, **changes})


def test_feet_are_wanted_on_the_trots_curve():
    command = torch.tensor([[0.5, 0.0, 0.0]])
    swing = torch.tensor([[rewards.SWING_HEIGHT, 0.0, 0.0, rewards.SWING_HEIGHT]])
    quarter = torch.tensor([0.25])
    assert float(rewards.trot(step(command=command, phase=quarter, foot_height=swing))) == pytest.approx(0.0, abs=1e-6)
    assert float(rewards.trot(step(command=command, phase=quarter))) == pytest.approx(0.5)
    # Without a command all feet stay down.
    assert float(rewards.trot(step(phase=quarter))) == 0.0
    assert float(rewards.trot(step(phase=quarter, foot_height=swing))) == pytest.approx(0.5)


def test_a_drift_while_standing_is_punished_in_proportion():
    def drifting(speed):
        velocity = torch.tensor([[speed, 0.0, 0.0]])
        body = Proprioception(velocity, *(torch.zeros(1, size) for size in (3, 3, 12, 12)))
        return float(rewards.creep(step(body=body)))

    assert drifting(0.02) == pytest.approx(2 * drifting(0.01)) == pytest.approx(0.02)
    walking = step(command=torch.tensor([[0.5, 0.0, 0.0]]))
    assert float(rewards.creep(walking)) == 0.0


def test_feet_that_creep_away_while_standing_are_rewarded_less():
    def held(drift, **changes):
        return float(rewards.hold(step(foot_drift=torch.full((1, 4), drift), **changes)))

    assert held(0.0) == 1.0 and held(0.004) < 0.4 and held(0.0, command=torch.tensor([[0.5, 0.0, 0.0]])) == 0.0


def test_a_wrong_mean_velocity_is_rewarded_less():
    def follows(*error):
        return float(rewards.velocity_mean(step(mean_error=torch.tensor([error]))))

    assert follows(0.0, 0.0, 0.0) == 1.0
    assert follows(0.03, 0.04, 0.0) == pytest.approx(math.exp(-1.0)) == pytest.approx(follows(0.0, 0.0, -0.1))


def test_the_feet_are_anchored_when_a_robot_has_come_to_stand(env):
    env._command.zero_()
    env._command[0, 0, 0] = 0.5
    env._command_steps.fill_(1000.0)
    env._push.zero_()
    for _ in range(40):
        env._apply_forces = lambda: None
        env.step(load("shipped")(env.observe()))
    drift = env._drift.clone()
    assert not drift[0, 0].any() and (drift[1:] > 0).all()
    anchor = env._anchor[1:].clone()
    env.step(load("shipped")(env.observe()))
    assert torch.equal(env._anchor[1:], anchor)


def test_a_blind_policy_learns_with_worse_hardware(mujoco):
    from mapush_stack.walking.env import make_walking_env

    config, view = small_config("sim.robot=go1", "sim.num_envs=8"), View(3, linear_velocity=False)
    sighted, blind = (make_walking_env(config.sim, config.object.body, 0, one) for one in (SIGHTED, view))
    assert blind.observe().shape == (16, 3 * 47) and not torch.equal(blind.observe(), blind.observe())
    assert torch.equal(sighted.observe(), sighted.observe())
    for part, most in zip(blind._hardware, (1.0, 0.04, 0.02)):
        assert 0.5 * most < part.abs().max() <= most
    assert not any(part.any() for part in sighted._hardware)
    for name in ("body_ipos", "actuator_biasprm"):
        stiffness, plain = (one.engine.batch.expanded(name) for one in (blind, sighted))
        assert abs(stiffness - plain).max() > 0, name
    # The motors are late: what is sent now moves them only after the delay.
    blind._hardware.delay.fill_(0.04)
    result = blind.step(torch.full((16, NUM_JOINTS), 2.0))
    assert (blind._sent[:, :, 0] == 2.0).all() and not blind._sent[:, :, 1].any()
    assert torch.equal(result.observations[:, :47], torch.zeros(16, 47)) and result.observations[:, 47:].any()
