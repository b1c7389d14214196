"""`mapush train --learner openrl` where OpenRL is missing, or is not what it should be."""

import sys
from importlib import metadata

import pytest
from rich.console import Console

from mapush_stack.device.process_group import World
from mapush_stack.errors import UserError
from mapush_stack.learning.openrl.library import import_openrl
from mapush_stack.training import config as configuration
from mapush_stack.training import session
from mapush_stack.training.progress import ProgressDisplay
from tests.cli.runner import mapush

NEVER = "raise SystemExit('imported')"


def make_openrl(folder, version, code):
    """A distribution called openrl in `folder`, which is found before others, whose first import does `code`."""
    (folder / "openrl").mkdir()
    (folder / "openrl" / "__init__.py").write_text(code)
    (folder / f"openrl-{version}.dist-info").mkdir()
    text = f"Metadata-Version: 2.1\nName: openrl\nVersion: {version}\n"
    (folder / f"openrl-{version}.dist-info" / "METADATA").write_text(text)


def refusal(folder, *arguments):
    """The one line with which a training that cannot be is refused; nothing is on the disk."""
    _, err = mapush("train", "--results", folder / "results", "--with", "openrl", *arguments, cwd=folder, code=2)
    assert err.startswith("mapush: ") and err.count("\n") == 1, err
    assert not (folder / "results").exists()
    return err


def test_without_openrl_it_says_how_to_install_it(tmp_path):
    try:
        pytest.skip(f"OpenRL {metadata.version('openrl')} is installed here")
    except metadata.PackageNotFoundError:
        assert "which is not installed: pip install 'mapush_stack[openrl]'" in refusal(tmp_path)


def test_an_unknown_version_is_refused_without_being_imported(tmp_path):
    make_openrl(tmp_path, "0.3.1", NEVER)
    assert "needs OpenRL 0.2.0, but 0.3.1 is installed: pip install 'mapush_stack[openrl]'" in refusal(tmp_path)


def test_what_openrl_lacks_is_refused_before_anything_else(tmp_path):
    make_openrl(tmp_path, "0.2.0", NEVER)
    err = refusal(tmp_path, "learner.policy.squash=true")
    assert "learner.policy.squash must be false with library=openrl, not True" in err


@pytest.mark.parametrize(
    "code, words",
    [
        ("import no_such_module", r"\(No module named 'no_such_module'\): pip install 'mapush_stack\[openrl\]'"),
        ("import os; os.no_such_name", "has no attribute 'no_such_name'\\): mapush patches apply"),
        ("from os import no_such_name", "mapush patches apply"),
    ],
)
def test_an_openrl_that_cannot_be_imported_is_told_with_what_to_do(tmp_path, monkeypatch, code, words):
    make_openrl(tmp_path, "0.2.0", code)
    for name in [name for name in sys.modules if name.split(".")[0] == "openrl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=words):
        import_openrl()


class Two(World):
    size = 2


@pytest.mark.parametrize(
    "overrides, world, words",
    [
        (["training.total_steps=null", "training.stages=[{name: a, steps: 9, changes: {}}]"], World(), "must be empty"),
        ([], Two(), "trains in one process, not in 2; leave --gpus out"),
    ],
)
def test_what_the_loop_cannot_do_is_refused(tmp_path, overrides, world, words):
    config = configuration.load("default", "", overrides, ["openrl"])
    with pytest.raises(UserError, match=words):
        session.start(config, tmp_path / "results", [], ProgressDisplay(Console(), 1), world=world)
    assert not list(tmp_path.iterdir())


def test_the_default_preset_alone_is_not_for_openrl():
    with pytest.raises(UserError, match=r"learner\.algorithm must be mappo with library=openrl, not happo"):
        configuration.load("default", "", ["learner.library=openrl"])
