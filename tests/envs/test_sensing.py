"""Robots that know poses now and then, late, with noise and gaps, and follow commands late."""

import pytest
import torch

from mapush_stack import api
from mapush_stack.envs.command_delay import CommandDelay
from mapush_stack.envs.episodes import Episodes
from mapush_stack.envs.factory import make_env
from mapush_stack.envs.sensing import Sensing
from mapush_stack.errors import UserError
from mapush_stack.task.observations import observe
from mapush_stack.task.state import SimState
from tests.conftest import kinematic_env, outcome, small_config
from tests.envs.test_push_env import toward_object
from tests.kinematic import KinematicSimulator

STEPS = 40
TURN = torch.tensor([0.0, 0.0, 1.0]).expand(1, 2, 3)
FAR = ["task.target_distance=[2.9,3.0]", "task.observation=cos_sin", "task.placement=apart"]
EACH_STEP = ["task.action_repeat=1", "sim.num_envs=64", "task.episode_seconds=100"]


def sensing(*fields, overrides=(), seed=3, **options):
    """An environment with these fields of `task.sensing`."""
    fields = [f"task.sensing.{field}" for field in fields]
    return kinematic_env(small_config(*FAR, *fields, *overrides), seed=seed, **options)


def walked(*envs, steps=STEPS):
    """The steps of environments whose robots all do what the first one's do, walking at the object as it is."""
    for env in envs:
        env.reset()
    for _ in range(steps):
        seen = observe(envs[0].config, envs[0].object, envs[0].sim_state, envs[0].target)
        action = toward_object(seen)
        yield [env.step(action) for env in envs]


def turned(env, steps):
    """The headings that robots know `[N, A]` after each step in which all turn on the spot; no episode ends."""
    env.reset()
    for _ in range(steps):
        step = env.step(TURN.expand(env.num_envs, -1, -1))
        assert not step.episode.done.any()
        yield env.sight.state.robot_rpy[..., 2].clone()


NOISY = ("object_position_noise=0.3", "robot_heading_noise=20", "rate=10", "delay=0.1", "dropout=0.3")


@pytest.mark.parametrize("state", ["target_frame", "observation"])
def test_only_what_robots_observe_is_measured(state):
    overrides = [f"task.global_state={state}", "learner.algorithm=mappo"]
    differs = 0
    for exact, measured in walked(sensing(overrides=overrides), sensing(*NOISY, overrides=overrides)):
        for name in ("rewards", "terminated", "truncated", "state", "final_state"):
            assert torch.equal(getattr(exact, name), getattr(measured, name)), name
        assert all(torch.equal(a, b) for a, b in zip(exact.episode, measured.episode))
        differs += not torch.isclose(exact.observations, measured.observations, atol=1e-3).all()
    assert differs == STEPS


def test_what_is_observed_is_as_old_as_the_delay():
    """Also by a part of a decision, and at the end of an episode; before its start nothing has moved."""
    ended = 0
    env = sensing("delay=0.04", overrides=["task.episode_seconds=1.5"])
    first = env.reset()[0]
    for (step,) in walked(env):
        old = observe(env.config, env.object, step.path.at(2), step.final_target)
        going = ~step.episode.done
        assert torch.allclose(step.observations[going], old[going], atol=1e-5)
        age = step.episode.steps
        late = step.episode.done & ((age % 5 == 0) | (age % 5 > 2))
        rows = late.nonzero().squeeze(-1)
        before = step.path.at(((age[rows] - 1) % 5 - 2, rows))
        expected = observe(env.config, env.object, before, step.final_target[rows])
        assert torch.allclose(env.final_observations(step)[rows], expected, atol=1e-5)
        ended += len(rows)
    assert ended >= 8
    assert torch.equal(first, sensing().reset()[0])


@pytest.mark.parametrize("rate", [5, 10, 25])
def test_poses_are_measured_as_often_as_the_rate_says(rate):
    known = torch.stack(list(turned(sensing(f"rate={rate}", overrides=EACH_STEP), 51)))
    new = (known[1:] != known[:-1]).all(-1)
    assert (new.sum(0) - rate).abs().max() <= 1 and not new.all(-1).any(), "environments have phases of their own"


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_lost_measurements_leave_the_one_before(share):
    known = torch.stack(list(turned(sensing(f"dropout={share}", overrides=EACH_STEP), 51)))
    held = known[1:] == known[:-1]
    assert held.float().mean() == pytest.approx(share, abs=0.02)
    assert share == 1 or (held[..., 0] != held[..., 1]).any(), "each body is lost for itself"


def errors(env, steps=STEPS):
    """How far what robots know is from the truth, `[decisions, N, 1 + A, 3]` with yaw in degrees."""
    found = []
    for _ in walked(env, steps=steps):
        known, truth = env.sight.state, env.sim_state
        thing = (known.object_pos - truth.object_pos)[:, None, :2], (known.object_rpy - truth.object_rpy)[:, None, 2:]
        robots = (known.robot_pos - truth.robot_pos)[..., :2], (known.robot_rpy - truth.robot_rpy)[..., 2:]
        found.append(torch.cat([torch.cat((a, b.rad2deg()), dim=-1) for a, b in (thing, robots)], dim=1))
    return torch.stack(found)


def test_noise_is_as_large_as_asked_and_new_at_each_measurement():
    fields = "object_position_noise=0.1", "object_heading_noise=4", "robot_position_noise=0.2", "robot_heading_noise=8"
    found = errors(sensing(*fields, overrides=["sim.num_envs=256"]))
    wanted = torch.tensor([[0.1, 0.1, 4], [0.2, 0.2, 8], [0.2, 0.2, 8]])
    normal = found / wanted
    assert (normal.std((0, 1)) - 1).abs().max() < 0.03 and normal.mean((0, 1)).abs().max() < 0.03
    assert (normal.abs() < 1).float().mean() == pytest.approx(0.683, abs=0.01)
    numbers = normal.flatten(2)
    alike = torch.corrcoef(numbers.flatten(0, 1).T) - torch.eye(9)
    assert alike.abs().max() < 0.05
    assert (numbers[1:] * numbers[:-1]).mean().abs() < 0.02


def test_noise_belongs_to_seed_environment_episode_and_step():
    few, many = (
        errors(sensing("object_position_noise=[0.1,0.2]", overrides=[f"sim.num_envs={n}"], seed=seed))
        for n, seed in ((2, 3), (8, 3))
    )
    assert torch.allclose(few, many[:, :2], atol=1e-5)
    later = errors(sensing("object_position_noise=[0.1,0.2]", first_env=1, overrides=["sim.num_envs=2"]))
    assert torch.allclose(later[:5], many[:5, 1:3], atol=1e-5)
    other = errors(sensing("object_position_noise=[0.1,0.2]", overrides=["sim.num_envs=2"], seed=4))
    assert not torch.isclose(other[:5, :, 0, 0], few[:5, :, 0, 0], atol=1e-3).any()


def test_each_episode_draws_from_the_range():
    env = sensing("object_position_noise=[0.1,0.3]", "delay=[0,0.2]", overrides=["sim.num_envs=512"])
    env.reset()
    size = env.link.sensing.drawn[:, 2].clone()
    assert 0.1 <= size.min() < 0.11 and 0.29 < size.max() <= 0.3
    delays = torch.bincount(env.link.sensing.drawn[:, -1].long(), minlength=11) / 512
    assert len(delays) == 11 and delays.min() > 0.04 and delays.max() < 0.15
    env.reset(episode=1)
    assert (env.link.sensing.drawn[:, 2] != size).all()


def test_robots_follow_commands_late():
    delay, repeat = 7, 5
    env = sensing(f"action_delay={delay * 0.02}", overrides=["sim.num_envs=4", "task.episode_seconds=100"])
    given, followed = [], []
    env.reset()
    for number in range(12):
        action = torch.full((4, 2, 3), 0.0)
        action[..., 2] = 0.05 * (number + 1)
        step = env.step(action)
        assert not step.episode.done.any() and step.path.robot_pos.shape[0] == repeat
        given += [0.025 * (number + 1)] * repeat
        followed.append(step.path.robot_ang_vel[..., 2])
    followed = torch.cat(followed)
    wanted = torch.tensor([0.0] * delay + given[:-delay])
    assert torch.allclose(followed, wanted[:, None, None].expand_as(followed), atol=1e-6)
    env.reset()
    again = env.step(torch.ones(4, 2, 3))
    assert not again.path.robot_ang_vel.any(), "what was under way belongs to the episode before"


def test_each_episode_draws_its_action_delay():
    env = sensing("action_delay=[0,0.2]", overrides=["task.action_repeat=1", "sim.num_envs=256"])
    env.reset()
    first = torch.full((256,), -1)
    for number in range(12):
        moving = env.step(torch.ones(256, 2, 3)).path.robot_ang_vel[-1, :, 0, 2] > 0
        first = torch.where((first < 0) & moving, number, first)
    assert set(first.tolist()) >= set(range(11)) and first.max() <= 10


def test_what_is_driven_in_parts_is_recorded_whole(mujoco):
    late, exact = (
        make_env(config.task, config.object, config.sim, 1, measure_work=True)
        for config in (small_config(*FAR, f"task.sensing.action_delay={delay}") for delay in (0.04, 0))
    )
    late.reset(), exact.reset()
    for _ in range(3):
        a, b = late.step(torch.ones(8, 2, 3)), exact.step(torch.ones(8, 2, 3))
        assert late.joint_path.shape == exact.joint_path.shape and a.path.robot_pos.shape == b.path.robot_pos.shape
        assert a.episode.work.shape == (8, 2)
    late.close(), exact.close()


def test_a_saved_environment_knows_what_it_knew():
    fields = (*NOISY, "action_delay=[0,0.3]")
    one, other = (sensing(*fields, seed=1) for _ in range(2))
    other.reset()
    assert len(list(walked(one))) == STEPS
    other.load_state_dict({name: tensor.clone() for name, tensor in one.state_dict().items()})
    observations = one.observe()[0]
    assert torch.equal(other.observe()[0], observations)
    for _ in range(60):
        a, b = (env.step(toward_object(observations)) for env in (one, other))
        assert all(torch.equal(left, right) for left, right in zip(outcome(a), outcome(b)))
        observations = a.observations


def test_a_planner_leads_from_where_the_object_is_seen(mujoco):
    arena = ["task.obstacles.arena=[14,14]", "task.obstacles.planner=fast_marching", "task.obstacles.boxes=3"]
    arena += ["task.obstacles.observed=true", "task.target_distance=[6,8]", "task.obstacles.layouts=8"]
    exact, noisy = (
        api.make_env(small_config(*arena, f"task.sensing.object_position_noise={size}", preset="default"))
        for size in (0, 0.3)
    )
    truth, seen = exact.reset(), noisy.reset()
    assert torch.equal(truth[1], seen[1]) and torch.equal(exact.target, noisy.target)
    assert (noisy.sight.target - noisy.target)[:, :2].norm(dim=-1).max() > 0.1
    assert torch.equal(exact.sight.target, exact.target)
    exact.close(), noisy.close()


def test_a_curriculum_may_change_what_robots_know():
    env = sensing("rate=10")
    for _ in walked(env, steps=3):
        pass
    env.configure(small_config(*FAR, "task.sensing.object_position_noise=0.5").task)
    (step,) = next(iter(zip(env.step(torch.zeros(8, 2, 3)).observations)))
    assert step.isfinite().all()
    assert (env.sight.state.object_pos - env.sim_state.object_pos).abs().max() > 0.1


def nothing_from_the_host():
    """A context in which a tensor made of Python numbers is an error: a CUDA graph cannot hold its copy."""
    from torch.overrides import TorchFunctionMode

    class Guard(TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), named=None):
            name = function.__name__
            index = arguments[1] if name in ("__getitem__", "__setitem__") else ()
            lists = [part for part in (index if isinstance(index, tuple) else (index,)) if isinstance(part, list)]
            assert not lists and name not in ("tensor", "as_tensor"), f"{name} makes a tensor on the host"
            return function(*arguments, **(named or {}))

    return Guard()


@pytest.mark.skipif(not hasattr(torch, "compile"), reason="torch 1.13 knows too little of the device meta")
def test_it_stays_on_its_device():
    meta = torch.device("meta")
    config = small_config(*FAR, *(f"task.sensing.{field}" for field in (*NOISY, "action_delay=[0.0,0.3]")))
    simulator = KinematicSimulator(4, 2)
    simulator.device = meta
    episodes = Episodes(config.object.task, simulator, torch.zeros(4, 2, device=meta), 0, 0, None)
    task = config.task, episodes, meta
    known, late = Sensing(*task), CommandDelay(*task, simulator)

    def zeros(*shape, dtype=torch.float32):
        return torch.zeros(shape, dtype=dtype, device=meta)

    shapes = [(5, 4, 2, 3) if name.startswith("robot") else (5, 4, 3) for name in SimState._fields[:8]]
    path = SimState(*(zeros(*shape) for shape in shapes), zeros(5, 4, 2, 0), zeros(5, 4, dtype=torch.bool))
    simulator.step = lambda commands, repeat: path.at(slice(0, repeat))
    rows, mask = zeros(4, dtype=torch.int64), zeros(4, dtype=torch.bool)
    with nothing_from_the_host():
        known.start(rows, mask, path.at(0))
        late.start(rows, mask)
        driven = late.step(zeros(4, 2, 3), 5)
        final = known.follow(driven, zeros(5, 4, dtype=torch.int64), rows, mask, path.at(-1))
        seen = known.seen(path.at(0))
        with pytest.raises(AssertionError, match="on the host"):
            zeros(4, 8)[:, [2, 2, 3]]
    assert all(tensor.device == meta for tensor in (*final, *seen, *driven))


@pytest.mark.parametrize(
    "field, hint",
    [
        ("rate=0", "from 0.5 to 50, or two as \\[least, most\\]"),
        ("rate=[30,10]", "two as"),
        ("rate=60", "from 0.5 to 50"),
        ("delay=-0.1", "from 0 to 2"),
        ("delay=[0,0.1,0.2]", "delay"),
        ("delay=[0.1]", "give a number, or two as"),
        ("dropout=1.5", "from 0 to 1"),
        ("object_position_noise=nan", "^task.sensing.object_position_noise=nan is not allowed: give a number"),
        ("robot_heading_noise=soft", "task.sensing.robot_heading_noise=soft is not allowed"),
        ("action_delay=true", "^task.sensing.action_delay=True is not allowed: give a number, or two"),
        ("rate=null", "task.sensing.rate"),
        ("rat=1", "did you mean rate"),
    ],
)
def test_wrong_values_are_one_sentence(field, hint):
    with pytest.raises(UserError, match=hint) as error:
        sensing(field)
    assert "\n" not in str(error.value)
