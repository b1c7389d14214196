"""A module `simulator` whose library crashes when its process takes itself down, as Isaac Gym's does."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.cli.runner import ROOT, environment

KINDS = ["atexit", "destructor", "object", "thread"]
"""Where it crashes: an atexit handler, a static destructor, the destructor of a Python object, a thread."""
_MODULE = """
import ctypes, os

library = ctypes.CDLL({library!r})


class Simulation:
    def __del__(self, destroy=library.destroy):
        destroy()


if {kind!r} == "object":
    simulation = Simulation()
"""


def build(folder, kind):
    """Put `simulator.py` and its library into a folder."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler (cc) to build the library that crashes")
    library = folder / "libsimulator.so"
    source = str(ROOT / "tests/system/teardown.c")
    flags = ["-shared", "-fPIC", "-pthread", f"-DCRASH_IN_{kind.upper()}=1"]
    subprocess.run(["cc", *flags, "-o", str(library), source], check=True)
    (folder / "simulator.py").write_text(_MODULE.format(library=str(library), kind=kind))


def python(*arguments, path=(), **options):
    """Start Python with folders on its path."""
    variables = environment()
    del variables["PYTHONUNBUFFERED"]  # buffers are part of what is tested
    variables["PYTHONPATH"] = os.pathsep.join([*map(str, path), variables["PYTHONPATH"]])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, *map(str, arguments)], env=variables, text=True, **pipes)
