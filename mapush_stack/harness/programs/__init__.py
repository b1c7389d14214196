"""Training programs of any origin as commands: what starts them, what they print and write.

The YAML files in this folder are those that `--command NAME` knows; a file of the same form may be anywhere.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import yaml
from pydantic import Field, ValidationError

from ...errors import UserError
from ...registry import Registry
from ...settings import Settings, check_names

PROGRAMS: Registry[Path] = Registry("command")
"""Files of programs."""
for _path in sorted(Path(__file__).parent.glob("*.yaml")):
    PROGRAMS.register(_path.stem, _path)
HELP = f"A known command, or a YAML file of that form: {', '.join(PROGRAMS)}."
"""The help of `--command`."""


class Program(Settings):
    """A training program."""

    description: str = ""
    run: str
    """The command, read by no shell; {num_envs}, {steps} and {contact_pairs} stand for numbers."""
    source: str = ""
    """The environment variable that names the folder to run in."""
    folder: str = ""
    """The folder to run in; empty for the current one."""
    ready: str = ""
    """Regular expression of the line that says that it trains; empty: when a rate comes, or its memory settles."""
    rate: str = ""
    """Regular expression of lines with steps per second in a group, or a count in `(?P<steps>` or `(?P<updates>`."""
    update_steps: int = Field(default=1, gt=0)
    """Steps of every environment in an update, for `(?P<updates>N)`."""
    settle: float = Field(default=10.0, gt=0)
    """Seconds without growth after which memory has settled."""
    contact_pairs: bool = False
    """Whether it reads MAPUSH_CONTACT_PAIR_MULTIPLIER."""
    checkpoint: Optional[List[str]] = None
    """Patterns of its checkpoints' files, in its folder; None for usual endings; empty if a short run writes none."""
    num_envs: int = Field(default=4, gt=0)
    """Environments of a short run."""
    steps: int = Field(default=1000, gt=0)
    """Steps of a short run."""

    def words(self, num_envs: int, steps: int, contact_pairs: int = 1) -> List[str]:
        """The command with these numbers."""
        numbers = {"{num_envs}": num_envs, "{steps}": steps, "{contact_pairs}": contact_pairs}
        pattern = "|".join(map(re.escape, numbers))
        return [re.sub(pattern, lambda found: str(numbers[found[0]]), word) for word in shlex.split(self.run)]


def load(name: str, changes: Dict[str, Any]) -> Program:
    """The program of that name or YAML file; with an empty name only of `changes`, fields laid over it.

    Raises:
        UserError: there is none, a field is wrong, or its source tree is not there.

    """
    path, content = "", {}
    if name:
        path = str(Path(name) if name.endswith((".yaml", ".yml")) and Path(name).is_file() else PROGRAMS[name])
        content = _read(path)
    check_names(Program, content, path)
    try:
        program = Program(**{**content, **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{path or '--run'}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    _check(program)
    if not program.source:
        return program
    folder = os.environ.get(program.source, "")
    if not Path(folder).is_dir() or not folder:
        named = f"is {folder}, which is no folder" if folder else "is not set"
        raise UserError(
            f"--command {name} runs in its source tree, and {program.source} {named}; set it to that folder"
        )
    return program.model_copy(update={"folder": str(Path(folder).resolve())})


def _read(path: str) -> Dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping of fields to values")
    return content


def _check(program: Program) -> None:
    try:
        words: Sequence[str] = shlex.split(program.run)
    except ValueError as error:
        raise UserError(f"--run {program.run}: {error}") from None
    if not words:
        raise UserError("--run needs a command, such as --run 'python train.py --num_envs {num_envs}'")
    for option in ("ready", "rate"):
        try:
            groups = re.compile(getattr(program, option)).groups
        except re.error as error:
            raise UserError(f"--{option} {getattr(program, option)} is no regular expression: {error}") from None
        if option == "rate" and program.rate and not groups:
            raise UserError(f"--rate {program.rate} needs a group around the number, as in 'FPS: ([0-9.]+)'")
