"""The demo in Chromium: MuJoCo and the exported policies there do what they do here.

`nox -s demo` runs this; the screenshots of docs/demo.md are written here.
"""

import functools
import http.server
import os
import re
import shutil
import threading

import pytest
import torch

from tests.browser.chromium import CHROMIUM, keep
from tests.cli.runner import mapush

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: run nox -s demo")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: run nox -s demo")
pytestmark = [
    pytest.mark.usefixtures("mujoco"),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: install the system's, or name one in CHROMIUM"),
    pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed"),
    pytest.mark.timeout(1200),
]
STEPS = 50
TEAMS = {"cuboid-planar": 1e-5, "cuboid-go1": 1e-4, "long-way-planar": 1e-5, "long-way-go1": 1e-4}
"""Largest difference of a joint position after so many control steps, m or rad."""


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *ignored):
        pass


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The address of the demo, which is in the folder DEMO or built here."""
    folder = os.environ.get("DEMO") or tmp_path_factory.mktemp("web") / "demo"
    if "DEMO" not in os.environ:
        told, _ = mapush("play", "--web", "--out", folder)
        assert "static folder" in told
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def visit(browser, demo):
    """Opens the demo in a window of some size; afterwards nothing may have gone wrong in it."""
    contexts, wrong = [], []

    def opened(size, **options):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith((demo, "data:")) else wrong.append(asked.url))
        page.goto(demo)
        page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def in_python(name):
    """A team as in the page, and its environment."""
    from mapush_stack.evaluation import policies, pretrained
    from mapush_stack.web.team import STARTS

    options = ["sim.backend=mujoco", "sim.device=cpu"]
    candidate = policies.find(pretrained.path(name), "", options)[-1]
    middle = sum(candidate.config.object.body.friction) / 2  # as in the scene of the page
    candidate = policies.find(pretrained.path(name), "", [*options, f"object.body.friction=[{middle},{middle}]"])[-1]
    env = policies.environment(candidate, STARTS, candidate.config.evaluation.seed)
    return policies.policy(candidate, env), env


def here(name):
    """Joint positions of the first start after each control step, as torch and Python's MuJoCo have them."""
    (team, env), path = in_python(name), []
    observations, _ = env.reset()
    for _ in range(STEPS // env.config.action_repeat):
        observations = env.step(team.act(observations)).observations
        path += env.joint_path[:, 0].tolist()
    env.close()
    return path


@pytest.mark.parametrize("name", TEAMS)
def test_a_team_moves_as_it_does_in_python(visit, name):
    page = visit((800, 600))
    there = page.evaluate(
        """async ([name, steps]) => {
            const { state, choices } = window.mapush;
            state.paused = true;
            while (state.busy) await new Promise(done => setTimeout(done, 20));
            const world = await choices.world(name);
            world.policy = world.own;
            return await world.record(0, steps);
        }""",
        [name, STEPS],
    )
    apart = [max(abs(a - b) for a, b in zip(one, other)) for one, other in zip(there, here(name))]
    moved = max(abs(a - b) for a, b in zip(there[0], there[-1]))
    print(f"{name}: largest difference {max(apart):.1e}, after 10 steps {max(apart[:10]):.1e}, moved {moved:.2f}")
    assert len(apart) == STEPS and moved > 0.2
    assert max(apart) < TEAMS[name]


def test_the_page_plans_as_python_does_also_for_an_object_that_stands_still(visit):
    page = visit((800, 600))
    there = page.evaluate(
        """async () => {
            const { state, choices } = window.mapush;
            state.paused = true;
            while (state.busy) await new Promise(done => setTimeout(done, 20));
            const world = await choices.world("long-way-planar"), path = [];
            world.policy = null;
            world.reset(0);
            const { guide } = world, look = guide.look.bind(guide);
            guide.look = (...poses) => {
                const seen = look(...poses);
                path.push([...seen.target, ...seen.ways[0]]);
                return seen;
            };
            for (let step = 0; step < 600; step++) await world.step();
            return path;
        }"""
    )
    _, env = in_python("long-way-planar")
    env.reset()
    for decision in there:
        assert env.target[0, :9].tolist() == pytest.approx(decision, abs=1e-3)
        env.step(torch.zeros(env.num_envs, 2, 3))
    env.close()
    assert len(there) == 120 and len({round(place[0], 1) for place in there}) == 2  # ahead, then back


@pytest.mark.parametrize("width", [390, 1280])
def test_it_pushes_and_can_be_used(visit, width):
    phone = width == 390
    options = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2} if phone else {}
    page = visit((width, 780), **options)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.wait_for_function("window.mapush.state.world.seconds > 1", timeout=60_000)
    told = page.inner_text("#status")
    # For the picture it is drawn more sharply, which is slow without a GPU; the rate in it is that of before.
    page.evaluate(
        """() => {
            const { state, view } = window.mapush, { rate } = state;
            Object.defineProperty(state, "rate", { get: () => rate, set() {} });
            view.adapt = () => {};
            view.sharpness = 2;
            view.resize();
        }"""
    )
    page.wait_for_timeout(1500)
    keep("demo-phone" if phone else "demo-desktop", page.screenshot(), 480 if phone else 1000)
    assert re.search(r"\d frames/s", told)
    print(f"{width} pixels wide: {told}")
    page.evaluate("() => { const { view } = window.mapush; view.sharpness = 0.5; view.resize(); }")
    before = page.evaluate("window.mapush.state.world.target")
    goal = page.evaluate(
        """() => {
            const { state, view } = window.mapush;
            const top = view.meshes.filter(mesh => mesh.userData.body === view.goal).at(-1);
            const where = view.camera.position.clone().setFromMatrixPosition(top.matrixWorld).project(view.camera);
            return [(where.x + 1) / 2 * innerWidth, (1 - where.y) / 2 * innerHeight];
        }"""
    )
    page.mouse.move(*goal)
    page.mouse.down()
    page.mouse.move(goal[0] + 60, goal[1] + 80, steps=4)
    page.mouse.up()
    after = page.evaluate("window.mapush.state.world.target")
    assert max(abs(a - b) for a, b in zip(before, after)) > 0.2
    page.select_option("#team", "go1")
    page.select_option("#speed", "0.25")
    page.wait_for_function("window.mapush.state.world.name === 'cuboid-go1'", timeout=60_000)
    page.click("#reset")
    page.wait_for_function("window.mapush.state.world.seconds > 0.1", timeout=60_000)
    page.select_option("#policy", "cuboid-planar")
    page.click("#pause")
    assert page.inner_text("#pause") == "Go on"


def test_a_team_goes_around_obstacles_also_to_another_goal(visit):
    page = visit((1280, 780))
    page.select_option("#object", "cuboid among obstacles")
    page.wait_for_function("window.mapush.state.world.name === 'long-way-planar'", timeout=60_000)
    arrive = """async goal => {
        const { state } = window.mapush, { world } = state;
        state.paused = true;
        while (state.busy) await new Promise(done => setTimeout(done, 20));
        if (goal) world.moveGoal(...goal);
        for (let step = 0; step < 4000 && !world.done; step++) await world.step();
        return [world.done, ...world.pose(world.bodies[0])];
    }"""
    page.wait_for_function("window.mapush.state.world.seconds > 2", timeout=60_000)
    page.evaluate("() => { const { view } = window.mapush; view.adapt = () => {}; view.sharpness = 1; view.resize(); }")
    page.wait_for_timeout(1000)
    keep("demo-obstacles", page.screenshot(), 1000)
    target = page.evaluate("window.mapush.state.world.target")
    done, *place = page.evaluate(arrive, None)
    assert done and max(abs(a - b) for a, b in zip(place, target)) < 0.25
    done, *place = page.evaluate(arrive, [0, 0])
    assert done and max(map(abs, place[:2])) < 0.25
    inside = """async () => {
        const { world } = window.mapush.state, [body] = world.bodies, [low, high] = world.guide.bounds();
        world.pull = { body, x: high[0] + 5, y: 0 };
        for (let step = 0; step < 1000; step++) await world.step();
        return [world.pose(body)[0], high[0]];
    }"""
    pulled, wall = page.evaluate(inside)
    assert 0.5 < pulled < wall - 0.5


def test_pushing_the_object_moves_it(visit):
    page = visit((800, 600))
    page.select_option("#policy", "none: they stand")
    page.wait_for_function("window.mapush.state.world.policy === null")
    moved = page.evaluate(
        """async () => {
            const { state } = window.mapush;
            state.paused = true;
            while (state.busy) await new Promise(done => setTimeout(done, 20));
            const { world } = state, [body] = world.bodies;
            world.reset(0);
            world.pull = { body, x: 2, y: 0 };
            for (let step = 0; step < 50; step++) await world.step();
            return world.pose(body);
        }"""
    )
    assert moved[0] > 0.3
