"""The kernel that steps planar scenes, on Warp's CPU device, beside MuJoCo; skipped where one is not installed."""

import math
import subprocess
import sys

import pytest
import torch

from mapush_stack.device.state import flatten
from mapush_stack.task.geometry import rotate
from mapush_stack.task.obstacle_config import ObstacleConfig
from mapush_stack.task.obstacles import Layout, gaps
from mapush_stack.task.resets import draw_start
from mapush_stack.training import config as configuration

pytestmark = pytest.mark.usefixtures("mujoco")
SIZE, OBJECTS = 16, ("cuboid", "tblock", "cylinder")
PRISM = (
    "{shape: prism, size: [0.5], vertices: [[1, 0], [0, 1], [-1, 0]], position: [0, 0, 0], mass: 3, inertia: [1, 1, 1]}"
)


@pytest.fixture(scope="module", autouse=True)
def warp():
    return pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")


def settings(name, *changes):
    return configuration.load("default", name, [f"sim.num_envs={SIZE}", "task.episode_seconds=20", *changes])


def simulator(kind, config, robots, friction=None, measure_work=False, around=None):
    """A simulator on the engine `kind`, with so many planar robots or with robots of these kinds.

    MuJoCo iterates to the solution, which 1e-4 of its tolerance does not reach.
    """
    from mapush_stack.sim import scene
    from mapush_stack.sim.mujoco import MujocoEngine
    from mapush_stack.sim.planar_engine import PlanarEngine
    from mapush_stack.sim.scene_simulator import SceneSimulator
    from mapush_stack.sim.team import Team

    kinds = ["planar"] * robots if isinstance(robots, int) else robots
    team = Team(config.sim, kinds, 0, torch.device("cpu"))
    spec = scene.build(config.object.body, team, 100, measure_work, around)
    if kind == "mujoco":
        spec.option.tolerance = 1e-12
    engine = {"mujoco": MujocoEngine, "kernel": PlanarEngine}[kind]
    friction = torch.linspace(*config.object.body.friction, SIZE) if friction is None else friction
    fields = ("geom_friction", *["geom_size"] * (around is not None))
    return SceneSimulator(engine(spec, SIZE, torch.device("cpu"), 99, fields), team, friction)


def start(config, robots, tilt=0.01):
    """Starts near the object, which is tilted: MuJoCo places a flat cylinder's contacts by the noise in its tilt."""
    ring = (1.8, 2.1) if config.object.name == "cylinder" else (1.2, 1.7)
    task = config.object.task.model_copy(update={"num_robots": robots, "robot_start_radius": ring})
    ids = torch.arange(SIZE)
    state = draw_start(config.task, task, 0, ids, torch.zeros_like(ids)).state
    rpy = state.object_rpy.clone()
    rpy[:, 0] += tilt
    return state._replace(object_rpy=rpy)


def toward(state):
    """Commands that drive every robot to the object."""
    way = torch.nn.functional.normalize(state.object_pos[:, None, :2] - state.robot_pos[..., :2], dim=-1) * 0.5
    c, s = state.robot_rpy[..., 2].cos(), state.robot_rpy[..., 2].sin()
    return torch.stack((c * way[..., 0] + s * way[..., 1], c * way[..., 1] - s * way[..., 0], 0 * c), dim=-1)


@pytest.mark.parametrize("robots", [1, 2, 3, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", OBJECTS)
def test_every_step_is_that_of_mujoco(name, robots):
    """From each state of a push with turns: contacts with floor, object and robots, and servos at their limits.

    Where bodies graze by 1e-7 m, single precision sees no contact, or sees one more.
    """
    config = settings(name)
    mujoco, kernel = (simulator(kind, config, robots) for kind in ("mujoco", "kernel"))
    state, ids, everyone = start(config, robots), torch.arange(SIZE), torch.ones(SIZE, dtype=torch.bool)
    mujoco.reset(ids, state)
    generator, errors, moved = torch.Generator().manual_seed(0), [], 0.0
    for step in range(150):
        if step % 10 == 0:
            noise = torch.rand(SIZE, robots, 3, generator=generator) - 0.5
            control = (toward(mujoco.state()) + noise * torch.tensor([0.2, 0.2, 2.0])).flatten(1)
        kernel.engine.write(ids, *mujoco.engine.read(), everyone)
        wanted, found = (one.engine.advance(control, 1, 1) for one in (mujoco, kernel))
        errors.append((found.qvel - wanted.qvel).abs().amax(-1).flatten())
        moved = max(moved, float(wanted.qvel[..., :2].abs().max()))
    assert torch.cat(errors).quantile(0.995) < 2e-3  # m/s, rad/s
    assert moved > 0.1  # the object was pushed


AROUND = ObstacleConfig(arena=(9.0, 9.0), boxes=3, cylinders=2, size=(0.4, 2.0))
FAR = torch.tensor([30.0, 0.0, 0.0])


def crowd(generator, free, boxes=True, cylinders=True):
    """Obstacles `[SIZE, 9]` around the origin, of which nothing is nearer than about `free`."""
    shape = (SIZE, 5, 1)
    angle = 2 * math.pi * (torch.rand(SIZE, 1, 1, generator=generator) + torch.arange(5).view(1, 5, 1) / 5)
    half = 0.2 + 0.4 * torch.rand(SIZE, 5, 2, generator=generator)
    half[:, 3:, 1] = half[:, 3:, 0]
    outwards = torch.cat((angle.cos(), angle.sin()), -1)
    centre = (free + half.norm(dim=-1, keepdim=True) + 0.2 * torch.rand(shape, generator=generator)) * outwards
    centre[:, :3] += 100.0 * (not boxes)
    centre[:, 3:] += 100.0 * (not cylinders)
    yaw = torch.rand(SIZE, 5, generator=generator) * torch.tensor([1.6, 1.6, 1.6, 0.0, 0.0])
    walls = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]]) * (free + 0.5 + 100.0 * (not boxes))
    sides = torch.tensor([[0.1, 4.0], [0.1, 4.0], [4.0, 0.1], [4.0, 0.1]])
    return Layout(
        torch.cat((walls.expand(SIZE, -1, -1), centre), 1),
        torch.cat((torch.zeros(SIZE, 4), yaw), 1),
        torch.cat((sides.expand(SIZE, -1, -1), half), 1),
        torch.tensor([False] * 7 + [True] * 2).expand(SIZE, -1),
    )


def begin(sim, config, layout, robots_away=True):
    """The object, or the robots, amid the obstacles; the others far away."""
    state, ids = start(config, 2, tilt=0.0), torch.arange(SIZE)
    if robots_away:
        state = state._replace(robot_pos=state.robot_pos + FAR)
        state.object_pos[:, 2] -= config.object.task.start_height - sim.engine.model.geom_size[1, 2]
    else:
        state.robot_pos[..., :2] = torch.tensor([[0.0, 0.3], [0.0, -0.3]])
        state = state._replace(object_pos=state.object_pos - FAR)
    sim.reset(ids, state)
    sim.place_obstacles(ids, layout, torch.ones(SIZE, dtype=torch.bool))


@pytest.mark.parametrize("name, free", [("cuboid", 0.86), ("tblock", 0.9), ("", 0.6)])
def test_every_step_among_obstacles_is_that_of_mujoco(name, free):
    """Of an object among boxes, or of robots among boxes and cylinders."""
    config, everyone = settings(name or "cuboid"), torch.ones(SIZE, dtype=torch.bool)
    mujoco, kernel = (simulator(kind, config, 2, around=AROUND) for kind in ("mujoco", "kernel"))
    generator, errors, touching = torch.Generator().manual_seed(1), [], 0
    layout = crowd(generator, free, cylinders=not name)
    for sim in (mujoco, kernel):
        begin(sim, config, layout, bool(name))
    for step in range(100):
        if step % 20 == 0:
            control = 3.0 * (torch.rand(SIZE, 6, generator=generator) - 0.5) * (not name)
            push = (torch.rand(SIZE, 2, generator=generator) - 0.5) * bool(name)
        qpos, qvel = mujoco.engine.read()
        qvel[:, :2] += 0.3 * push
        for sim in (mujoco, kernel):
            sim.engine.write(torch.arange(SIZE), qpos, qvel, everyone)
        wanted, found = (one.engine.advance(control, 1, 1) for one in (mujoco, kernel))
        errors.append((found.qvel - wanted.qvel).abs().amax(-1).flatten())
        state = mujoco.state()
        pos, yaw, outline = state.object_pos, state.object_rpy[:, 2], config.object.task.vertices
        if not name:
            pos, yaw, outline = state.robot_pos[:, 0], state.robot_rpy[:, 0, 2], mujoco.robots[0].outline
        placed = pos[:, None, :2] + rotate(torch.tensor(outline), yaw.unsqueeze(-1))
        touching += int((gaps(layout, placed) < (0 if name else mujoco.robots[0].round)).sum())
    assert torch.cat(errors).quantile(0.9) < 1e-3 and touching > 100 and int(kernel.overflows()) == 0


@pytest.mark.parametrize("name, boxes", [("cuboid", False), ("cylinder", True), ("cylinder", False)])
def test_an_object_stops_at_what_is_round(name, boxes):
    """MuJoCo's general method takes the normal of a box's side where a cylinder meets its corner: no reference."""
    config, round_object = settings(name), name == "cylinder"
    sim = simulator("kernel", config, 2, around=AROUND)
    layout = crowd(torch.Generator().manual_seed(2), 1.55 if round_object else 0.86, boxes, not boxes)
    begin(sim, config, layout)
    qpos, qvel = sim.engine.read()
    qvel[:, :2] = 2.0 * torch.nn.functional.normalize(layout.centre[:, 4 if boxes else 7], dim=-1)
    sim.engine.write(torch.arange(SIZE), qpos, qvel, torch.ones(SIZE, dtype=torch.bool))
    path = sim.step(torch.zeros(SIZE, 2, 3), 80)
    outline = torch.tensor(config.object.task.vertices) * (not round_object)
    placed = path.object_pos[..., None, :2] + rotate(outline, path.object_rpy[..., 2:])
    gap = (gaps(layout, placed) - (1.5 if round_object else 0.0)).amin(0)
    assert path.healthy.all() and (gap > -0.03).all() and (gap < 0).sum() > 10


def test_a_step_with_too_many_contacts_is_not_healthy():
    config = settings("cuboid")
    sim = simulator("kernel", config, 2, around=AROUND)
    sim.engine._scene.room = 5
    begin(sim, config, crowd(torch.Generator().manual_seed(1), 0.3))
    still = torch.zeros(SIZE, 2, 3)
    assert not sim.step(still, 1).healthy.any() and int(sim.overflows()) == SIZE
    begin(sim, config, crowd(torch.Generator().manual_seed(1), 9.0))
    assert sim.step(still, 1).healthy.all()


@pytest.mark.parametrize("name", ["cuboid", "tblock"])
def test_trajectories_are_those_of_mujoco(name):
    """For two seconds of pushing; those of a cylinder are chaotic, because three points carry it."""
    config = settings(name)
    state, ids, paths = start(config, 2), torch.arange(SIZE), []
    for kind in ("mujoco", "kernel"):
        sim = simulator(kind, config, 2)
        sim.reset(ids, state)
        paths.append(sim.step(toward(state), 100))
    wanted, found = paths
    assert found.healthy.all()
    assert (wanted.object_pos[-1] - wanted.object_pos[0])[:, :2].norm(dim=-1).max() > 0.3
    for field in ("robot_pos", "object_pos", "object_rpy"):
        assert torch.allclose(getattr(found, field), getattr(wanted, field), atol=1e-3), field


def test_robots_with_other_servos_move_as_in_mujoco():
    """Each has its own gains and limits, in the scene's order, which is not the team's."""
    config = settings("cuboid")
    kinds = ["planar-weak", "planar-strong", "planar-slow", "planar-weak", "planar-fast"]
    state, paths = start(config, len(kinds)), []
    for kind in ("mujoco", "kernel"):
        sim = simulator(kind, config, kinds)
        sim.reset(torch.arange(SIZE), state)
        paths.append(sim.step(toward(state), 60))
    wanted, found = paths
    assert (wanted.object_pos[-1] - wanted.object_pos[0])[:, :2].norm(dim=-1).max() > 0.3
    for field in ("robot_pos", "object_pos", "object_rpy"):
        assert torch.allclose(getattr(found, field), getattr(wanted, field), atol=1e-3), field


@pytest.mark.parametrize("name, kinds", [("cuboid", 2), ("tblock", 2), ("cuboid", ["planar-weak", "planar-strong"])])
def test_the_work_is_that_of_mujoco(name, kinds):
    config = settings(name)
    state, paths = start(config, 2), []
    for kind in ("mujoco", "kernel"):
        sim = simulator(kind, config, kinds, measure_work=True)
        sim.reset(torch.arange(SIZE), state)
        steps = [(sim.step(toward(state), 20), sim.work_path.clone()) for _ in range(5)]
        paths.append(torch.cat([work for _, work in steps]))
    wanted, found = paths
    assert wanted.sum(0).abs().max() > 1.0  # J
    assert torch.allclose(found, wanted, atol=1e-2) and torch.allclose(found.sum(0), wanted.sum(0), atol=5e-3)


def test_a_start_with_crossing_robots_is_that_of_mujoco():
    config = settings("cuboid")
    mujoco, kernel = (simulator(kind, config, 2) for kind in ("mujoco", "kernel"))
    state = start(config, 2)
    pos, rpy = state.robot_pos.clone(), state.robot_rpy.clone()
    pos[:, 1] = pos[:, 0] + torch.tensor([0.03, 0.02, 0.0])
    rpy[:, 1, 2] = rpy[:, 0, 2] + 1.0
    paths = []
    for sim in (mujoco, kernel):
        sim.reset(torch.arange(SIZE), state._replace(robot_pos=pos, robot_rpy=rpy))
        paths.append(sim.step(torch.full((SIZE, 2, 3), 0.2), 3))
    assert torch.allclose(paths[0].robot_pos, paths[1].robot_pos, atol=1e-3)


def test_a_reset_starts_anew_and_leaves_other_environments_alone():
    config = settings("cuboid")
    sim, state = simulator("kernel", config, 2), start(config, 2)
    state.object_pos[:, 2] = 0.249  # in contact, so that the solver's first guess counts
    sim.reset(torch.arange(SIZE), state)
    first = sim.step(toward(state), 60)
    path, kept_path = sim.joint_path, sim.joint_path.clone()
    before, mask = first.at(-1), torch.arange(SIZE) % 2 == 0
    sim.reset(torch.arange(SIZE), state, mask)
    assert torch.equal(sim.state().object_pos[~mask], before.object_pos[~mask])
    kept = first.object_pos.clone()
    again = sim.step(toward(state), 60)
    assert torch.equal(again.object_pos[:, mask], kept[:, mask])
    assert torch.equal(path, kept_path)  # the step before is still what it was


def test_a_saved_simulation_goes_on_bit_for_bit():
    config = settings("tblock")
    one, other, state = simulator("kernel", config, 2), simulator("kernel", config, 2), start(config, 2)
    one.reset(torch.arange(SIZE), state)
    one.step(toward(state), 60)
    saved = {name: tensor.clone() for name, tensor in flatten({"simulator": one}).items()}
    path = [value.clone() for value in one.step(toward(state), 20)]
    other.load_state_dict({name.split("/", 1)[-1].split(".", 1)[-1]: value for name, value in saved.items()})
    assert all(torch.equal(*pair) for pair in zip(path, other.step(toward(state), 20)))


def test_what_diverges_is_not_healthy():
    config = settings("cuboid")
    sim, state = simulator("kernel", config, 2), start(config, 2)
    speed = state.object_lin_vel.clone()
    speed[3] = float("nan")
    sim.reset(torch.arange(SIZE), state._replace(object_lin_vel=speed))
    healthy = sim.step(torch.zeros(SIZE, 2, 3), 5).healthy
    assert not healthy[:, 3].any() and healthy[:, :3].all()


def test_every_environment_has_its_own_friction():
    config = settings("cuboid")
    friction = torch.full((SIZE,), 0.5)
    friction[1] = 3.0
    sim, state = simulator("kernel", config, 2, friction), start(config, 2)
    speed = state.object_lin_vel.clone()
    speed[:, 0] = 2.0
    sim.reset(torch.arange(SIZE), state._replace(object_lin_vel=speed, robot_pos=state.robot_pos + 9))
    sim.step(torch.zeros(SIZE, 2, 3), 20)
    moving = sim.state().object_lin_vel[:, 0]
    assert moving[1] < 0.1 and moving[0] > 0.5 and moving[2:].min() > 0.5


@pytest.mark.parametrize(
    "team, changes, expected",
    [
        (["planar", "planar"], [], "PlanarEngine"),
        (["planar", "planar"], ["sim.planar.fused=false"], "WarpEngine"),
        (["planar", "go1"], [], "WarpEngine"),
        (["planar", "rover"], [], "WarpEngine"),
        (["planar-strong", "planar-weak", "planar"], [], "PlanarEngine"),
        (["planar-fast", "planar-slow"], ["sim.fused_variants=false"], "WarpEngine"),
    ],
)
def test_who_steps_a_team(team, changes, expected):
    from mapush_stack.envs.factory import make_simulator

    config = settings("cuboid", "sim.backend=warp", "sim.device=cpu", "sim.num_envs=1", *changes)
    sim = make_simulator(config.sim, config.object.body, team, torch.full((1,), 0.5), 0)
    assert type(sim.engine).__name__ == expected


def test_a_run_without_the_fields_keeps_its_simulator():
    from mapush_stack.sim.config import SimConfig
    from mapush_stack.sim.robots.planar import PlanarSettings

    assert not PlanarSettings().fused and not SimConfig().fused_variants


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([], "warp"),
        (["training.total_steps=999999"], "auto"),
        (["training.kernel_from=null"], "auto"),
        (["sim.backend=mujoco"], "mujoco"),
        (["sim.planar.fused=false"], "auto"),
        (["sim.cone=elliptic"], "auto"),
        (["sim.robot=go1"], "auto"),
        (["team=[planar-strong, planar-weak]"], "warp"),
        (["team=[planar, rover]"], "auto"),
        ([f"object.body.parts=[{PRISM}]"], "auto"),
        (["task.obstacles.arena=[8, 8]", "task.obstacles.boxes=1"], "warp"),
    ],
)
def test_long_trainings_of_planar_robots_have_the_kernel_on_a_cpu(changes, expected):
    from mapush_stack.training import placement

    assert placement.simulation(settings("cuboid", "sim.device=cpu", *changes)).backend == expected


def test_a_training_without_warp_has_mujoco(monkeypatch):
    from mapush_stack.sim import warp as warp_module
    from mapush_stack.training import placement

    monkeypatch.setattr(warp_module, "find_spec", lambda name: None)
    assert placement.simulation(settings("cuboid", "sim.device=cpu")).backend == "auto"


@pytest.mark.slow
def test_the_kernel_does_not_import_all_of_mujoco_warp():
    """Its other modules take 2.3 s."""
    script = "import sys, mapush_stack.sim.planar_kernel; sys.exit('mujoco_warp._src.forward' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
