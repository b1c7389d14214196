import copy
import pickle

import pytest
import torch

from mapush_stack import api
from mapush_stack.envs import push_env
from mapush_stack.errors import UserError
from mapush_stack.task.terminations import CAUSES
from tests.conftest import kinematic_env, outcome, small_config
from tests.kinematic import KinematicSimulator

STILL = torch.zeros(8, 2, 3)


def toward_object(observations):
    """Actions of robots that walk to the object and on: cos_sin layout, object at 2..3."""
    direction = observations[..., 2:4] / observations[..., 2:4].norm(dim=-1, keepdim=True)
    return torch.cat((direction, torch.zeros_like(direction[..., :1])), dim=-1)


def test_shapes_and_types():
    config = small_config()
    env = kinematic_env(config)
    observations, state = env.reset()
    assert observations.shape == (8, 2, env.spec.observation_size) and state.shape == (8, *env.spec.state_shape)
    step = env.step(torch.zeros(8, 2, 3))
    assert step.observations.shape == observations.shape and step.final_state.shape == state.shape
    assert step.rewards.shape == (8, 2) and step.rewards.dtype == torch.float32
    assert step.terminated.dtype == torch.bool and step.truncated.shape == (8,)


def test_an_episode_is_the_same_whatever_runs_beside_it():
    few, many = (kinematic_env(small_config(f"sim.num_envs={n}"), seed=3) for n in (2, 8))
    small, large = few.reset()[0], many.reset()[0]
    for _ in range(300):
        # Sums in another order differ in the last bits.
        assert torch.allclose(small, large[:2], atol=1e-4)
        one, other = few.step(toward_object(small)), many.step(toward_object(large))
        assert torch.allclose(one.rewards, other.rewards[:2], atol=1e-4)
        small, large = one.observations, other.observations


SENSED = ("rate=10", "object_position_noise=0.1", "delay=[0,0.2]", "action_delay=[0,0.2]")


@pytest.mark.parametrize("more", [[], ["task.goal_speed=0.1"], [f"task.sensing.{field}" for field in SENSED]])
def test_another_seed_gives_the_episodes_of_that_seed(more):
    """Whatever the environment was made with."""
    made, reseeded = (kinematic_env(small_config("task.episode_seconds=1", *more), seed=n) for n in (7, 5))
    reseeded.reset()
    reseeded.seed_with(7)
    assert torch.equal(made.reset()[0], reseeded.reset()[0])
    for _ in range(25):
        assert torch.equal(made.step(STILL).observations, reseeded.step(STILL).observations)


def test_a_repeated_action_earns_what_its_control_steps_earn():
    repeated, single = (kinematic_env(small_config(f"task.action_repeat={n}"), seed=5) for n in (5, 1))
    seen, _ = repeated.reset()
    single.reset()
    for _ in range(20):
        action = toward_object(seen)
        step = repeated.step(action)
        parts = [single.step(action) for _ in range(5)]
        alive = torch.ones(8, dtype=torch.bool)
        total = torch.zeros(8, 2)
        for part in parts:
            total += part.rewards * alive.unsqueeze(-1)
            alive &= ~(part.terminated | part.truncated)
        assert torch.allclose(step.rewards, total, atol=1e-4)
        assert torch.equal(step.terminated | step.truncated, ~alive)
        if not alive.all():
            return  # the two fall out of step where an episode ends within a decision
        seen = step.observations
    pytest.fail("no episode ended")


def test_the_time_limit_truncates_and_keeps_the_final_state():
    env = kinematic_env(small_config("task.episode_seconds=0.2", "task.target_distance=[2.9,3.0]"))
    _, state = env.reset()
    env.step(STILL)
    step = env.step(STILL)
    ended = step.truncated
    assert ended.sum() >= 6 and not (step.terminated & step.truncated).any()
    # Robots that stand still end where they began; the state that follows belongs to another episode.
    assert torch.allclose(step.final_state[ended], state[ended], atol=0.05)
    assert not torch.allclose(step.state[ended], state[ended], atol=0.05)
    assert (step.episode.steps[ended] == 10).all()
    assert (step.episode.cause[ended] == CAUSES.index("time_limit")).all()


class Working(KinematicSimulator):
    """Each robot does 1 J in every control step."""

    measures_work = True

    def step(self, commands, repeat=1):
        self.work_path = torch.ones(repeat, *commands.shape[:2])
        return super().step(commands, repeat)


def test_the_work_of_an_episode_is_that_of_its_control_steps():
    config = small_config("task.episode_seconds=0.26", "task.target_distance=[2.9,3.0]")
    env = push_env.PushEnv(config.task, config.object.task, Working(8, 2), 0)
    env.reset()
    lengths = []
    for _ in range(12):
        ended = env.step(STILL).episode
        assert torch.equal(ended.work[ended.done], ended.steps[ended.done].float().unsqueeze(-1).expand(-1, 2))
        lengths += ended.steps[ended.done].tolist()
    assert lengths.count(13) >= 24


def test_without_an_end_the_final_state_is_the_state():
    env = kinematic_env(small_config())
    env.reset()
    step = env.step(STILL)
    going_on = ~(step.terminated | step.truncated)
    assert torch.equal(step.final_state[going_on], step.state[going_on])


def test_success_ends_an_episode_on_its_very_control_step():
    env = kinematic_env(small_config("task.target_distance=[1.5,1.5]"))
    observations, _ = env.reset()
    lengths = []
    for _ in range(400):
        step = env.step(toward_object(observations))
        ended = step.episode.done & step.episode.success
        if ended.any():
            assert step.terminated[ended].all()
            assert (step.rewards[ended] > 1.5).all()  # the bonus of 2
            lengths.append(step.episode.steps[ended])
            if (torch.cat(lengths) % 5 != 0).any():
                return  # on a control step within a decision
        observations = step.observations
    pytest.fail("no success within a decision")


def test_numbers_that_are_not_finite_end_only_their_own_episode_and_are_counted():
    env = kinematic_env(small_config())
    env.reset()
    env.statistics.pop_numbers()
    env.simulator.break_down(torch.tensor([2, 5]))
    step = env.step(STILL)
    broken = step.episode.cause == CAUSES.index("value_error")
    assert broken.tolist() == [n in (2, 5) for n in range(8)]
    assert step.terminated[broken].all()
    for tensor in (step.observations, step.state, step.rewards, step.final_state):
        assert tensor.isfinite().all()
    assert env.statistics.pop_numbers()["cause/value_error"] == 2
    assert not (env.step(STILL).episode.cause == CAUSES.index("value_error")).any()


def test_first_episodes_with_random_ages_stay_out_of_the_statistics():
    env = kinematic_env(small_config("task.episode_seconds=1.0"))
    env.reset(random_ages=True)
    ended = 0
    for _ in range(10):
        ended += int(env.step(STILL).episode.done.sum())
    assert ended == 8  # each first episode, none of which counts
    assert env.statistics.pop_numbers()["episodes"] == 0
    for _ in range(10):
        env.step(STILL)
    assert env.statistics.pop_numbers()["episodes"] == 8


def test_statistics_add_up():
    env = kinematic_env(small_config("task.episode_seconds=2.0"))
    observations, _ = env.reset()
    totals = dict.fromkeys(("done", "success", "seconds", "reward"), 0.0)
    everything = 0.0
    for _ in range(60):
        step = env.step(toward_object(observations))
        observations, ended = step.observations, step.episode
        totals["done"] += int(ended.done.sum())
        totals["success"] += int((ended.done & ended.success).sum())
        totals["reward"] += float(ended.reward[ended.done].sum())
        everything += float(step.rewards.sum())
        for won, steps in zip(ended.success[ended.done], ended.steps[ended.done]):
            totals["seconds"] += float(steps) * 0.02 if won else 2.0
    found = env.statistics.pop_numbers()
    assert found["episodes"] == totals["done"] > 0
    assert found["successes"] == totals["success"]
    assert found["finish_time"] == pytest.approx(totals["seconds"], rel=1e-5)
    assert found["reward"] == pytest.approx(totals["reward"], rel=1e-3)
    causes = sum(count for name, count in found.items() if name.startswith("cause/"))
    assert causes == totals["done"]
    terms = sum(value for name, value in found.items() if name.startswith("term/"))
    assert terms == pytest.approx(everything, rel=1e-3)
    assert env.statistics.pop_numbers()["episodes"] == 0


def test_a_saved_environment_goes_on_as_the_original():
    one, other = (kinematic_env(small_config(), seed=seed) for seed in (1, 1))
    observations, _ = one.reset()
    for _ in range(30):
        observations = one.step(toward_object(observations)).observations
    other.reset()
    other.load_state_dict({name: tensor.clone() for name, tensor in one.state_dict().items()})
    assert torch.equal(other.observe()[0], observations)
    for _ in range(100):
        action = toward_object(observations)
        a, b = one.step(action), other.step(action)
        for left, right in zip(outcome(a), outcome(b)):
            assert torch.equal(left, right)
        observations = a.observations


def paper_env(*overrides):
    return kinematic_env(small_config("learner.actor_minibatches=1", *overrides, preset="paper"), seed=2)


def test_quirk_stale_yaw_rotates_the_first_observation_by_the_old_heading():
    stale, fresh = (
        paper_env("task.episode_seconds=0.04"),
        paper_env("task.episode_seconds=0.04", "task.quirks.stale_yaw=false"),
    )
    turning = torch.zeros(8, 2, 3)
    turning[..., 2] = 2.0
    for env in (stale, fresh):
        env.reset()
    for _ in range(3):
        a, b = stale.step(turning), fresh.step(turning)
    assert a.episode.done.any() and torch.equal(a.episode.done, b.episode.done)
    ended = a.episode.done
    assert not torch.allclose(a.observations[ended], b.observations[ended], atol=1e-3)
    assert torch.equal(a.observations[~ended], b.observations[~ended])
    # Distances do not depend on the heading: only the frame is stale.
    assert torch.allclose(a.observations[ended][..., :2].norm(dim=-1), b.observations[ended][..., :2].norm(dim=-1))


def test_quirk_reset_step_reward_sees_the_new_episode():
    quirky, plain = (
        paper_env("task.episode_seconds=0.04"),
        paper_env("task.episode_seconds=0.04", "task.quirks.reset_step_reward=false"),
    )
    for env in (quirky, plain):
        env.reset()
    for _ in range(2):
        quirky.step(STILL), plain.step(STILL)
    old_object = quirky.simulator.state().object_pos[:, :2].clone()
    a, b = quirky.step(STILL), plain.step(STILL)
    ended = a.episode.done
    assert ended.sum() >= 6  # all but those whose reset broke a rule
    assert not torch.allclose(a.rewards[ended], b.rewards[ended], atol=1e-4)
    # The jump of the target term: the old object's distance to the new target against the new object's.
    new = quirky.simulator.state()
    before = (old_object - quirky._target).norm(dim=-1)
    after = (new.object_pos[:, :2] - quirky._target).norm(dim=-1)
    assert torch.allclose(before, after, atol=1e-4)  # both objects lie at the origin here
    jump = 0.325 * (2 * (before - after) - 0.01 * after)
    assert torch.allclose((a.rewards.mean(1) - _other_terms(quirky))[ended], jump[ended], atol=2e-3)


def _other_terms(env):
    """Mean of the other shaping terms of the paper preset in the present state."""
    measures = env._measure(env._state, env._target)
    approach = -0.00075 * (measures.robot_distance + 0.5) ** 2
    ocb = 0.004 * measures.occlusion
    collision = -0.0025 / (0.02 + measures.pair_distance / 3)
    return (approach + ocb).mean(-1) + collision.squeeze(-1)


def test_quirk_terminal_time_limit_hides_the_truncation():
    env = paper_env("task.episode_seconds=0.04")
    env.reset()
    for _ in range(3):
        step = env.step(STILL)
    ended = step.episode.done
    assert ended.sum() >= 6 and step.terminated[ended].all() and not step.truncated.any()
    assert (step.episode.steps[ended] == 3).all()  # 0.04 s are two steps, and the limit is a step late


def test_without_automatic_resets_an_ended_episode_is_seen_where_it_ended():
    config = small_config("task.episode_seconds=0.5", "task.action_repeat=5")
    env, again = (kinematic_env(config, auto_reset=value) for value in (False, True))
    for _ in range(2):
        assert torch.equal(env.reset()[0], again.reset()[0])
        for _ in range(5):
            step, other = (one.step(torch.ones(8, 2, 3)) for one in (env, again))
        assert step.truncated.all() and torch.equal(step.final_state, other.final_state)
        assert torch.equal(step.state, step.final_state) and not torch.equal(other.state, step.final_state)
        assert torch.equal(step.observations, env.observe()[0])


def test_a_reset_starts_the_episode_that_it_is_asked_for():
    env = kinematic_env(small_config("task.episode_seconds=0.02", "task.action_repeat=1"))
    env.reset()
    second = env.step(STILL).observations
    assert torch.equal(env.reset(episode=1)[0], second) and not torch.equal(env.reset()[0], second)


def test_a_step_shows_every_control_step_of_its_decision():
    repeated, single = (kinematic_env(small_config(f"task.action_repeat={n}"), seed=5) for n in (3, 1))
    repeated.reset(), single.reset()
    step = repeated.step(torch.ones(8, 2, 3))
    parts = [single.step(torch.ones(8, 2, 3)) for _ in range(3)]
    running = ~(step.terminated | step.truncated)
    assert running.any() and step.path.robot_pos.shape == (3, 8, 2, 3)
    for number, part in enumerate(parts):
        for seen, alone in zip(step.path.at((number, running)), part.path.at((0, running))):
            assert torch.allclose(seen.float(), alone.float(), atol=1e-6)
    assert torch.equal(step.path.at((-1, running)).object_pos, repeated.simulator.state().object_pos[running])


def test_the_targets_are_those_of_the_episodes_that_run():
    env = kinematic_env(small_config("task.episode_seconds=0.02", "task.action_repeat=1"))
    env.reset()
    first = env.target.clone()
    assert first.shape == (8, 2) and env.step(STILL).truncated.any()
    assert not torch.equal(env.target, first)
    env.reset()
    assert torch.equal(env.target, first)


def test_a_simulator_without_joints_has_none_to_show():
    env = kinematic_env(small_config())
    env.reset(), env.step(STILL)
    assert env.joint_path is None and env.joint_positions is None


def test_the_final_observations_are_those_of_the_state_that_the_simulator_had():
    config = small_config("task.episode_seconds=0.5")
    env, without = (kinematic_env(config, auto_reset=value) for value in (True, False))
    env.reset(), without.reset()
    ended = torch.zeros(8, dtype=torch.bool)
    for _ in range(5):
        going_on = ~ended
        step, other = env.step(torch.ones(8, 2, 3)), without.step(torch.ones(8, 2, 3))
        last, done = env.final_observations(step), step.terminated | step.truncated
        assert last.shape == step.observations.shape
        # Without automatic resets the simulator is still where the episode ended.
        assert torch.equal(last[going_on], other.observations[going_on])
        assert torch.equal(last[~done], step.observations[~done])
        ended |= done
    assert ended.all() and not torch.isclose(last[done], step.observations[done]).all(-1).any()


GOOD = torch.zeros(8, 2, 3)


@pytest.mark.parametrize(
    "action, words",
    [
        (
            GOOD[:4],
            r"have the shape \[8, 2, 3\], not \[4, 2, 3\]: \[num_envs, num_robots, action_size\]",
        ),
        (GOOD.to_sparse(), "not sparse float32 on cpu of"),
        (GOOD.double(), r"a float32 torch tensor on cpu of shape \[8, 2, 3\], not float64 on cpu of"),
        (GOOD.to("meta"), r"not float32 on meta of shape \[8, 2, 3\]"),
        (GOOD.numpy(), r"not ndarray of shape \[8, 2, 3\]"),
        (GOOD.tolist(), "not list"),
        (None, "not NoneType"),
        (0, "not int"),
        (
            GOOD.index_fill(0, torch.tensor(5), float("nan")),
            r"action\[5, 0\]=\[nan, nan, nan\] is not allowed: .* finite",
        ),
        (GOOD.index_fill(2, torch.tensor(1), float("-inf")), r"action\[0, 0\]=\[0.0, -inf, 0.0\] is not allowed"),
    ],
)
def test_what_is_no_action_is_refused_and_changes_nothing(action, words):
    env, other = kinematic_env(small_config()), kinematic_env(small_config())
    env.reset(), other.reset()
    with pytest.raises(UserError, match=words):
        env.step(action)
    for one, two in zip(outcome(env.step(GOOD)), outcome(other.step(GOOD))):
        assert torch.equal(one, two)


def test_where_nobody_looks_nan_ends_its_own_episode(monkeypatch):
    monkeypatch.setattr(push_env, "checked", lambda name, axes, action, shape, device: action)  # as on a GPU
    env = kinematic_env(small_config())
    env.reset()
    step = env.step(GOOD.index_fill(0, torch.tensor(5), float("nan")))
    assert step.episode.cause[5] == CAUSES.index("value_error") and step.terminated[5]
    assert all(tensor.isfinite().all() for tensor in outcome(step) if tensor.is_floating_point())
    assert not (env.step(GOOD).episode.cause == CAUSES.index("value_error")).any()


def test_an_action_that_carries_a_gradient_is_taken_without_it():
    env = kinematic_env(small_config())
    env.reset()
    assert not env.step(torch.zeros(8, 2, 3, requires_grad=True)).rewards.requires_grad


def test_before_the_first_reset_and_after_close_the_environment_says_what_to_do():
    config = small_config()
    env = kinematic_env(config)
    for call in (lambda: env.step(GOOD), env.observe):
        with pytest.raises(UserError, match="no episode has begun; call reset first"):
            call()
    env.reset(), env.step(GOOD)
    state = env.state_dict()
    fresh = kinematic_env(config)
    fresh.load_state_dict(state)  # takes the place of a reset
    fresh.step(GOOD)
    env.close(), env.close()
    refused = (lambda: env.step(GOOD), env.reset, env.observe, lambda: env.configure(config.task))
    for call in (*refused, lambda: env.load_state_dict(state)):
        with pytest.raises(UserError, match="the environment is closed; make another one"):
            call()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("overrides", [["sim.robot=planar"], ["sim.robot=go1"], ["sim.backend=warp", "sim.device=cpu"]])
def test_a_copy_goes_on_bit_for_bit_as_the_original(mujoco, copied, overrides):
    if "sim.device=cpu" in overrides:
        pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    env = api.make_env(small_config("sim.num_envs=3", "task.episode_seconds=0.5", *overrides), seed=4)
    never_reset = copied(env)
    env.reset()
    env.step(torch.ones(3, 2, 3))
    other = copied(env)
    for _ in range(8):  # beyond the end of an episode
        for one, two in zip(outcome(env.step(torch.ones(3, 2, 3))), outcome(other.step(torch.ones(3, 2, 3)))):
            assert torch.equal(one, two)
    assert torch.equal(never_reset.reset()[0], env.reset()[0])
