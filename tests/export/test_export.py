"""`mapush export`: graphs that give what torch gives, and a program that runs them without this package."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mapush_stack.evaluation import policies, pretrained
from mapush_stack.locomotion import gait, policy
from tests.cli.runner import mapush, train_small
from tests.learning.openrl.test_restricted_pickle import write_module

pytestmark = pytest.mark.usefixtures("mujoco")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
MOST = 1e-5
NETWORKS = ["learner.policy.network.hidden=[16,16]", "learner.critic.hidden=[16,16]"]
LAYOUT = """
import torch
from mapush_stack.api import register_observation_layout
from mapush_stack.task.observations import Field

@register_observation_layout
def sorted_places(seen, thing):
    found = torch.searchsorted(torch.tensor([0.0, 1.0]), seen.target.contiguous()).float()
    return [Field(found, None), Field(seen.target, None), Field(seen.object, None)]
"""
ROBOT = {"robots", "object", "target"}


def export(out, policy, *options):
    """Export and compare; returns policy.json and the difference that was printed."""
    told, _ = mapush("export", policy, "--onnx", out, "--check", *options)
    assert told.startswith("writing ") and "comparing with torch ...\n" in told
    difference = float(told.split("10,000 states: ")[1])
    about = json.loads((out / "policy.json").read_text())
    for name, graph in about["graphs"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == graph["sha256"]
        free = [value.type.tensor_type.shape.dim[0].dim_param for value in onnx.load(str(out / name)).graph.input]
        assert free == ["N"] * len(graph["inputs"])
        assert str(Path.home()).encode() not in (out / name).read_bytes()
        assert b"mapush_stack/" not in (out / name).read_bytes()
    assert len((out / "run.py").read_text().splitlines()) <= 60
    return about, difference


def run(folder, *lines, code=0):
    """What `python run.py` answers to these lines, in a process that cannot import torch or this package."""
    hide = "import sys; sys.modules['torch'] = sys.modules['mapush_stack'] = None\n"
    program = f"{hide}__file__ = 'run.py'\nexec(open('run.py').read())"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        input="\n".join(map(json.dumps, lines)),
        cwd=str(folder), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()] if code == 0 else done.stderr


def test_a_shipped_team_gives_what_its_environment_does(tmp_path):
    about, difference = export(tmp_path / "out", "tblock-planar")
    assert difference < MOST
    assert about["format"] == "mapush exported policy 1" and about["decision_seconds"] == 0.1
    assert [robot["graph"] for robot in about["robots"]] == ["robot0.onnx", "robot1.onnx"]
    assert set(about["graphs"]["robot0.onnx"]["inputs"]) == ROBOT
    assert about["object"]["name"] == "tblock" and about["command_limit"] == [0.5, 0.5, 0.5]
    candidate = policies.find(pretrained.path("tblock-planar"), "", ["sim.backend=mujoco"])[-1]
    env = policies.environment(candidate, 1, 3)
    team = policies.policy(candidate, env)
    observations, _ = env.reset()
    lines, wanted = [], []
    for _ in range(20):
        state = env.sim_state
        poses = torch.cat((state.robot_pos[0, :, :2], state.robot_rpy[0, :, 2:]), dim=-1)
        thing = [*state.object_pos[0, :2].tolist(), float(state.object_rpy[0, 2])]
        lines.append({"robots": poses.tolist(), "object": thing, "target": env.target[0].tolist()})
        action = team.act(observations)
        wanted.append(0.5 * action.clamp(-1, 1)[0])
        observations = env.step(action).observations
    env.close()
    found = torch.tensor([answer["commands"] for answer in run(tmp_path / "out", *lines)])
    assert (found - torch.stack(wanted)).abs().max() < MOST


@pytest.mark.slow
def test_a_team_on_legs_brings_its_walking_policy(tmp_path):
    about, difference = export(tmp_path / "out", "cuboid-go1")
    assert difference < MOST
    assert [robot["walker"] for robot in about["robots"]] == ["go1_walker.onnx"] * 2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("pose", ["--preset", "pose"], marks=pytest.mark.slow),
        pytest.param(
            "published",
            ["task.observation=published", "learner.policy.mirror=false", "task.action_gain=2.0"],
            marks=pytest.mark.slow,
        ),
        pytest.param("cos_sin", ["task.observation=cos_sin", "learner.policy.squash=false"], marks=pytest.mark.slow),
        pytest.param("shared", ["learner.algorithm=mappo", "learner.share_actor=true"], marks=pytest.mark.slow),
        (
            "sets",
            [
                "learner.policy.encoder=sets",
                "task.observation=sets",
                "learner.algorithm=mappo",
                "learner.share_actor=true",
            ],
        ),
        pytest.param("way", ["--preset", "narrow-gaps", "task.obstacles.layouts=4"], marks=pytest.mark.slow),
        ("mixed", ["--preset", "pose", "--team", "rover,planar"]),
    ],
)
def test_every_kind_of_run(tmp_path, name, options):
    _, folder = train_small(tmp_path, "--no-evaluation", *options)
    about, difference = export(tmp_path / "out", folder)
    assert difference < MOST
    graphs, inputs = list(about["graphs"]), about["graphs"]["robot0.onnx"]["inputs"]
    assert (len(graphs) == 1) == (name in ("shared", "sets"))
    assert len(inputs["target"]["unit"]) == {"pose": 3, "mixed": 3, "way": 4}.get(name, 2)
    assert ("way" in inputs) == (name == "way")
    if name == "mixed":
        assert set(inputs) == {*ROBOT, "senses"} and set(about["graphs"]["robot1.onnx"]["inputs"]) == ROBOT
        poses = {"robots": [[2.0, 0.0, 3.1], [0.0, 2.0, -1.5]], "object": [0, 0, 0], "target": [2, 2, 0]}
        (answer,) = run(tmp_path / "out", {**poses, "senses0": [0.1, 0.2]})
        assert len(answer["commands"]) == 2 and answer["commands"][0][1] == 0.0


def test_the_control_loop_has_no_planner():
    _, err = mapush("deploy", "long-way-planar", "--dry-run", code=2)
    assert "no planner for its way around obstacles" in err and err.count("\n") == 1


def test_what_onnx_cannot_express(tmp_path):
    (tmp_path / "plugin.py").write_text(LAYOUT)
    options = ["--plugin", tmp_path / "plugin.py", "task.observation=sorted_places", "learner.policy.mirror=false"]
    _, folder = train_small(tmp_path, "--no-evaluation", *options)
    _, err = mapush("export", folder, "--onnx", tmp_path / "out", *options[:2], code=2)
    assert "robot0 cannot be written as ONNX: " in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_actor_of_openrl(tmp_path, monkeypatch):
    write_module(tmp_path / "module.pt", monkeypatch)
    about, difference = export(tmp_path / "out", tmp_path / "module.pt", "--object", "cuboid")
    assert difference < MOST and list(about["graphs"]) == ["robot0.onnx"]


@pytest.fixture(scope="module")
def walker(tmp_path_factory):
    """The folder of the exported walking policy."""
    out = tmp_path_factory.mktemp("walker") / "out"
    about, difference = export(out, "go1")
    assert difference < MOST and about["decision_seconds"] == 0.02 and about["robots"] == []
    return out


def test_the_walking_policy_alone_remembers_its_gait(walker):
    still = {"linear_velocity": [0.0] * 3, "angular_velocity": [0.0] * 3, "gravity": [0.0, 0.0, -1.0]}
    standing = {**still, "joint_pos": list(gait.STANCE), "joint_vel": [0.0] * 12, "command": [0.5, 0.0, 0.0]}
    first, second = run(walker, standing, standing)
    assert first["next_phase"] == pytest.approx(0.05) and second["next_phase"] == pytest.approx(0.1)
    assert second["joint_targets"] != first["joint_targets"]


def test_a_blind_walking_policy_remembers_what_it_saw(tmp_path):
    torch.manual_seed(0)
    made = policy.WalkingPolicy([16], gait.View(3, linear_velocity=False))
    policy.save(made, tmp_path / "blind.safetensors")
    about, difference = export(tmp_path / "out", tmp_path / "blind.safetensors")
    assert difference < MOST and "linear_velocity" not in about["graphs"]["walker.onnx"]["inputs"]
    sensed = {"angular_velocity": [0.1] * 3, "gravity": [0.0, 0.0, -1.0], "command": [0.5, 0.0, 0.0]}
    body = gait.Proprioception(*(torch.zeros(1, size) for size in (3, 3, 3, 12, 12)))._replace(
        angular_velocity=torch.full((1, 3), 0.1), gravity=torch.tensor([[0.0, 0.0, -1.0]])
    )
    state, command = gait.at_rest((1,), torch.device("cpu"), made.view), torch.tensor([[0.5, 0.0, 0.0]])
    line = {**sensed, "joint_pos": [0.0] * 12, "joint_vel": [0.0] * 12}
    for answer in run(tmp_path / "out", *[line] * 4):
        seen = gait.observe(body, command, state, made.view)
        action = made(seen)
        state = gait.advance(state, action, command, seen)
        assert answer["joint_targets"] == pytest.approx(gait.joint_targets(action)[0].tolist(), abs=MOST)


def test_a_changed_graph_is_not_run(walker, tmp_path):
    shutil.copytree(walker, tmp_path / "out")
    with (tmp_path / "out" / "walker.onnx").open("ab") as file:
        file.write(b"x")
    assert "is not the file that policy.json describes" in run(tmp_path / "out", code=1)


def test_graphs_that_differ_are_not_written(tmp_path):
    lines = "import mapush_stack.export.check as check\nold = check.graph\n"
    lines += "check.graph = lambda *given: old(*given) + 1e-4\n"
    (tmp_path / "plugin.py").write_text(lines)
    _, err = mapush("export", "go1", "--onnx", tmp_path / "out", "--check", "--plugin", tmp_path / "plugin.py", code=2)
    assert "is not written: it differs from torch by 1.1e-04, more than 1e-05" in err
    assert [path.name for path in tmp_path.iterdir()] == ["plugin.py"]


def test_refusals(tmp_path, monkeypatch):
    full, blocked = tmp_path / "full", tmp_path / "blocked"
    full.mkdir()
    (full / "mine").write_text("")
    blocked.mkdir()
    (blocked / "onnxruntime.py").write_text("raise ImportError('no', name='onnxruntime')\n")

    def refused(*arguments):
        _, err = mapush("export", *arguments, code=2)
        assert err.startswith("mapush: ") and err.count("\n") == 1
        return err

    assert "full exists already; choose another folder" in refused("go1", "--onnx", full)
    assert "mine/out cannot be written" in refused("go1", "--onnx", full / "mine" / "out")
    assert "no-such does not exist; give a run directory, a checkpoint, or" in refused(
        "no-such", "--onnx", tmp_path / "out"
    )
    assert "did you mean cuboid-planar?" in refused("cuboid-plana", "--onnx", tmp_path / "out")
    upstream = ("--set", "sim.go1.walking_policy=upstream")
    assert "walking_policy=upstream is not exported" in refused("cuboid-go1", "--onnx", tmp_path / "out", *upstream)
    assert "--set are for teams" in refused("go1", "--onnx", tmp_path / "out", "--set", "sim.threads=1")
    monkeypatch.setenv("PYTHONPATH", str(blocked))
    needs = "mapush export needs onnxruntime, on Python 3.11 or newer: pip install 'mapush_stack[export]'"
    assert needs in refused("go1", "--onnx", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"full", "blocked"}


def test_actors_of_harl(tmp_path, harl):
    _, folder = train_small(tmp_path, "--learner", "harl", "--no-evaluation")
    about, difference = export(tmp_path / "out", folder)
    assert difference < MOST and sorted(about["graphs"]) == ["robot0.onnx", "robot1.onnx"]


def test_actors_of_a_run_of_openrl(tmp_path):
    pytest.importorskip("openrl", reason="OpenRL is not installed: run nox -s openrl")
    _, folder = train_small(tmp_path, "--learner", "openrl", "--no-evaluation", *NETWORKS)
    about, difference = export(tmp_path / "out", folder)
    assert difference < MOST and list(about["graphs"]) == ["robot0.onnx"]
