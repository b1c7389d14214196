"""A working copy of MAPush's source tree for the stand-in."""

import os
import shutil
from pathlib import Path

from mapush_stack.harness.patches import change
from mapush_stack.harness.patches.state import State

from . import walking


def make(folder, patched=True):
    """MAPush's code and files from MAPUSH_SRC under `folder`, with the stand-in's walking policy; returns `folder`."""
    source = Path(os.environ["MAPUSH_SRC"]).resolve()
    ignored = shutil.ignore_patterns("__pycache__", "*.jit", "*.pt")
    shutil.copytree(str(source / "mqe"), str(folder / "mqe"), ignore=ignored)
    (folder / "resources").symlink_to(source / "resources")
    policies = folder / "mqe" / "utils" / "locomotion_checkpoints" / "walk_these_ways"
    policies.mkdir(parents=True, exist_ok=True)
    walking.save(policies)
    change.change(["contact-pairs"], State.APPLIED if patched else State.NOT_APPLIED, folder)
    return folder
