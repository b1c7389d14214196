"""A newcomer's first commands, each in a container of a plain Python image; `nox -s docker -- -k newcomer`."""

import re
import subprocess

import pytest

from tests.containers import engine
from tests.containers.test_images import clone
from tests.test_wheel import build

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def image():
    if engine.why_not():
        pytest.skip(engine.why_not())
    dockerfile = (engine.ROOT / "Dockerfile").read_text(encoding="utf-8")
    default = dockerfile.split("ARG PYTHON_IMAGE=", 1)[1].split("\n", 1)[0]
    return engine.given("PYTHON_IMAGE") or default


def in_container(image, folder, script):
    """Run a shell script as a user without privileges, with `folder` at /given and the network."""
    options = ["--rm", "--network", "host", "--user", "1234", "--cap-drop", "ALL", "--env", "HOME=/tmp"]
    options += ["--volume", f"{folder}:/given:ro", "--workdir", "/tmp"]
    names = {"PIP_INDEX_URL": engine.given("PIP_INDEX_URL"), "MAPUSH_TORCH_INDEX": engine.torch_index()}
    if engine.authorities():
        options += ["--volume", f"{engine.authorities()}:/ca:ro"]
        names.update(PIP_CERT="/ca", SSL_CERT_FILE="/ca")
    for name, value in names.items():
        options += ["--env", f"{name}={value}"] if value else []
    done = engine.docker("run", *options, image, "sh", "-euc", script)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_newcomers_clone(image, tmp_path):
    """The README's two commands; of the tests a part, as `docker compose run tests` runs all of them."""
    folder = tmp_path / "clone"
    folder.mkdir(mode=0o755)
    clone(folder)
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    script = (
        "cp -r /given clone && cd clone && ./nox -s train -- --steps 20000 && ./nox -s lint tests-3.11 -- tests/task "
        "&& ls -d results/mapush/go1push_mid-cuboid/happo/default/seed-00001-*"
    )
    out = in_container(image, folder, script)
    assert "trained at" in out and "1000 first episodes of the cuboid" in out
    assert "Session tests-3.11 was successful" in out and "Session lint was successful" in out


def test_newcomers_wheel(image, tmp_path):
    """docs/package.md: the wheel by plain pip, PyTorch's CPU build first."""
    sources, dist = tmp_path / "sources", tmp_path / "dist"
    sources.mkdir()
    dist.mkdir(mode=0o755)
    clone(sources)
    build("wheel", sources, dist)
    lock = (engine.ROOT / "env" / "torch-cpu.lock").read_text(encoding="utf-8")
    torch = re.search(r'^torch==(\S+) ; python_version >= "3.11"', lock, re.MULTILINE)[1]
    index = f"--extra-index-url {engine.torch_index()} --trusted-host 127.0.0.1" if engine.torch_index() else ""
    script = (
        f"python3 -m venv v && v/bin/pip install --quiet {index or '--index-url https://download.pytorch.org/whl/cpu'} "
        f'torch=={torch} && v/bin/pip install --quiet "$(ls /given/*.whl)[train]" && '
        "v/bin/mapush train --steps 20000 && v/bin/mapush evaluate --pretrained cuboid-planar --episodes 8"
    )
    out = in_container(image, dist, script)
    assert "trained at" in out and out.count("first episodes of the cuboid") == 2
