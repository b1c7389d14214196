"""`mapush gym`: runs programs of Isaac Gym over MuJoCo, and says before what of them is not supported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, Sequence, Tuple

import click

from ..errors import UserError
from ..gym_api import activation
from ..harness.guard import command_line
from ..system import gpu
from . import gym_walker
from .console import make_console, say

_FIND = (
    "import sys, json; from importlib.util import find_spec; s = find_spec('isaacgym'); "
    "print(json.dumps(dict(real=s and s.origin, deaf=bool(sys.flags.ignore_environment), "
    "lacks=[n for n in ('mapush_stack', 'mujoco', 'torch') if find_spec(n) is None])))"
)
"""What is asked of a program's Python: where Isaac Gym is, and which packages it lacks."""
_ENGINE = click.option(
    "--engine",
    type=click.Choice(list(activation.ENGINES)),
    default="mujoco",
    show_default=True,
    help="Where the physics runs: mujoco on the CPU, warp (MuJoCo Warp) on the GPU.",
)


@click.group(name="gym")
def command() -> None:
    """Programs that were written for Isaac Gym, unedited, over MuJoCo (docs/gym_api.md)."""


for _walker in (gym_walker.write, gym_walker.train, gym_walker.test):
    command.add_command(_walker)


@command.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_ENGINE
@click.argument("program", nargs=-1, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGUMENT]...")
def run(engine: str, program: Tuple[str, ...]) -> None:
    """Run a program with `isaacgym` over MuJoCo, in place of this process.

    Its signals and its exit code are its own. With --engine mujoco the GPU is hidden from it.
    """
    if not program:
        raise UserError("mapush gym run needs a program, as in: mapush gym run -- python train.py --num_envs 64")
    found = command_line.find(program)
    if found is not None:
        _check_python(found.interpreter)
    if engine == "mujoco" and os.environ.get("CUDA_VISIBLE_DEVICES") != "" and gpu.look().gpus:
        print(
            "mapush: the physics runs on the CPU, so the GPU is hidden from the program; --engine warp uses it",
            file=sys.stderr,
        )
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(program[0], list(program), environment(engine))
    except OSError as error:
        raise UserError(f"{program[0]} cannot be run: {error.strerror or error}") from None


def environment(engine: str) -> Dict[str, str]:
    """The environment variables of a program that imports `isaacgym` over that engine."""
    folders = [activation.NAMES, *filter(None, [os.environ.get("PYTHONPATH")])]
    changes = {activation.VARIABLE: engine, "PYTHONPATH": os.pathsep.join(folders)}
    if engine == "mujoco":  # else a program would have half of its tensors on the GPU
        changes["CUDA_VISIBLE_DEVICES"] = ""
    # As in cli/main.py: idle threads of torch would take the cores of MuJoCo's.
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **changes}


def _check_python(interpreter: Sequence[str]) -> None:
    """Refuse a Python that lacks something, or that has NVIDIA's Isaac Gym."""
    try:
        done = subprocess.run([*interpreter, "-c", _FIND], capture_output=True, text=True, check=True)
        facts = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError) as error:
        raise UserError(f"{interpreter[0]} is no Python that works: {error}") from None
    if facts["real"] and not facts["real"].startswith(activation.NAMES):  # else this is run by mapush gym run
        raise UserError(
            f"{interpreter[0]} has NVIDIA's Isaac Gym ({facts['real']}), which mapush gym does not stand in for; start "
            "the program without mapush gym run, or with another Python"
        )
    if facts["lacks"]:
        raise UserError(
            f"{interpreter[0]} lacks {' and '.join(facts['lacks'])}: install mapush_stack[mujoco] into it (Python 3.11 "
            "or later), or start the program with the Python that has it"
        )
    if facts["deaf"]:
        raise UserError(
            f"{' '.join(interpreter)} ignores PYTHONPATH, by which it would find isaacgym; leave -E and -I out"
        )


@command.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="PROGRAM_OR_FOLDER...")
def check(paths: Tuple[Path, ...]) -> int:
    """Read programs, and list what of Isaac Gym in them is not supported or has no effect; runs nothing.

    Exit code 0: nothing is refused; 1: something is.
    """
    if not paths:
        raise UserError("mapush gym check needs a program or its folder, as in: mapush gym check train.py")
    from ..gym_api import program_check
    from ..gym_api.support import INSTEAD

    files, refused, ignored = program_check.check(paths)
    console = make_console()
    for use in refused:
        instead = f": {INSTEAD[use.name]}" if use.name in INSTEAD else ""
        say(console, f"{use.path}:{use.line}: {use.name} is not supported{instead}")
    for use in ignored:
        say(console, f"{use.path}:{use.line}: {use.name} has no effect: {use.reason}")
    say(console, f"{files} files read: {len(refused)} uses refused, {len(ignored)} settings and calls without effect")
    return 1 if refused else 0


@command.command()
@_ENGINE
def test(engine: str) -> int:
    """Run a small scene of robots and boxes, half a minute, and say what works; exit code 1 if something does not."""
    _check_python([sys.executable])
    words = [sys.executable, "-m", "mapush_stack.gym_api.self_test"]
    return subprocess.run(words, env=environment(engine)).returncode
