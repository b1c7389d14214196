"""The exceptions that users see as one sentence."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import NoReturn, Optional

_MOST = 1500
"""Characters of a message; a hostile file may have names of any length."""
_REMEDIES = {
    errno.ENOSPC: "the disk is full, make room",
    errno.EDQUOT: "your quota is used up, make room",
    errno.EROFS: "it cannot be written, choose another place or have it mounted for writing",
    errno.EACCES: "get the right to write there",
    errno.EIO: "the disk or the network file system has failed, see the system's log",
    errno.ENOENT: "it was deleted or moved, put it back",
}


_NO_MEMORY = re.compile(r"out of memory|(?:can't|cannot|failed to|not enough memory to) allocate|bad_alloc", re.I)
"""In the messages of torch, CUDA and Warp about memory that ran out."""


class UserError(Exception):
    """A request that cannot be met; the message is one sentence that says what to do instead.

    The command line prints the message and exits with status 2. The error is raised before anything is written, or
    after all files are complete again.
    """

    def __init__(self, message: str) -> None:
        """Keep the message on one line, without characters that a terminal would obey."""
        line = "".join(one if one.isprintable() else "?" for one in " ".join(message.split()))
        super().__init__(line if len(line) <= _MOST else f"{line[: _MOST - 300]} ... {line[-300:]}")


class FaultError(Exception):
    """A fault of the machine, or a training that cannot go on: one sentence with what, where, and how to go on.

    The command line prints the message and exits with status 1.
    """

    def __init__(self, fault: str, advice: str = "") -> None:
        """The message is the fault, and after a semicolon the advice, if any."""
        super().__init__(f"{fault}; {advice}" if advice else fault)
        self.fault = fault


def of_safetensors(error: Exception, path: Path) -> OSError:
    """The error of the system in an error of safetensors, which only has its number in words."""
    found = re.search(r"(?:os error|code:) (\d+)", str(error))
    number = int(found[1]) if found else errno.EIO
    return OSError(number, os.strerror(number), str(path))


def refuse(error: OSError, what: str) -> NoReturn:
    """Raise an error of the system as a `UserError` that begins with `what`; as it is, if the disk is full or fails.

    For places that users choose.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        raise error
    raise UserError(f"{what}: {error.strerror or error}") from None


def of_fault(error: Exception) -> Optional[str]:
    """A fault of the machine in one sentence: what, where, and what to do; None for an error of the program."""
    if isinstance(error, FaultError):
        return str(error)
    if isinstance(error, OSError):
        return of_system(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
        said = (str(error) or type(error).__name__).splitlines()[0][:300].rstrip(".")
        return f"the memory ran out ({said}): end what else uses it, or use fewer environments or more minibatches"
    return None


def of_system(error: OSError) -> str:
    """An error of the system in words: the file, what is wrong, and what to do."""
    remedy = _REMEDIES.get(error.errno or 0, "")
    file = "" if error.filename is None else f"{error.filename}: "
    return f"{file}{error.strerror or ' '.join(map(str, error.args))}{remedy and f' ({remedy})'}"
