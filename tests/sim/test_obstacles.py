"""Obstacles in the simulators, and in an environment over them."""

import copy
import math

import pytest
import torch

from mapush_stack.envs.factory import make_env
from mapush_stack.errors import UserError
from mapush_stack.task.geometry import angle_between, rotate
from mapush_stack.task.obstacles import gaps
from tests.conftest import outcome, small_config

pytestmark = pytest.mark.usefixtures("mujoco")
WAY = [
    "task.obstacles.arena=[14,14]",
    "task.obstacles.boxes=4",
    "task.obstacles.cylinders=3",
    "task.obstacles.layouts=12",
    "task.target_distance=[8,12]",
    "task.placement=apart",
]


def make(*changes, auto_reset=True, object_name=""):
    config = small_config(*WAY, *changes, object_name=object_name)
    return make_env(config.task, config.object, config.sim, 5, auto_reset=auto_reset, team=config.team_kinds)


def push_ahead(env, decisions):
    """All robots drive ahead at full speed."""
    action = torch.zeros(env.num_envs, env.spec.num_agents, env.spec.action_size)
    action[..., 0] = 1.0
    return [env.step(action) for _ in range(decisions)]


@pytest.mark.parametrize("robot", ["planar", "go1", "rover"])
@pytest.mark.parametrize("backend", ["mujoco", "warp"])
def test_nothing_goes_through_an_obstacle(backend, robot):
    if backend == "warp":
        pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    if (backend, robot) == ("warp", "go1"):
        pytest.skip("takes minutes on a CPU")
    walk_against(make(f"sim.robot={robot}", f"sim.backend={backend}", "sim.device=cpu", "sim.num_envs=4"))


def walk_against(env):
    """Two robots in each of four environments walk ahead: an obstacle stops the first one."""
    env.reset()
    # Robot 0 walks against the nearest obstacle, robot 1 beside it.
    layout = env.obstacles.layout
    state = env.sim_state
    nearest = layout.centre[:, 4:].norm(dim=-1).argmin(-1) + 4
    centre = layout.centre[torch.arange(4), nearest]
    direction = centre / centre.norm(dim=-1, keepdim=True)
    aside = torch.stack((-direction[:, 1], direction[:, 0]), dim=-1)
    places = centre[:, None] - 1.6 * direction[:, None]
    places = torch.stack((places[:, 0], places[:, 0] - 3.0 * aside), dim=1)
    yaw = torch.atan2(direction[:, 1], direction[:, 0])
    rpy = torch.zeros_like(state.robot_rpy)
    rpy[..., 2] = yaw[:, None]
    pos = torch.cat((places, state.robot_pos[..., 2:]), dim=-1)
    away = state.object_pos.clone()
    away[:, :2] = centre + 3.0 * direction
    start = state._replace(robot_pos=pos, robot_rpy=rpy, object_pos=away)
    env.simulator.reset(torch.arange(4), start)
    commands = torch.zeros(4, 2, 3)
    commands[..., 0] = 0.5
    path = env.simulator.step(commands, 150)
    assert path.healthy.all() and int(env.simulator.overflows()) == 0
    kind = env.simulator.robots[0]
    placed = path.robot_pos[:, :, 0, None, :2] + rotate(torch.tensor(kind.outline), path.robot_rpy[:, :, 0, 2:])
    gap = (gaps(layout, placed) - kind.round).amin(0)
    assert (gap > -0.05).all() and (gap < 0.03).all()
    assert (path.robot_pos[-1, :, 1, :2] - pos[:, 1, :2]).norm(dim=-1).max() > 1.0


def test_the_object_is_stopped_by_a_wall():
    env = make("sim.num_envs=4", auto_reset=False)
    env.reset()
    state = env.sim_state
    fast = torch.zeros_like(state.object_lin_vel)
    fast[:, 0] = 9.0
    far = state.robot_pos.clone()
    far[..., 0] -= 200.0
    env.simulator.reset(torch.arange(4), state._replace(object_lin_vel=fast, robot_pos=far))
    path = env.simulator.step(torch.zeros(4, 2, 3), 250)
    walls = env.obstacles.layout.centre[:, 1, 0]
    assert (path.object_pos[..., 0].amax(0) < walls - 0.4).all()
    assert path.healthy.all()


def test_both_engines_agree():
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    envs = [make(f"sim.backend={backend}", "sim.device=cpu", "sim.num_envs=4") for backend in ("mujoco", "warp")]
    for env in envs:
        env.reset()
    one, other = (push_ahead(env, 12)[-1] for env in envs)
    assert torch.allclose(one.final.object_pos, other.final.object_pos, atol=0.02)
    assert torch.allclose(one.final_target, other.final_target, atol=0.05)
    assert torch.equal(envs[0].obstacles.layout.centre, envs[1].obstacles.layout.centre)


def test_the_next_target_is_on_the_way_and_success_is_at_the_goal():
    env = make("task.obstacles.planner=fast_marching", "task.success_distance=0.25", auto_reset=False)
    env.reset()
    assert ((env.target.norm(dim=-1) - 0.9).abs() < 0.11).all()
    assert (env.goal.norm(dim=-1) > 8).all()
    state = env.sim_state
    place = state.object_pos.clone()
    place[:4, :2] = env.goal[:4]
    away = state.robot_pos.clone()
    away[..., 0] += 100
    env.simulator.reset(torch.arange(8), state._replace(object_pos=place, robot_pos=away))
    step = env.step(torch.zeros(8, 2, 3))
    assert step.episode.success.tolist() == [True] * 4 + [False] * 4


def test_contacts_and_the_way_are_counted_from_the_start_of_the_episode():
    env = make("task.episode_seconds=2.0", "task.rewards.obstacle=-1.0")
    env.reset()
    steps = push_ahead(env, 19)
    assert not any(bool(step.episode.done.any()) for step in steps)
    layout = env.obstacles.layout
    state = env.sim_state
    touching = state.robot_pos.clone()
    touching[:, 1, :2] = layout.centre[:, 5]
    env.simulator.reset(torch.arange(8), state._replace(robot_pos=touching))
    env._look()
    last = push_ahead(env, 1)[0]
    assert last.episode.done.all() and (last.episode.touched[:, 2] > 0).all()
    assert (last.episode.touched[:, 0] == 0).all() and (last.episode.travelled >= 0).all()
    assert (last.rewards[:, 1] < last.rewards[:, 0] - 1).sum() >= 6
    assert (env.obstacles.touched == 0).all() and (env.obstacles.travelled == 0).all()


def test_contact_of_a_round_object_counts_with_its_circle():
    env = make("task.obstacles.boxes=0", "task.obstacles.cylinders=0", object_name="cylinder")
    env.reset()
    layout, state = env.obstacles.layout, env.sim_state
    pos, rpy = state.object_pos.clone(), torch.zeros_like(state.object_rpy)
    pos[:, 0], pos[:, 1] = layout.centre[:, 1, 0] - 0.1 - 1.5 - 0.04, 0.0
    for yaw in (0.0, 0.3, math.pi / 6):
        rpy[:, 2] = yaw
        found = env.obstacles._gap(state._replace(object_pos=pos, object_rpy=rpy))[:, 0]
        assert found.tolist() == pytest.approx([0.04] * 8, abs=1e-3)


def test_courses_belong_to_environment_and_episode():
    env, rest = make(), make("sim.num_envs=4")
    env.reset()
    rest.reset()
    assert torch.equal(env.obstacles.layout.centre[:4], rest.obstacles.layout.centre)
    first = env.obstacles.layout.centre.clone()
    env.reset(episode=1)
    assert not torch.equal(env.obstacles.layout.centre, first)


@pytest.mark.parametrize("planner", ["fast_marching", "rrt"])
def test_a_saved_environment_goes_on_to_the_same_bits(planner):
    changes = [
        f"task.obstacles.planner={planner}",
        "task.episode_seconds=1.0",
        "task.obstacles.observed=true",
        "task.obstacles.patience=0.4",
    ]
    env, other = make(*changes), make(*changes)
    env.reset()
    push_ahead(env, 7)
    other.load_state_dict(env.state_dict())
    assert torch.equal(other.observe()[0], env.observe()[0])
    for one, same in zip(push_ahead(env, 12), push_ahead(other, 12)):
        assert all(torch.equal(a, b) for a, b in zip(outcome(one), outcome(same)))


def test_a_copied_simulator_has_the_obstacles():
    env = make()
    env.reset()
    simulator = env.simulator
    twin = copy.deepcopy(simulator)
    commands = torch.full((8, 2, 3), 0.4)
    assert all(torch.equal(a, b) for a, b in zip(simulator.step(commands, 100), twin.step(commands, 100)))


def test_an_object_that_stands_still_is_taken_back():
    env = make("task.obstacles.planner=fast_marching", "task.obstacles.patience=0.5")
    env.reset()
    ahead, still = env.target.clone(), torch.zeros(8, 2, 3)
    for _ in range(5):
        env.step(still)
    assert torch.allclose(env.target, ahead, atol=0.05)
    env.step(still)
    assert torch.allclose(env.target, -ahead, atol=0.05)
    for _ in range(30):
        env.step(still)
    assert torch.allclose(env.target, ahead, atol=0.05)


@pytest.mark.parametrize("aligned", ["false", "true"])
def test_a_pose_is_reached_where_the_object_is_turned_too(aligned):
    changes = ["task.goal=pose", "task.obstacles.planner=fast_marching", f"task.obstacles.aligned={aligned}"]
    env = make(*changes, auto_reset=False)
    env.reset()
    assert env.goal.shape == (8, 3) and env.goal[:, 2].std() > 1 and env.spec.observation_size == 24
    assert torch.equal(env.target[:, 2], env.goal[:, 2])  # far from any gap
    state = env.sim_state
    place, rpy = state.object_pos.clone(), torch.zeros_like(state.object_rpy)
    place[:, :2] = env.goal[:, :2]
    rpy[:, 2] = env.goal[:, 2] + math.pi / 2 + torch.tensor([0.0, 0.0, 0.06, -0.06, 0.3, 0.7, -0.3, 1.4])
    away = state.robot_pos.clone()
    away[..., 0] += 100
    env.simulator.reset(torch.arange(8), state._replace(object_pos=place, object_rpy=rpy, robot_pos=away))
    step = env.step(torch.zeros(8, 2, 3))
    assert step.episode.success.tolist() == [True] * 4 + [False] * 4
    off = [0.0, 0.0, 0.06, 0.06, 0.3, 0.7, 0.3, math.pi / 2 - 1.4]
    assert step.episode.angle_error.tolist() == pytest.approx(off, abs=0.02)


@pytest.mark.parametrize("goal", ["position", "pose"])
def test_before_a_gate_the_target_is_turned_as_the_object_fits(goal):
    changes = ["gates=1", "gap=[1.5,1.5]", "planner=fast_marching", "aligned=true", "boxes=0", "cylinders=0"]
    env = make(*(f"task.obstacles.{one}" for one in changes), f"task.goal={goal}", auto_reset=False)
    env.reset()
    assert (env.target[:, 3] == float(goal == "pose")).sum() >= 6  # no gap is near the starts
    layout, state = env.obstacles.layout, env.sim_state
    low, high = (layout.at((slice(None), number)) for number in (4, 5))
    middle = torch.stack(
        (low.centre[:, 0], 0.5 * ((low.centre + low.half)[:, 1] + (high.centre - high.half)[:, 1])), -1
    )
    place, rpy = state.object_pos.clone(), torch.zeros_like(state.object_rpy)
    place[:, :2] = middle - 0.9 * torch.sign(middle[:, :1]) * torch.tensor([1.0, 0.0])
    rpy[:, 2] = 0.4
    env.simulator.reset(torch.arange(8), state._replace(object_pos=place, object_rpy=rpy))
    env._look()
    env._aim()
    assert (env.target[:, 3] == 1).all() and (env.target[:, 1] - middle[:, 1]).abs().max() < 0.05
    assert torch.allclose(torch.sin(4 * env.target[:, 2]), torch.zeros(8), atol=1e-3)
    seen, measured = env.observe()[0], env._measure(env.sim_state, env.target)
    turn = torch.tensor([math.cos(1.6), -math.sin(1.6)]).expand(8, 2, 2)
    assert torch.allclose(seen[..., -2:], turn, atol=0.02)
    assert measured.angle_error.tolist() == pytest.approx([0.4] * 8, abs=0.01)
    env.target[:, 3] = 0.5
    assert torch.allclose(env._measure(env.sim_state, env.target).angle_error, 0.5 * measured.angle_error)
    if goal == "pose":  # an episode ends at the goal's yaw, not at the gap's
        found = env.step(torch.zeros(8, 2, 3)).episode.angle_error
        off = angle_between(4, env.goal[:, 2] - env.sim_state.object_rpy[:, 2])
        assert torch.allclose(found, off, atol=1e-4) and (off - 0.4).abs().max() > 0.1


@pytest.mark.parametrize("aligned", ["false", "true"])
def test_what_robots_see_of_the_way_is_mirrored(aligned):
    from mapush_stack.task.observations import observe
    from mapush_stack.task.way import WayAhead

    changes = ["task.obstacles.planner=fast_marching", "task.obstacles.observed=true"]
    env = make(*changes, f"task.obstacles.aligned={aligned}")
    env.reset()
    flip = torch.tensor([1.0, -1.0])
    state, target = env.sim_state, env.target
    if aligned == "true":
        target[:, 2:4] = torch.tensor([0.3, 0.7])
    way = WayAhead.of(target, 2)
    turned = way._replace(far=way.far * flip, away=way.away * flip, own=way.own * flip)
    mirrored = state._replace(
        robot_pos=state.robot_pos * torch.tensor([1.0, -1.0, 1.0]),
        robot_rpy=-state.robot_rpy,
        object_pos=state.object_pos * torch.tensor([1.0, -1.0, 1.0]),
        object_rpy=-state.object_rpy,
    )
    seen = observe(env.config, env.object, state, target)
    flipped = target[:, :-9] * torch.tensor([1.0, -1.0, -1.0, 1.0])[: target.shape[1] - 9]
    other = observe(env.config, env.object, mirrored, turned.appended(flipped))
    signs = torch.tensor(env.spec.agents[0].mirror.observation)
    assert seen.shape[-1] == len(signs) == env.spec.observation_size
    assert torch.allclose(other, seen * signs, atol=1e-4)


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match=r"arena must be given, such as \[14, 14\], with obstacles or a planner"):
        small_config("task.obstacles.boxes=3")
    with pytest.raises(UserError, match=r"reset_step_reward must be false with obstacles.arena"):
        small_config(*WAY, "task.quirks.reset_step_reward=true", "task.action_repeat=1")
    with pytest.raises(UserError, match=r"gap must be two lengths, low <= high, not \[3, 2\]"):
        small_config(*WAY, "task.obstacles.gap=[3,2]")
