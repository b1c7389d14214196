"""The images, built and run; `nox -s docker`. Builds go on from a copy of the checkout, which stays as it is."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.containers import engine
from tests.containers.package import BINDINGS, NAME, write_package

# The engine is looked for when a test runs: collecting the other tests must not wait for it.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]
TAG = "mapush-stack:cpu"


@pytest.fixture(scope="module", autouse=True)
def docker():
    if engine.why_not():
        pytest.skip(engine.why_not())


@pytest.fixture
def checkout(tmp_path):
    """What git knows of the checkout, as a folder of its own without NVIDIA's package."""
    files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in filter(None, subprocess.check_output(files, cwd=str(engine.ROOT), text=True).split("\0")):
        if (engine.ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(engine.ROOT / name), str(tmp_path / name), follow_symlinks=False)
    return tmp_path


@pytest.fixture(scope="module")
def image():
    done = engine.build("cpu", TAG)
    assert done.returncode == 0, done.stdout[-4000:]


def test_compose_trains_and_the_run_belongs_to_the_caller(image, checkout):
    if os.getuid() == 0:
        os.chown(str(checkout / "results"), 1234, 1234)  # as if another user had called
    owner = (checkout / "results").stat()
    for compose in engine.compose_commands():
        train = [*compose, "run", "--rm", "train-cpu", "--steps", "100000", "--no-evaluation"]
        done = engine.run(train, checkout)
        assert done.returncode == 0, done.stdout[-4000:]
        (run,) = (checkout / "results").glob("mapush/go1push_mid-cuboid/happo/default/seed-*")
        assert json.loads((run / "config.json").read_text())["training"]["total_steps"] == 100000
        assert list(run.glob("models/rl_model_*_steps/model.safetensors"))
        for path in run.rglob("*"):
            assert (path.stat().st_uid, path.stat().st_gid) == (owner.st_uid, owner.st_gid)
        shutil.rmtree(str(run))
        engine.run([*compose, "down", "--volumes"], checkout)


def test_without_compose_the_container_is_not_root_and_needs_no_network(image):
    train = ["mapush", "train", "--steps", "1000", "--no-evaluation"]
    done = engine.docker("run", "--rm", "--network", "none", TAG, *train)
    assert done.returncode == 0, done.stdout[-4000:]
    assert engine.docker("run", "--rm", TAG, "id", "-u").stdout.strip() == "1000"


@pytest.mark.parametrize("wrong", ["absent", "hollow", "unrecorded", "another"])
def test_isaacgym_is_not_built_from_a_wrong_package(checkout, wrong):
    folder = checkout / "env" / "isaacgym"
    if wrong == "hollow":
        digest = hashlib.sha256(write_package(folder, leave_out=[BINDINGS]).read_bytes()).hexdigest()
        (folder / f"{NAME}.sha256").write_text(f"{digest}  {NAME}\n")
    elif wrong in ("unrecorded", "another"):
        write_package(folder)
    if wrong == "another":
        subprocess.run([sys.executable, str(folder / "check.py")], check=True)
        write_package(folder, content=b"another")
    done = engine.build("isaacgym", "mapush-stack:refused", checkout)
    sentences = {
        "absent": "is not there: download Isaac Gym Preview 4 from https://developer.nvidia.com/isaac-gym",
        "hollow": f"holds no {BINDINGS}",
        "unrecorded": "no checksum of",
        "another": "was recorded: restore the first file",
    }
    assert done.returncode != 0
    assert sentences[wrong] in done.stdout, done.stdout[-4000:]


def test_the_package_does_not_get_into_other_images(checkout):
    write_package(checkout / "env" / "isaacgym")
    done = engine.build("checkout", "mapush-stack:checkout", checkout)
    assert done.returncode == 0, done.stdout[-4000:]
    found = engine.docker("run", "--rm", "mapush-stack:checkout", "ls", "/opt/mapush/env/isaacgym").stdout.split()
    engine.docker("image", "rm", "mapush-stack:checkout")
    assert "check.py" in found and NAME not in found
