"""`mapush`: its commands, and how errors are printed."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import List, Optional, Tuple

import click

from .. import __version__, plugins
from ..errors import UserError, of_fault
from ..sim import isaacgym_import
from ..system import streams

_VERBS = {
    "train": "Train a team.",
    "sweep": "Train and evaluate many teams, over seeds and presets.",
    "evaluate": "Evaluate a policy, or every checkpoint of a run.",
    "bench": "Measure a team on a suite of tasks.",
    "play": "Watch a policy, or record it.",
    "export": "Write a policy as ONNX graphs that run without this package.",
    "deploy": "Try the control loop for robots against the simulator.",
    "convert": "Write a policy of OpenRL as plain arrays.",
    "pretrained": "List the policies that come with the project, or show one.",
    "runs": "List runs, and how far each is.",
    "watch": "Watch a run in the terminal.",
    "compare": "Compare runs: settings, curves, milestones, significance.",
    "diagnose": "Say what is wrong with a run, by its logs.",
    "reproduce": "Repeat a run, and say what differs.",
    "walk": "Train or test the walking policy of a legged robot.",
    "vram-probe": "Measure how many environments fit into memory, and what each costs.",
    "gym": "Run programs that were written for Isaac Gym over MuJoCo.",
    "guard": "Run any program so that it ends cleanly, with its true exit code.",
    "triage": "Say what happened to a run that crashed.",
    "smoke": "Test that everything works on this machine.",
    "doctor": "Check the machine and the environment.",
    "patches": "List, apply, verify or revert the edits that other programs' files need.",
    "presets": "List presets, parts and objects, or show one.",
}
_LASTING = ("train", "sweep", "evaluate", "bench", "play", "reproduce", "walk", "vram-probe", "smoke")
"""Commands that do their work to the end when nobody reads what they print any more."""

_OTHERS_PROGRAMS = {"guard", "gym", "smoke", "triage", "vram-probe"}
"""Commands that run other programs, whose environment variables they leave as they are."""


def _load_plugins(context: click.Context, option: click.Parameter, names: Tuple[str, ...]) -> None:
    for name in names:
        plugins.load(name)


_PLUGIN = click.Option(
    ["--plugin"],
    multiple=True,
    is_eager=True,  # other options may use the names that it registers
    expose_value=False,
    callback=_load_plugins,
    help="Python file or module that adds reward terms, robots, learners ...; repeatable (docs/extend.md).",
)
"""An option of every command."""


class _Verbs(click.Group):
    """Commands that are imported when used, so that `mapush --help` does not load torch."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, name: str) -> Optional[click.Command]:
        if name not in _VERBS:
            return None
        if name not in _OTHERS_PROGRAMS:
            # By default OpenMP's threads wait in busy loops, which slow the physics threads and other programs.
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        command: click.Command = importlib.import_module(f"mapush_stack.cli.{name.replace('-', '_')}").command
        if _PLUGIN not in command.params:
            command.params.append(_PLUGIN)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mapush")
@click.pass_context
def cli(context: click.Context) -> None:
    """Teams of robots learn to push an object to a goal."""
    if context.invoked_subcommand in _LASTING:
        streams.keep_going()
    plugins.load_installed()


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the command line; returns the exit code.

    0: done; 1: a fault of the machine; 2: a request that cannot be met; 129, 130 or 143: a signal; others are
    documented by their commands.
    """
    try:
        isaacgym_import.import_first()
        result = cli.main(args=arguments, prog_name="mapush", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except isaacgym_import.TorchFirstError as error:
        if arguments is None:
            isaacgym_import.start_again()
        return _tell(str(error), 2)
    except UserError as error:
        return _tell(str(error), 2)
    except click.ClickException as error:
        return _tell(_with_hint(error), 2)
    except click.Abort:
        return 130
    except BrokenPipeError:
        # The program that reads the output, such as head, has ended.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        told = of_fault(error)
        if told is None:
            raise
        return _tell(told, 1)


def _tell(message: str, code: int) -> int:
    """Print a message, unless it is empty, on one line of standard error; returns the exit code."""
    with contextlib.suppress(OSError):
        if message:
            print(f"mapush: {' '.join(message.split())}", file=sys.stderr)
    return code


def _with_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return error.format_message()
    return f"{error.format_message().rstrip('.')}; see {context.command_path} --help"
