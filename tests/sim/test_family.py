"""`object: random`: every environment pushes an object of its own."""

import math

import pytest
import torch

from mapush_stack.api import make_env
from mapush_stack.envs import factory
from mapush_stack.errors import UserError
from mapush_stack.sim.config import FamilyConfig, ObjectBody
from mapush_stack.sim.family import Shapes, draw_shapes
from mapush_stack.task.outline import convex_hull, evenly_spaced, narrowest
from tests.conftest import small_config
from tests.sim.test_planar_engine import toward

SETS = ["task.observation=sets", "task.placement=apart"]


def shapes(count, seed=1, **fields):
    return draw_shapes(FamilyConfig(**fields), seed, torch.arange(count))


def test_objects_are_what_the_family_says():
    drawn = shapes(5000)
    outline = drawn.outline
    extent = torch.cdist(outline, outline).amax((-2, -1))
    assert extent.min() > 0.599 and extent.max() < 3.001 and extent.std() > 0.5
    mass = drawn.weight.sum(-1)
    assert mass.min() >= 2.0 - 1e-4 and mass.max() <= 40.0 + 1e-3 and 7 < mass.median() < 11
    boxes = (drawn.weight[:, :3] > 0).sum(-1)
    assert set(boxes.tolist()) == {0, 1, 2, 3} and abs(float((boxes == 0).float().mean()) - 0.1) < 0.02
    assert torch.equal(boxes == 0, drawn.weight[:, 3] > 0)
    assert drawn.half[..., :2][drawn.weight > 0].min() > 0.149
    # About the centre of mass, and convex: no turn to the right; vertices are inside of no line of an edge.
    assert (drawn.weight.unsqueeze(-1) * drawn.place).sum(1).abs().max() < 1e-4
    edge, following = outline.roll(-1, 1) - outline, outline.roll(-2, 1) - outline.roll(-1, 1)
    assert (edge[..., 0] * following[..., 1] - edge[..., 1] * following[..., 0]).min() > -1e-4


def test_an_object_depends_on_seed_and_environment_alone():
    few, many = draw_shapes(FamilyConfig(), 3, torch.tensor([7, 2])), shapes(10, seed=3)
    assert all(torch.equal(a, b[[7, 2]]) for a, b in zip(few, many))
    assert not torch.equal(shapes(1, seed=4).half, shapes(1, seed=3).half)


def test_inertia_and_outline_are_those_of_the_parts():
    drawn = shapes(40)
    for index in range(40):
        parts = drawn.parts(index)
        samples, weights = [], []
        generator = torch.Generator().manual_seed(index)
        for part in parts:
            unit = torch.rand(40_000, 2, generator=generator, dtype=torch.float64)
            if part.shape == "cylinder":
                radius, angle = part.size[0] * unit[:, :1].sqrt(), 2 * math.pi * unit[:, 1:]
                points = radius * torch.cat((angle.cos(), angle.sin()), dim=-1)
            else:
                points = (unit - 0.5) * torch.tensor(part.size[:2])
            cos, sin = math.cos(math.radians(part.yaw)), math.sin(math.radians(part.yaw))
            points = points @ torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
            samples.append(points + torch.tensor(part.position[:2]))
            weights.append(torch.full((len(unit),), part.mass / len(unit), dtype=torch.float64))
        points, weight = torch.cat(samples), torch.cat(weights)
        x, y = points.unbind(-1)
        spread = torch.stack([(weight * one).sum() for one in (y * y, x * x, x * y)])
        upright = weight.sum() * 0.25 / 12
        expected = torch.stack((spread[0] + upright, spread[1] + upright, spread[0] + spread[1]))
        assert torch.allclose(drawn.inertia[index].double(), expected, rtol=0.02)
        assert abs(spread[2]) < 0.02 * spread[:2].sum(), "the axes are the principal ones"
        outline = drawn.outline[index].double()
        edge = outline.roll(-1, 0) - outline
        inside = edge[:, 0] * (y.unsqueeze(-1) - outline[:, 1]) - edge[:, 1] * (x.unsqueeze(-1) - outline[:, 0])
        assert inside.min() > (-1e-4 if len(parts) > 1 or parts[0].shape == "box" else -0.08)


def test_hull_and_spacing():
    square = torch.tensor([[[0.0, 0], [2, 0], [1, 0], [2, 2], [0, 2], [1, 1], [0, 0]]])
    hull = convex_hull(square)[0]
    assert hull.tolist() == [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0], [0, 0], [0, 0]]
    points = evenly_spaced(hull, 8)
    assert torch.allclose(points, evenly_spaced(hull[:4], 8))
    assert torch.allclose((points.roll(-1, 0) - points).norm(dim=-1), torch.ones(8))


def env_of(backend, size, *overrides, shapes=None, robots=2, fused=False):
    """An environment of random objects, or of these; its simulator on `backend`, Warp on the CPU."""
    config = small_config(
        *SETS, f"sim.num_envs={size}", f"sim.backend={backend}", "sim.device=cpu", f"sim.planar.fused={fused}",
        f"team=[{','.join(['planar'] * robots)}]", *overrides, object_name="random",
    )  # fmt: skip
    return factory.make_env(config.task, config.object, config.sim, 3, team=config.team_kinds, shapes=shapes)


def cuboids(size):
    """The cuboid's numbers as objects of a family, with the parts that it does not have."""
    half = torch.full((size, 4, 3), 0.01)
    half[:, 1] = torch.tensor([0.6, 0.6, 0.25])
    weight = torch.tensor([0.0, 4.0, 0.0, 0.0]).expand(size, 4)
    outline = torch.tensor([[-0.6, -0.6], [0.6, -0.6], [0.6, 0.6], [-0.6, 0.6], [-0.6, -0.6]]).expand(size, 5, 2)
    inertia = torch.full((size, 3), 0.25)
    return Shapes(half, torch.zeros(size, 4, 2), torch.zeros(size, 4), weight, inertia, outline)


def differences(one, other, rows, steps=100):
    """Largest differences `[steps]` after each control step of robots that drive at the object, and how far it went.

    Both begin each step where `one` is, `other` with the environments `rows` of it.
    """
    for sim in (one, other):
        if hasattr(sim.engine, "batch"):  # MuJoCo's solver stops within 1e-4 of the solution otherwise
            sim.engine.batch.expand("opt.tolerance")[:] = 1e-12
    ids, everyone = torch.arange(one.num_envs), torch.ones(one.num_envs, dtype=torch.bool)
    found, moved = [], 0.0
    for _ in range(steps):
        state = one.engine.read()
        one.engine.write(ids, *state, everyone)
        other.engine.write(ids[: len(rows)], *(part[rows] for part in state), everyone[: len(rows)])
        command = toward(one.state())
        a, b = one.step(command).at(0).at(rows), other.step(command[rows]).at(0)
        pairs = ((x, y) for x, y in zip(a[:8], b[:8]))
        found.append(max(float((x - y).abs().max()) for x, y in pairs))
        moved = max(moved, float(a.object_pos[:, :2].norm(dim=-1).max()))
    return torch.tensor(found), moved


@pytest.fixture(params=["mujoco", "warp", "fused"])
def backend(request, mujoco):
    if request.param != "mujoco":
        pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    return {"fused": ("warp", True)}.get(request.param, (request.param, False))


def test_a_family_member_with_the_cuboids_numbers_moves_as_the_cuboid(backend):
    name, fused = backend
    other = env_of(name, 4, shapes=cuboids(4), fused=fused)
    config = small_config(
        *SETS, "sim.num_envs=4", f"sim.backend={name}", "sim.device=cpu", f"sim.planar.fused={fused}",
        "team=[planar,planar]",
    )  # fmt: skip
    cuboid = make_env(config, seed=3)
    cuboid.reset()
    other.reset()
    assert torch.allclose(cuboid.sim_state.robot_pos, other.sim_state.robot_pos, atol=1e-6)
    errors, moved = differences(cuboid.simulator, other.simulator, list(range(4)))
    assert moved > 0.1 and errors.median() < 1e-4 and errors.max() < 1e-2, errors


def test_a_member_moves_as_the_same_object_from_a_file(backend):
    """Also: what MuJoCo derives from sizes and masses is renewed in every copy."""
    name, fused = backend
    size, drawn, moved = 3, shapes(3, seed=3, mass=(2, 8), cylinders=0), []
    family = env_of(name, size, shapes=drawn, fused=fused)
    family.reset()
    for index in range(size):
        config = small_config(
            *SETS, "sim.num_envs=1", f"sim.backend={name}", "sim.device=cpu", f"sim.planar.fused={fused}",
            "team=[planar,planar]",
        )  # fmt: skip
        body = ObjectBody(parts=drawn.parts(index), friction=config.object.body.friction)
        thing = config.object.model_copy(update={"body": body})
        alone = factory.make_env(config.task, thing, config.sim, 3, first_env=index, team=config.team_kinds)
        family.reset()
        errors, way = differences(family.simulator, alone.simulator, [index])
        assert errors.median() < 1e-4 and errors.max() < 1e-2, (index, errors)
        moved.append(way)
        alone.close()
    assert sum(way > 0.05 for way in moved) >= 2, moved


def test_no_reset_with_random_objects_breaks_a_rule_or_touches(mujoco):
    for robots in (2, 8):
        env = env_of("mujoco", 4_000, "task.action_repeat=1", robots=robots)
        env.reset()
        assert bool(env.episodes.valid.all())
        before = env.sim_state.robot_pos[..., :2].clone()
        step = env.step(torch.zeros(4_000, robots, 3))
        assert not bool(step.episode.done.any())
        # Nobody was thrown aside: each went on at its start speed of 0.1 m/s along x and y at most.
        assert (env.sim_state.robot_pos[..., :2] - before).abs().max() < 0.0025
        env.close()


@pytest.mark.parametrize("layout", ["published", "features"])
def test_a_layout_that_hides_the_shape_is_one_sentence(layout):
    with pytest.raises(UserError, match=r"task\.observation must be sets with random"):
        small_config(f"task.observation={layout}", "learner.policy.mirror=false", object_name="random")


@pytest.mark.parametrize(
    "change", ["object.family.size=[3,1]", "object.family.boxes=[0,2]", "object.family.mass=[0,1]"]
)
def test_a_wrong_range_is_one_sentence(change):
    with pytest.raises(UserError, match=r"object\.family.*low <= high"):
        small_config(*SETS, change, object_name="random")


WAY = [
    "task.obstacles.arena=[16,16]",
    "task.target_distance=[8,11]",
    "task.obstacles.gates=1",
    "task.obstacles.gap=[0.8,2.6]",
    "task.obstacles.layouts=64",
    "object.family.size=[0.6,2.4]",
]


@pytest.mark.parametrize("backend", ["mujoco", "warp"])
def test_every_object_has_courses_that_it_fits_through(backend, mujoco):
    if backend == "warp":
        pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    more = ["task.obstacles.boxes=2", "task.obstacles.clearance=1.25", "task.obstacles.planner=fast_marching"]
    more += ["task.obstacles.aligned=true", f"sim.backend={backend}", "sim.device=cpu"]
    config = small_config(*SETS, *WAY, *more, object_name="random")
    env = factory.make_env(config.task, config.object, config.sim, 1, team=config.team_kinds)
    narrow = set()
    for episode in range(12):
        env.reset(episode=episode)
        centre, half = env.obstacles.layout.centre[..., 1], env.obstacles.layout.half[..., 1]
        gap = (centre[:, 5] - half[:, 5]) - (centre[:, 4] + half[:, 4])
        width = narrowest(env.vertices)[0]
        assert (gap > width).all()
        narrow.update((gap < 1.2).nonzero().flatten().tolist())
    assert 0 < len(narrow) < 8  # narrow gaps for narrow objects
    step = env.step(torch.ones(8, 2, 3))
    assert step.path.healthy.all() and int(env.simulator.overflows()) == 0
    assert step.observations.isfinite().all()
    # Contact counts with each object's own outline.
    layout, state = env.obstacles.layout, env.sim_state
    reach = env.vertices[..., 0].amax(-1)
    for apart in (0.03, 0.0):
        pos, rpy = state.object_pos.clone(), torch.zeros_like(state.object_rpy)
        pos[:, 0], pos[:, 1] = layout.centre[:, 1, 0] - layout.half[:, 1, 0] - reach - apart, 0.0
        found = env.obstacles._gap(state._replace(object_pos=pos, object_rpy=rpy))[:, 0]
        assert found.tolist() == pytest.approx([apart] * 8, abs=1e-4)


def test_an_object_that_fits_through_no_course_is_one_sentence(mujoco):
    config = small_config(*SETS, *WAY, "task.obstacles.clearance=0.6", object_name="random")
    says = r"the widest way lets an object of 1.15 m through, and the object of environment \d is 1.\d+ m wide; ask for"
    with pytest.raises(UserError, match=says):
        factory.make_env(config.task, config.object, config.sim, 1, team=config.team_kinds)
