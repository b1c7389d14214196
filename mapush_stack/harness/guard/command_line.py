"""Finds the Python program in a command line, also behind a console script's first line."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import zipfile
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

_INTERPRETER = re.compile(r"(python|pypy)(3[\d.]*t?)?")
_FLAGS = "bBdEIOPqRsSuv"
"""Python's options without a value."""
_VALUED = "WX"
"""Options with one, in the same word or the next."""
_FIRST_LINE_BYTES = 4096


class PythonProgram(NamedTuple):
    """A command that runs Python."""

    interpreter: List[str]
    """With its options."""
    kind: str
    """`file`, `archive` (a folder or zip file), `-m` or `-c`."""
    target: str
    arguments: List[str]


def find(command: Sequence[str]) -> Optional[PythonProgram]:
    """The Python program that a command runs; None if it is another program, or reads its code from elsewhere."""
    if _INTERPRETER.fullmatch(Path(command[0]).name):
        return _parse(command)
    path = shutil.which(command[0])
    words = _first_line(Path(path)) if path is not None else []
    if words and path is not None and _INTERPRETER.fullmatch(Path(words[0]).name):
        return _parse([*words, path, *command[1:]])
    return None


def _parse(command: Sequence[str]) -> Optional[PythonProgram]:
    interpreter, left = [command[0]], list(command[1:])
    while left and left[0].startswith("-"):
        word = left.pop(0)
        for position, letter in enumerate(word[1:], start=1):
            rest = word[position + 1 :]
            if letter in "cm" and (rest or left):
                options = [word[:position]] if position > 1 else []
                target = rest or left.pop(0)
                return PythonProgram([*interpreter, *options], f"-{letter}", target, left)
            if letter in _VALUED and (rest or left):
                interpreter += [word] if rest else [word, left.pop(0)]
                break
            if letter not in _FLAGS:  # asks for help, an interactive session, or what we do not know
                return None
        else:
            if word == "-":
                return None
            interpreter.append(word)
    if not left or not Path(left[0]).exists() or left[0].endswith(".pyc"):
        return None
    kind = "archive" if Path(left[0]).is_dir() or zipfile.is_zipfile(left[0]) else "file"
    return PythonProgram(interpreter, kind, left[0], left[1:])


def _first_line(path: Path) -> List[str]:
    """The words of a script's first line after `#!`; of the second where pip writes long paths there."""
    try:
        with path.open("rb") as file:
            first, second = (os.fsdecode(file.readline(_FIRST_LINE_BYTES)) for _ in range(2))
        if not first.startswith("#!"):
            return []
        if second.startswith("'''exec' "):
            return shlex.split(second[len("'''exec' ") :])[:1]
        words = first[2:].split(None, 1)
        if Path(words[0]).name == "env":
            words = shlex.split(words[1])
            return words[1:] if words[0] == "-S" else words
        return [word.strip() for word in words]
    except (OSError, ValueError, IndexError):
        return []
