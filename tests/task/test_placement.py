"""`placement: apart` and `team_size`."""

import math

import pytest
import torch

from mapush_stack.api import make_env
from mapush_stack.errors import UserError
from mapush_stack.task import resets
from mapush_stack.task.geometry import rotate
from mapush_stack.task.resets import draw_start, draw_team
from mapush_stack.training import config as configuration
from tests.conftest import kinematic_env, small_config
from tests.envs.test_push_env import toward_object

SIZE = 10_000
RADIUS = 0.35


def of_team(*kinds, overrides=(), **options):
    return small_config("task.placement=apart", f"team=[{','.join(kinds)}]", *overrides, **options)


def starts(config, robots, size=SIZE):
    ids, first = torch.arange(size), torch.zeros(size, dtype=torch.int64)
    return draw_start(config.task, config.object.task, 5, ids, first, torch.full((robots,), 0.45))


@pytest.mark.parametrize("robots", range(1, 9))
@pytest.mark.parametrize("name", ["cuboid", "tblock", "cylinder"])
def test_robots_stand_apart_from_the_object_and_from_each_other(name, robots):
    config = of_team(*["planar"] * robots, object_name=name)
    state = starts(config, robots).state
    place = state.robot_pos[..., :2]
    pairs = torch.cdist(place, place) + 9 * torch.eye(robots)
    assert pairs.min() > 2 * RADIUS + 0.099
    vertices = torch.tensor(config.object.task.vertices)
    seen = rotate(place, -state.object_rpy[:, 2:])
    edge = vertices.roll(-1, 0) - vertices
    outward = torch.stack((edge[:, 1], -edge[:, 0]), dim=-1) / edge.norm(dim=-1, keepdim=True)
    # No less than the distance to the line of any edge; the hexagon's corners are on the cylinder's edge.
    outside = ((seen.unsqueeze(-2) - vertices) * outward).sum(-1).amax(-1)
    assert outside.min() > 0.25 and (name != "cylinder" or seen.norm(dim=-1).min() > 1.5 + RADIUS)
    assert seen.norm(dim=-1).max() < 2.7
    # Each direction is as likely as any other.
    bearing = torch.atan2(place[..., 1], place[..., 0])
    assert abs(float(torch.cos(bearing).mean())) < 0.03 and abs(float(torch.sin(bearing[:, 0]).mean())) < 0.03


def test_equal_draws_stand_in_different_places():
    assert resets._rank(torch.tensor([[0.5, 0.5, 0.2, 0.5]])).tolist() == [[1, 2, 0, 3]]


def test_a_start_depends_on_seed_environment_and_episode_alone():
    config = of_team(*["planar"] * 4)
    few, many = starts(config, 4, 3), starts(config, 4, 50)
    assert torch.equal(few.state.robot_pos, many.state.robot_pos[:3])


@pytest.mark.parametrize(
    "name, kinds, size",
    [
        ("cuboid", ["planar"], SIZE),
        ("cuboid", ["planar"] * 8, SIZE),
        ("cylinder", ["planar"] * 8, SIZE),
        ("tblock", ["rover"] * 5, SIZE),
        ("tblock", ["go1", "rover", "planar-strong"], 1000),
    ],
)
def test_no_reset_breaks_a_rule_or_touches(mujoco, name, kinds, size):
    config = of_team(*kinds, object_name=name, overrides=[f"sim.num_envs={size}", "task.action_repeat=1"])
    env = make_env(config, seed=3)
    env.reset()
    assert bool(env.episodes.valid.all())
    step = env.step(torch.zeros(size, len(kinds), env.spec.action_size))
    assert not bool(step.episode.done.any())
    env.close()


def test_so_many_robots_are_here_as_the_team_size_says():
    config = of_team(*["planar"] * 4, overrides=["task.team_size=[2,4]"])
    ids, zero = torch.arange(SIZE), torch.zeros(SIZE, dtype=torch.int64)
    here = draw_team(config.task, 1, ids, zero, 4)
    shares = torch.bincount(here.sum(-1), minlength=5) / SIZE
    assert shares[:2].sum() == 0 and (shares[2:] - 1 / 3).abs().max() < 0.02
    assert (here.float().mean(0) - 0.75).abs().max() < 0.02
    assert torch.equal(draw_team(config.task, 1, ids[:5], zero[:5], 4), here[:5])
    assert not torch.equal(draw_team(config.task, 1, ids, zero + 1, 4), here)


def test_a_heavy_object_has_no_small_team():
    config = of_team(*["planar"] * 4, overrides=["task.team_size=[2,4]", "task.load_per_robot=10"])
    ids, mass = torch.arange(SIZE), torch.tensor([4.0, 20.0, 24.0, 40.0, 90.0]).repeat(SIZE // 5)
    count = draw_team(config.task, 1, ids, torch.zeros_like(ids), 4, mass).sum(-1).view(-1, 5)
    assert count.min(0).values.tolist() == [2, 2, 3, 4, 4] and count.max(0).values.tolist() == [4] * 5
    assert abs(float(count[:, 2].float().mean()) - 3.5) < 0.05


def test_robots_that_are_not_here_stand_far_away_and_count_for_nothing():
    overrides = ["task.team_size=[1,2]", "sim.num_envs=256", "task.observation=cos_sin", "task.success_distance=0.1"]
    config = of_team(*["planar"] * 4, overrides=overrides)
    env = kinematic_env(config, seed=2)
    observations, _ = env.reset()
    here = env.episodes.here
    assert set(here.sum(-1).tolist()) == {1, 2}
    distance = env.sim_state.robot_pos[..., :2].norm(dim=-1)
    assert (distance[~here] - 6.0).abs().max() < 1e-4 and distance[here].max() < 2.0
    ended = 0
    for _ in range(150):
        before, took_part = env.sim_state.robot_pos.clone(), env.episodes.here.clone()
        step = env.step(toward_object(observations))
        assert torch.equal(step.episode.here, took_part)
        goes_on = ~step.episode.done
        moved = (step.path.robot_pos[-1] - before).norm(dim=-1)
        assert not moved[~took_part].any() and moved[took_part & goes_on.unsqueeze(-1)].min() > 0
        mean = (step.rewards * took_part).sum(-1) / took_part.sum(-1)
        assert torch.allclose(step.rewards[~took_part], mean.unsqueeze(-1).expand(-1, 4)[~took_part])
        ended += int(step.episode.done.sum())
        alone = (took_part.sum(-1) == 1) & step.episode.done
        # One robot that walks at the object cannot break a rule between robots, and collaborates with nobody absent.
        assert set(step.episode.cause[alone].tolist()) <= {1, 8}
        assert (step.episode.collaboration_steps[alone] > 0).all()
        observations = step.observations
    assert ended > 100


def test_tokens_and_own_number_say_who_is_here():
    config = of_team(*["planar"] * 4, overrides=["task.team_size=[1,3]", "task.observation=sets", "sim.num_envs=64"])
    env = kinematic_env(config, seed=2)
    observations, _ = env.reset()
    agent = env.spec.agents[0]
    assert torch.equal(observations[..., agent.present].bool(), env.episodes.here)
    robots = agent.sets[0]
    tokens = observations[..., robots.first : robots.first + 21].unflatten(-1, (3, 7))
    assert torch.equal(
        tokens[..., robots.present].sum(-1), env.episodes.here.sum(-1, keepdim=True) - env.episodes.here.float()
    )
    saved, episode = env.state_dict(), env.episodes.here.clone()
    while torch.equal(env.episodes.here, episode):
        step = env.step(torch.zeros(64, 4, 3))
    final = env.final_observations(step)
    assert torch.equal(final[..., agent.present].bool(), step.episode.here)
    env.load_state_dict(saved)
    assert torch.equal(env.episodes.here, episode)


def test_a_load_without_team_sizes_is_refused_but_in_stored_runs():
    with pytest.raises(UserError, match=r"^task.load_per_robot=10 needs task.team_size, such as \[2,4\]"):
        of_team(*["planar"] * 4, overrides=["task.load_per_robot=10"])
    stored = of_team(*["planar"] * 4)
    stored = stored.model_copy(update={"task": stored.task.model_copy(update={"load_per_robot": 10.0})})
    assert configuration.overridden(stored, []).task.load_per_robot == 10
    with pytest.raises(UserError, match=r"needs task\.team_size"):
        configuration.overridden(stored, ["task.load_per_robot=5"])
    every = configuration.load("generalist", overrides=["task.team_size=null"])
    assert every.task.load_per_robot == 10 and every.task.team_size is None


@pytest.mark.parametrize(
    "size, hint", [("[0,2]", "1 <= low <= high"), ("[3,2]", "1 <= low <= high"), ("[2,5]", "4 robots")]
)
def test_a_wrong_team_size_is_one_sentence(size, hint):
    with pytest.raises(UserError, match=hint) as error:
        of_team(*["planar"] * 4, overrides=[f"task.team_size={size}"])
    assert "task.team_size" in str(error.value)


def test_the_published_placement_is_the_default():
    assert small_config().task.placement == "published" and small_config().task.team_size is None
    assert math.isclose(float(starts(small_config(), 2).state.robot_pos[0, 0, :2].norm()), 1.25, abs_tol=0.051)
