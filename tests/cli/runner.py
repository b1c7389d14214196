"""Running `mapush` as its users do: as a process of its own."""

import functools
import os
import subprocess
import sys
from pathlib import Path

from tests.cli.forkserver import ForkServer
from tests.conftest import SMALL, STARTED

ROOT = Path(__file__).resolve().parents[2]
_AT_START = ("PYTHONPATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "MUJOCO_GL", "HOME", "PATH")
"""Variables that count when a process starts or imports: where a test changes one, it gets a fresh process."""


def environment():
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return dict(os.environ, PYTHONPATH=path, PYTHONUNBUFFERED="1", OMP_NUM_THREADS="1")


def start(*arguments, cwd=None, **options):
    """`mapush ARGUMENTS` as a running process."""
    command = [sys.executable, "-m", "mapush_stack", *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment(), **options}
    STARTED.append(subprocess.Popen(command, cwd=cwd, text=True, **options))
    return STARTED[-1]


_PLAIN = environment()
"""As it is before any test changes it."""


@functools.lru_cache(maxsize=None)
def _server():
    return ForkServer(_PLAIN)


def mapush(*arguments, cwd=None, code=0, **variables):
    """Run `mapush ARGUMENTS` to its end; returns (stdout, stderr) and checks the exit code.

    `variables` are added to the environment of its process.
    """
    now, server = {**environment(), **variables}, _server()
    if any(now.get(name) != server.environment.get(name) for name in _AT_START):
        process = start(*arguments, cwd=cwd, env=now)
        out, err = process.communicate(timeout=240)
        returned = process.returncode
    else:
        returned, out, err = server.run([*map(str, arguments)], str(cwd or Path.cwd()), now, 240)
    assert returned in (code if isinstance(code, tuple) else (code,)), (returned, out, err)
    assert "Traceback" not in err
    return out, err


def program(text, *path, cwd=None, **variables):
    """Run a Python program, which finds modules in the folders `path` first; returns what it prints.

    Everything that `mapush` needs has been imported before it begins.
    """
    text = f"import sys; sys.path[:0] = {[*map(str, path)]}\n{text}"
    now = {**environment(), **variables}
    code, out, err = _server().run([], str(cwd or Path.cwd()), now, 240, text)
    assert code == 0, err
    return out


SHORT = [*SMALL, "task.episode_seconds=2.0"]
"""`SMALL` with short episodes, so that evaluations are short too."""


def train_small(results, *arguments, code=0):
    """Train three quick updates under `results`; returns (stdout, run directory)."""
    out, _ = mapush("train", "--results", results, *SHORT, *arguments, code=code)
    return out, the_run(results)


def the_run(results):
    """The only run under `results`."""
    runs = [path.parent for path in Path(results).glob("mapush/*/*/*/seed-*/config.json")]
    assert len(runs) == 1, runs
    return runs[0]


def bytes_of(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}
