"""Fixtures for the tests with MAPush's own code on the stand-in for Isaac Gym."""

import os

import pytest


@pytest.fixture(scope="session")
def mapush_tree(tmp_path_factory):
    """A patched copy of MAPush; the test is skipped where MAPUSH_SRC does not name its source tree."""
    if "MAPUSH_SRC" not in os.environ:
        pytest.skip("MAPUSH_SRC does not name a MAPush source tree")
    pytest.importorskip("gym", reason="MAPush needs gym, scipy and matplotlib (nox -s isaacgym)")
    from tests.isaacgym_standin import tree

    return tree.make(tmp_path_factory.mktemp("MAPush"))


@pytest.fixture
def mapush(mapush_tree, monkeypatch):
    """MAPUSH_SRC is the copy, and this process may have one more simulation: the stand-in does not mind."""
    from mapush_stack.sim import isaacgym

    monkeypatch.setenv("MAPUSH_SRC", str(mapush_tree))
    monkeypatch.delenv("MAPUSH_CONTACT_PAIR_MULTIPLIER", raising=False)
    monkeypatch.setattr(isaacgym, "_spent", False)
    return mapush_tree
