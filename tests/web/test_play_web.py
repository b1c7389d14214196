"""`mapush play --web` without a browser: what it writes, serves and refuses; tests/browser/test_demo.py looks at it."""

import json
import shutil
import signal
import urllib.request

import pytest

from tests.cli.runner import ROOT, mapush, start

pytestmark = pytest.mark.usefixtures("mujoco")
PAGE = ROOT / "mapush_stack" / "web" / "page"
WEB = ["play", "--web", "--pretrained", "cuboid-planar"]


@pytest.mark.slow
def test_it_serves_a_team_until_it_is_interrupted():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    process = start(*WEB)
    lines = [process.stdout.readline() for _ in range(3)]
    assert "@mujoco/mujoco, onnxruntime-web, three" in lines[0] and lines[1] == "team: cuboid-planar\n"
    address = lines[2].split()[1]
    for name, kind in (("", "text/html"), ("lib/mujoco.wasm", "application/wasm"), ("main.js", "text/javascript")):
        with urllib.request.urlopen(address + name, timeout=20) as answer:
            assert answer.headers["Content-Type"].startswith(kind) and len(answer.read()) > 500
    with urllib.request.urlopen(address + "teams.json", timeout=20) as answer:
        assert json.load(answer) == {"cuboid-planar": {"object": "cuboid", "team": "planar"}}
    with urllib.request.urlopen(address + "licences.txt", timeout=20) as answer:
        assert answer.read() == (PAGE / "licences.txt").read_bytes()
    with urllib.request.urlopen(address + "teams/cuboid-planar/team.json", timeout=20) as answer:
        team = json.load(answer)
    assert len(team["robots"]) == 2 and len(team["starts"]) == 20
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err


def test_the_folder_has_the_licences_of_the_libraries():
    locked = json.loads((PAGE / "package-lock.json").read_text())["packages"]
    told = (PAGE / "licences.txt").read_text()
    for name in locked[""]["dependencies"]:
        licence = locked[f"node_modules/{name}"]["license"]
        assert f"{name:19}SPDX-License-Identifier: {licence}\n" in told
    assert "MIT License\n" in told and "Apache License\n" in told


def refused(*arguments):
    _, err = mapush(*arguments, code=2)
    assert err.startswith("mapush: ") and err.count("\n") == 1
    return err


def test_refusals(tmp_path):
    (tmp_path / "mine").write_text("")
    assert "exists already; choose another folder" in refused(*WEB, "--out", tmp_path)
    assert "--out is for --web" in refused("play", "--out", tmp_path / "x")
    for option in (["--record", "x.mp4"], ["--stills", "x"], ["--drive", 0], ["--save", "x.npz"], ["--scripted"]):
        assert f"--web does not go with {option[0]}; leave one of them out" in refused("play", "--web", *option)
    late = ["--pretrained", "cuboid-go1", "--set", "sim.go1.delay=0.02"]
    assert "have no delay and no noise" in refused("play", "--web", *late, "--out", tmp_path / "late")
    rovers = ["--set", "object.team=[rover,rover]"]
    assert "the page knows no robots of kind rover" in refused(*WEB, "--out", tmp_path / "x", *rovers)
    way = ["play", "--web", "--pretrained", "long-way-planar", "--out", tmp_path / "x"]
    straight = refused(*way, "--set", "task.obstacles.planner=straight")
    assert "task.obstacles.planner must be fast_marching, not straight" in straight
    assert "record it" in refused(*way, "--set", "task.obstacles.aligned=true")
    moving = ["--set", "task.goal_speed=0.1"]
    assert "the page has one goal that stays" in refused(*WEB, "--out", tmp_path / "x", *moving)
    assert "must be position, not pose" in refused(*WEB, "--out", tmp_path / "x", "--set", "task.goal=pose")
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_it_says_that_npm_is_missing(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "needs npm to fetch its JavaScript libraries: install Node.js" in refused(*WEB, "--out", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
