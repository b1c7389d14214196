"""Fixtures for the tests with MAPush's own code on Isaac Gym's API over MuJoCo."""

import os
from pathlib import Path

import pytest

from mapush_stack.gym_api import activation
from mapush_stack.harness.patches import change
from mapush_stack.harness.patches.state import State


@pytest.fixture(scope="session")
def mapush_published(tmp_path_factory):
    """A copy of MAPush without our patch; the test is skipped where MAPUSH_SRC does not name its source tree."""
    if "MAPUSH_SRC" not in os.environ:
        pytest.skip("MAPUSH_SRC does not name a MAPush source tree")
    pytest.importorskip("mujoco.batch")
    pytest.importorskip("gym", reason="MAPush needs gym, scipy and matplotlib (nox -s isaacgym)")
    from tests import mapush_source

    source = Path(os.environ["MAPUSH_SRC"]).resolve()
    folder = mapush_source.copy(source, tmp_path_factory.mktemp("published") / "MAPush")
    change.change(["contact-pairs"], State.NOT_APPLIED, folder)
    return folder


@pytest.fixture(scope="session")
def mapush_tree(mapush_published, tmp_path_factory):
    """A patched copy of MAPush."""
    from tests import mapush_source

    folder = mapush_source.copy(mapush_published, tmp_path_factory.mktemp("patched") / "MAPush")
    change.change(["contact-pairs"], State.APPLIED, folder)
    return folder


@pytest.fixture
def mapush(mapush_tree, monkeypatch):
    """MAPUSH_SRC is the copy, Isaac Gym's API is over MuJoCo, and this process may have one more simulation."""
    from mapush_stack.sim import isaacgym, isaacgym_import

    monkeypatch.setenv("MAPUSH_SRC", str(mapush_tree))
    monkeypatch.setenv(activation.VARIABLE, "mujoco")
    monkeypatch.delenv("MAPUSH_CONTACT_PAIR_MULTIPLIER", raising=False)
    monkeypatch.setattr(isaacgym, "_spent", False)
    isaacgym_import.require()
    return mapush_tree
