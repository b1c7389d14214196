#!/usr/bin/env python3
"""Check that NVIDIA's Isaac Gym package is there, is Preview 4, and has not changed since the first check.

`python3 env/isaacgym/check.py` records the file's SHA-256 beside it, in the format of `sha256sum`; later another file
is refused. `--recorded` refuses a package without a record: the build of the image, which cannot write here, uses it.
"""

import argparse
import gzip
import hashlib
import posixpath
import re
import sys
import tarfile
import zlib
from pathlib import Path

NAME = "IsaacGym_Preview_4_Package.tar.gz"
VERSIONS = {"1.0.preview4", "1.0rc4"}
"""The version in its setup.py, and the same as pip writes it (PEP 440)."""
SETUP = "isaacgym/python/setup.py"
NEEDED = (SETUP, "isaacgym/python/isaacgym/gymapi.py", "isaacgym/python/isaacgym/_bindings/linux-x86_64/gym_38.so")


class PackageError(Exception):
    """The package cannot be used; the message says why and what to do."""


def check(folder: Path, must_be_recorded: bool) -> str:
    """Check the package in `folder` and record its checksum; returns the result in one sentence.

    Raises:
        PackageError: it is absent, damaged, of another version, or not the recorded file.

    """
    package, record = folder / NAME, folder / f"{NAME}.sha256"
    if not package.is_file():
        others = sorted(path.name for path in folder.iterdir() if "gym" in path.name.lower() and path != record)
        found = f" There is {others[0]!r}: if that is the package, rename it." if others else ""
        raise PackageError(
            f"{NAME} is not there: download Isaac Gym Preview 4 from https://developer.nvidia.com/isaac-gym "
            f"and put it into env/isaacgym/.{found}"
        )
    with package.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            raise PackageError(
                f"{NAME} is not a gzip file, perhaps a page that was saved in its place: download it again."
            )
    digest = sha256(package)
    if record.is_file():
        words = record.read_text(errors="replace").split()
        recorded = words[0].lower() if words else "nothing"
        if recorded != digest:
            raise PackageError(
                f"{NAME} has SHA-256 {digest}, but {recorded} was recorded: restore the first file, "
                f"or delete env/isaacgym/{record.name} if the new one is meant."
            )
    elif must_be_recorded:
        raise PackageError(
            f"no checksum of {NAME} is recorded: run `python3 env/isaacgym/check.py` once and build again."
        )
    look_inside(package)
    if not record.is_file():
        record.write_text(f"{digest}  {NAME}\n")
        return f"{NAME} is Isaac Gym Preview 4; its SHA-256 {digest} is recorded in {record}."
    return f"{NAME} is Isaac Gym Preview 4 and the recorded file."


def sha256(path: Path) -> str:
    """A file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def look_inside(package: Path) -> None:
    """Read the archive to its end and look for files and version.

    Raises:
        PackageError: it is damaged, lacks a file that Python 3.8 needs, or holds another version.

    """
    missing, setup = set(NEEDED), ""
    try:
        with gzip.open(package) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = posixpath.normpath(member.name)
                if member.isfile():
                    missing.discard(name)
                    if name == SETUP:
                        setup = archive.extractfile(member).read(1 << 16).decode(errors="replace")
            while stream.read(1 << 20):  # tarfile stops before gzip's own checksum
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise PackageError(f"{NAME} is damaged ({error}): download it again.") from None
    if missing:
        raise PackageError(f"{NAME} holds no {min(missing)}: download it again.")
    found = re.search(r"version\s*=\s*['\"]([^'\"]+)", setup)
    version = found.group(1) if found else "nothing"
    if version not in VERSIONS:
        raise PackageError(f"{NAME} holds Isaac Gym {version}, not Preview 4 (1.0rc4): download that one.")


def main() -> int:
    """Run the command line; 0 if the package is in order, 2 if not."""
    parser = argparse.ArgumentParser(description="Check NVIDIA's Isaac Gym package and record its checksum.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).resolve().parent)
    parser.add_argument("--recorded", action="store_true", help="refuse a package whose checksum is not recorded")
    arguments = parser.parse_args()
    try:
        print(check(arguments.folder, arguments.recorded))
    except (PackageError, OSError) as error:
        print(f"Isaac Gym: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
