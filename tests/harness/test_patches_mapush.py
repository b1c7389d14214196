"""The contact-pair patch: its added lines by themselves, and the real file where MAPUSH_SRC says it is."""

import os
import shutil
import sys
import types
from pathlib import Path

import pytest

from mapush_stack.harness.patches import change, manifest, unified_diff
from mapush_stack.harness.patches.state import State

BASE_TASK = "mqe/envs/base/base_task.py"
VARIABLE = "MAPUSH_CONTACT_PAIR_MULTIPLIER"


def multiplier():
    """The patch's function, taken from the diff over a file that has the diff's lines and none of MAPush's others."""
    (patch,) = manifest.select(["contact-pairs"])
    hunks = patch.hunks()[BASE_TASK]
    lines = [b"\n"] * 100
    for hunk in hunks:
        lines[hunk.old_start - 1 : hunk.old_start - 1 + len(hunk.old)] = hunk.old
    patched = unified_diff.apply(b"".join(lines), hunks).decode()
    assert "*= contact_pair_multiplier()\n" in patched and "*= 5" not in patched
    names = {}
    exec(patched.partition("# Base class for RL tasks")[0], names)
    return names["contact_pair_multiplier"]


@pytest.mark.parametrize("text, value", [(None, 1), ("1", 1), ("5", 5), ("12", 12)])
def test_the_environment_sets_the_multiplier(monkeypatch, text, value):
    monkeypatch.delenv(VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(VARIABLE, text)
    assert multiplier()() == value


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "five", "1e3", "\u0665", " 2"])
def test_what_is_no_multiplier_is_an_error_that_names_it(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ValueError, match=f"{VARIABLE} must be an integer of at least 1, not '{text}'"):
        multiplier()()


class DeviceReachedError(Exception):
    pass


def contact_pairs(source):
    """What the file's BaseTask makes of Isaac Gym's 2**23 contact pairs; its constructor is left right after."""

    def parse_device_str(device):
        raise DeviceReachedError

    gymapi = types.SimpleNamespace(acquire_gym=lambda: None)
    gymutil = types.SimpleNamespace(parse_device_str=parse_device_str)
    stand_in = types.ModuleType("isaacgym")
    stand_in.gymapi, stand_in.gymutil = gymapi, gymutil
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "isaacgym", stand_in)
        exec(compile(source.read_text(), str(source), "exec"), names)
    physx = types.SimpleNamespace(max_gpu_contact_pairs=2**23)
    with pytest.raises(DeviceReachedError):
        names["BaseTask"](None, types.SimpleNamespace(physx=physx), None, "cuda:0", True)
    return physx.max_gpu_contact_pairs


@pytest.mark.skipif("MAPUSH_SRC" not in os.environ, reason="MAPUSH_SRC does not name a MAPush source tree")
def test_the_real_file_is_patched_and_reverted(tmp_path, monkeypatch):
    file = tmp_path / BASE_TASK
    file.parent.mkdir(parents=True)
    shutil.copy(str(Path(os.environ["MAPUSH_SRC"]) / BASE_TASK), str(file))
    change.change([], State.NOT_APPLIED, tmp_path)  # the tree may be in use, and patched
    published = file.read_bytes()
    assert published.splitlines()[43].strip() == b"self.sim_params.physx.max_gpu_contact_pairs *= 5"
    monkeypatch.delenv(VARIABLE, raising=False)
    assert contact_pairs(file) == 5 * 2**23
    change.change([], State.APPLIED, tmp_path)
    assert contact_pairs(file) == 2**23
    monkeypatch.setenv(VARIABLE, "3")
    assert contact_pairs(file) == 3 * 2**23
    monkeypatch.setenv(VARIABLE, "0")
    with pytest.raises(ValueError, match=VARIABLE):
        contact_pairs(file)
    change.change([], State.NOT_APPLIED, tmp_path)
    assert file.read_bytes() == published
