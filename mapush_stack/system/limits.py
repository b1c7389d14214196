"""Reads files that anybody may have made: regular files only, of bounded size, depth and count.

Every reader of the package goes through here, so that a damaged or hostile file costs little time and memory and ends
in one sentence. Functions that are given a path raise `UserError`; those that are given a text raise `ValueError`.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import yaml

from ..errors import UserError

MOST_BYTES = 64 * 2**20
"""Of a file that is read as a whole, and of what an archive unpacks to."""
MOST_JSON, _MOST_YAML = 8 * 2**20, 2**16
"""Bytes; PyYAML reads 0.1 MiB a second."""
_DEEPEST = 100
"""Levels of nested lists and mappings; Python's own limit is near 1,000 calls."""
_MOST_VALUES = 2_000_000
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", re.ASCII)
_LONGEST_NUMBER = 40
"""Characters of a whole number; the time to read one grows as the square of its length."""
_MOST_DIRECTORY = 2**20
"""Bytes of a zip archive's list of files."""
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: True, "a device"),
)


def open_file(path: Path, most: int) -> io.BufferedReader:
    """A regular file of at most `most` bytes, opened for reading."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            kind = next(name for is_kind, name in _KINDS if is_kind(status.st_mode))
            raise UserError(f"{path} cannot be read: it is {kind}, not a file; give a regular file")
        if status.st_size > most:
            raise UserError(f"{path} cannot be read: {_too_large(status.st_size, most)}")
        # What is no pipe now may be one in an instant: reading a pipe would wait for ever.
        return open(str(path), "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give a file that does") from None
    except (OSError, ValueError) as error:  # a name with a NUL in it is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read: {reason}; check its permissions and its path") from None


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most `most` bytes."""
    with open_file(path, most) as file:
        try:
            content = file.read(most + 1)  # files under /proc have more than they say
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}; check the disk") from None
    if len(content) > most:
        raise UserError(f"{path} cannot be read: {_too_large(len(content), most)}")
    return content


def read_head(path: Path, size: int) -> bytes:
    """The first `size` bytes of a regular file of any size."""
    with open_file(path, 2**62) as file:
        return file.read(size)


def read_tail(path: Path, size: int) -> bytes:
    """The last `size` bytes of a regular file of any size."""
    with open_file(path, 2**62) as file:
        file.seek(max(file.seek(0, os.SEEK_END) - size, 0))
        return file.read(size)


def read_text(path: Path, most: int = MOST_BYTES, errors: str = "strict") -> str:
    """The text of a UTF-8 file of at most `most` bytes; `errors` as `bytes.decode` takes it."""
    try:
        return read_bytes(path, most).decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} cannot be read: byte {error.start:,} is not UTF-8 text; save it as UTF-8") from None


def _too_large(size: int, most: int) -> str:
    return f"it has {size:,} bytes, and at most {most:,} are read; is it the right file?"


def check_plain(content: Any) -> None:
    """Raise `ValueError` for plain data that is too deep or too large, as data that contains itself is."""
    level, count, depth = [content], 1, 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")
        inner: List[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, (list, tuple)):
                inner += one
            elif isinstance(one, int) and not -(2**63) <= one < 2**64:
                raise ValueError("it holds a whole number of more than 64 bits")
            if count + len(inner) > _MOST_VALUES:
                raise ValueError(f"it holds more than {_MOST_VALUES:,} values")
        level, count = inner, count + len(inner)


def parse_json(text: str) -> Any:
    """The content of a JSON text; raises `ValueError`."""
    try:
        content = json.loads(text, object_pairs_hook=_mapping, parse_int=_whole)
    except RecursionError:
        raise ValueError(f"it is nested more than {_DEEPEST} deep") from None
    check_plain(content)
    return content


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return _parsed(path, MOST_JSON, parse_json, "JSON")


def _parsed(path: Path, most: int, parse: Callable[[str], Any], language: str) -> Any:
    text = read_text(path, most)
    try:
        return parse(text)
    except ValueError as error:
        raise UserError(f"{path} cannot be read as {language}: {error}; mend it, or restore a copy") from None


def _mapping(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{shown(next(name for name in names if names.count(name) > 1))} is there twice")
    return found


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"{shown(text)} is a number of {len(text):,} digits")
    return int(text)


class _Loader(yaml.SafeLoader):
    """YAML's plain types alone: no dates, merged mappings or objects; keys are text, each there once."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Check the keys of a mapping, where PyYAML would merge others into it."""
        met = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise ValueError(f"a key in line {line} is not text; put it in quotes")
            if key.value in met:
                raise ValueError(f"{shown(key.value)} is there twice, again in line {line}")
            met.add(key.value)

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 - PyYAML's name
        """Go into a bracket, unless it is too deep: PyYAML's time grows as the square of the depth."""
        if self.flow_level >= _DEEPEST:
            raise RecursionError
        super().fetch_flow_collection_start(TokenClass)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number that is not too long."""
        if len(node.value) > _LONGEST_NUMBER:
            raise ValueError(f"{shown(node.value)} is a number of {len(node.value):,} digits")
        return int(super().construct_yaml_int(node))


_TAGS = [f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")]
_Loader.yaml_constructors = {tag: yaml.SafeLoader.yaml_constructors[tag] for tag in [*_TAGS, None]}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag in _TAGS]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str) -> Any:
    """The content of a YAML text; raises `ValueError`."""
    if len(text) > _MOST_YAML:
        raise ValueError(f"it has {len(text):,} characters, and at most {_MOST_YAML:,} are read")
    try:
        content = yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise ValueError(f"it is nested more than {_DEEPEST} deep") from None
    except yaml.MarkedYAMLError as error:
        where = "" if error.problem_mark is None else f" (line {error.problem_mark.line + 1})"
        raise ValueError(f"{error.problem}{where}") from None
    except (yaml.YAMLError, LookupError) as error:
        raise ValueError(str(error)) from None
    check_plain(content)
    return content


def parse_settings(text: str) -> Any:
    """The content of a YAML text, with the numbers that YAML 1.1 reads as text, 1e-3 and 5e6; raises `ValueError`."""
    return _with_numbers(parse_yaml(text))


def _with_numbers(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _with_numbers(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_with_numbers(value) for value in content]
    if isinstance(content, str) and _EXPONENT.fullmatch(content):
        content = float(content)
    if isinstance(content, float) and content.is_integer() and abs(content) < 2**53:
        return int(content)
    return content


def read_yaml(path: Path) -> Any:
    """The settings in a YAML file."""
    return _parsed(path, _MOST_YAML, parse_settings, "YAML")


def read_zip(path: Path, meant: str) -> Dict[str, bytes]:
    """The files in a zip archive by name; `meant` says in messages what it should hold, such as "arrays"."""
    file = io.BytesIO(read_bytes(path))
    try:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if end and end[zipfile._ECD_SIZE] > _MOST_DIRECTORY:  # type: ignore[attr-defined]
            raise ValueError("it holds too many files")
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise ValueError(f"it unpacks to more than {MOST_BYTES >> 20} MiB")
            return {name: archive.read(name) for name in archive.namelist()}
    except Exception as error:  # whatever a damaged archive makes zipfile and zlib raise
        reason = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {shown(str(error))}"
        raise UserError(f"{path} cannot be read as {meant}: {reason}; give another copy of the file") from None


def shown(value: Any) -> str:
    """A value in a message: on one line, and cut if it is long."""
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= 60 else text[:57] + "..."
