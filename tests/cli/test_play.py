"""`mapush play` from its front door: recordings that play, and refusals."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mapush_stack.cli.main import main
from tests.cli.runner import environment, start, train_small

pytestmark = pytest.mark.usefixtures("mujoco")
SHORT = ["--episodes", "1", "--set", "task.episode_seconds=0.6", "--size", "320x180"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, request):
    pytest.importorskip("mujoco.batch", reason="MuJoCo 4 is not installed")
    return train_small(tmp_path_factory.mktemp("results"))[1]


@pytest.fixture(scope="module")
def drawing():
    """Skips where no OpenGL library can draw: this package does not bring one."""
    pytest.importorskip("mujoco.batch", reason="MuJoCo 4 is not installed")
    probe = [sys.executable, "-c", "from mapush_stack.sim.opengl import choose_gl; choose_gl()"]
    result = subprocess.run(probe, env=environment(), capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"nothing can be drawn here: {result.stderr.strip().splitlines()[-1]}")


def play(*arguments):
    """What `mapush play ARGUMENTS` prints; a fresh process, because MuJoCo chooses what it draws with when imported."""
    process = start("play", *arguments)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0 and "Traceback" not in err, err
    return out


def check_frames(frames):
    assert all(frame.std() > 10 for frame in frames)
    assert np.abs(frames[0].astype(float) - frames[-1].astype(float)).mean() > 1


@pytest.mark.parametrize("robot", ["planar", "go1"])
@pytest.mark.slow
def test_a_recording_is_what_browsers_play(run, drawing, tmp_path, robot):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    out = tmp_path / "out.mp4"
    told = play(run, "--record", out, *SHORT, "--set", f"sim.robot={robot}")
    assert "episode 1: " in told and str(out) in told
    assert list(tmp_path.iterdir()) == [out]
    reader = ffmpeg.read_frames(str(out))
    about = next(reader)
    assert about["codec"].startswith("h264") and about["pix_fmt"].startswith("yuv420p")
    assert about["size"] == (320, 180) and about["fps"] == 50
    frames = [np.frombuffer(frame, np.uint8).reshape(180, 320, 3) for frame in reader]
    seconds = float(told.split(" after ")[1].split(" s")[0])
    assert abs(len(frames) / 50 - (seconds + 1.0)) < 0.05
    check_frames(frames)
    content = out.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.slow
def test_a_gif_and_stills(run, drawing, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    out = tmp_path / "out.gif"
    play(run, "--record", out, "--stills", tmp_path / "still", *SHORT)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.gif", "still-1.png", "still-2.png", "still-3.png"]
    picture = image.open(out)
    assert picture.size == (320, 180) and picture.info["loop"] == 0
    frames, milliseconds = [], 0
    for number in range(picture.n_frames):
        picture.seek(number)
        milliseconds += picture.info["duration"]
        frames.append(np.array(picture.convert("RGB")))
    assert 1.0 <= milliseconds / 1000 <= 1.7
    check_frames(frames)
    check_frames([np.array(image.open(tmp_path / f"still-{number}.png")) for number in (1, 3)])


def test_what_this_machine_lacks_is_said_in_one_sentence(run, tmp_path, monkeypatch, capsys):
    def refused(*arguments):
        assert main(["play", str(run), *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert err.startswith("mapush: ") and err.count("\n") == 1 and not out
        return err

    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert "--record" in refused()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert "mapush_stack[video]" in refused("--record", tmp_path / "out.mp4")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "PIL", None)
        assert "mapush_stack[video]" in refused("--record", tmp_path / "out.gif")
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    assert "MUJOCO_GL=nonsense" in refused("--record", tmp_path / "out.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["RUN", "--record", "out.avi"], "must end in .mp4 or .gif"),
        (["RUN", "--record", "nowhere/out.gif"], "is not a folder"),
        (["RUN", "--stills", "nowhere/still"], "is not a folder"),
        (["RUN", "--record", "out.gif", "--size", "0x0"], "is not WIDTHxHEIGHT"),
        (["RUN", "--record", "out.gif", "--size", "321x180"], "is not WIDTHxHEIGHT"),
        (["RUN", "--record", "out.gif", "--size", "99999x99999"], "is not WIDTHxHEIGHT"),
        (["RUN", "--record", "out.gif", "--fps", "0"], "--fps"),
        (["RUN", "--record", "out.gif", "--object", "tblock"], "brings its own object"),
        (["nothing", "--record", "out.gif"], "does not exist"),
        (["--record", "out.gif"], "--pretrained"),
        (["RUN", "--pretrained", "nope", "--record", "out.gif"], "--pretrained"),
        (["--pretrained", "nope", "--record", "out.gif"], "no pretrained policy"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(run, tmp_path, monkeypatch, capsys, arguments, words):
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    monkeypatch.chdir(tmp_path)
    assert main(["play", *(str(run) if word == "RUN" else word for word in arguments)]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("mapush: ") and words in err and err.count("\n") == 1 and not out
    assert not list(tmp_path.iterdir())


def test_the_package_to_install_is_named_where_nothing_can_draw(run, tmp_path, monkeypatch):
    from mapush_stack.errors import UserError
    from mapush_stack.sim import opengl

    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(opengl, "_GL_LIBRARIES", ("nonsense",))
    with pytest.raises(UserError, match="apt-get install libosmesa6"):
        opengl.choose_gl()
    assert "MUJOCO_GL" not in os.environ


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_recording_leaves_nothing(run, drawing, tmp_path, number):
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    out = tmp_path / "films" / "out.mp4"
    out.parent.mkdir()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    options = ["--episodes", "1", "--set", "task.episode_seconds=20"]
    command = [sys.executable, "-m", "mapush_stack", "play", str(run), "--record", str(out), *options]
    process = subprocess.Popen(
        command, env={**environment(), "TMPDIR": str(temporary)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 100
    while not list(temporary.glob(".writing-*/*.mp4")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -number), err
    assert not list(out.parent.iterdir())
    if number != signal.SIGKILL:
        assert not list(temporary.glob(".writing-*"))
        assert b"Traceback" not in err
