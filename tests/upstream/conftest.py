"""Upstream's own programs over MuJoCo: `nox -s upstream`. Each test is skipped where its source tree is not named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mapush_source
from tests.cli import runner

MAPUSH = [sys.executable, "-m", "mapush_stack"]


def _source(name):
    """The source tree that an environment variable names."""
    if not os.environ.get(name):
        pytest.skip(f"{name} does not name a source tree (nox -s upstream)")
    pytest.importorskip("mujoco")
    pytest.importorskip("treelib", reason="upstream's programs need env/install.py --upstream")
    return Path(os.environ[name]).resolve()


def run(*words, cwd=None, code=0, path=(), **variables):
    """Run a command to its end with these folders before Python's path; returns what it prints, with its errors."""
    environment = {**runner.environment(), **variables, "MPLBACKEND": "Agg"}
    environment["PYTHONPATH"] = os.pathsep.join([*map(str, path), environment["PYTHONPATH"]])
    done = subprocess.run(
        list(map(str, words)), cwd=str(cwd), env=environment, text=True, timeout=600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode in (code if isinstance(code, tuple) else (code,)), (done.returncode, done.stdout[-3000:])
    return done.stdout


def gym(*words, **options):
    """Run `python WORDS` by `mapush gym run`."""
    return run(*MAPUSH, "gym", "run", "--", sys.executable, *words, **options)


@pytest.fixture
def mapush(mapush_copy):
    """A copy of MAPush without results: it names them by the hour, and a second training in one hour would fail."""
    shutil.rmtree(str(mapush_copy / "results"), ignore_errors=True)
    (mapush_copy / "results").mkdir()
    return mapush_copy


@pytest.fixture(scope="session")
def mapush_copy(tmp_path_factory):
    """A copy of MAPush, unedited; with this project's walking networks where the checkout lacks its own."""
    return mapush_source.copy(_source("MAPUSH_SRC"), tmp_path_factory.mktemp("upstream") / "MAPush")


@pytest.fixture(scope="session")
def legged_gym(tmp_path_factory):
    """The folders that legged_gym needs on the path: a copy of it, and rsl_rl 1.0.2."""
    rsl_rl = _source("RSL_RL_SRC")
    folder = tmp_path_factory.mktemp("upstream") / "legged_gym"
    return [Path(shutil.copytree(str(_source("LEGGED_GYM_SRC")), str(folder), ignore=mapush_source.LEFT_OUT)), rsl_rl]


@pytest.fixture(scope="session")
def harl():
    """HARL's source tree."""
    return _source("HARL_SRC")
