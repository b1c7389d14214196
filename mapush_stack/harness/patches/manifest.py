"""`patches/manifest.yaml`: the patches, the files and versions that they are for, and why they exist."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Dict, List, Literal, Optional, Sequence

from pydantic import Field, field_validator, model_validator

from ...errors import UserError
from ...registry import closest
from ...rules import load_rules
from ...settings import Settings
from .unified_diff import Hunk, parse

FOLDER = Path(__file__).resolve().parent / "files"
"""The manifest and the diffs."""
_SHA256 = r"^[0-9a-f]{64}$"


class PatchedFile(Settings):
    """A file: its path below site-packages or the root of the source tree, and its checksums."""

    path: str
    before: str = Field(pattern=_SHA256, description="sha256 as published by its authors")
    after: str = Field(pattern=_SHA256, description="sha256 with the patch")

    @field_validator("path")
    @classmethod
    def _stays_below(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{path} must be relative, without ..")
        return path


class Patch(Settings):
    """A diff of files of one version of a distribution; it is applied as a whole or not at all."""

    name: str
    distribution: Literal["openrl", "mapush"]
    version: Optional[str] = Field(default=None, description="of a distribution from the package index")
    commit: Optional[str] = Field(default=None, pattern=r"^[0-9a-f]{40}$", description="of a source tree")
    diff: str = Field(description="file of the unified diff, beside the manifest")
    reason: str
    symptom: str = Field(description="how to see that it is needed")
    files: List[PatchedFile] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Patch:
        if (self.version is None) == (self.commit is None):
            raise ValueError("give version or commit, one of them")
        return self

    @property
    def origin(self) -> str:
        """What it patches, such as `openrl 0.2.0` or `mapush at 0e61e1b`."""
        return f"{self.distribution} {self.version or 'at ' + str(self.commit)[:7]}"

    @property
    def packages(self) -> List[str]:
        """The top-level packages of its files."""
        return sorted({PurePosixPath(file.path).parts[0] for file in self.files})

    def hunks(self) -> Dict[str, List[Hunk]]:
        """The hunks of the diff by file.

        Raises:
            UserError: the diff is missing or damaged, or has other files than the manifest.

        """
        path = FOLDER / self.diff
        try:
            hunks = parse(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}; install mapush_stack again") from None
        if sorted(hunks) != sorted(file.path for file in self.files):
            raise UserError(f"{path} is over other files than the manifest says; install mapush_stack again")
        return hunks


class _Manifest(Settings):
    patches: List[Patch] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> _Manifest:
        # A checksum is that of a whole file, so that no file can be in two patches.
        names = [patch.name for patch in self.patches]
        files = [f"{patch.distribution}: {file.path}" for patch in self.patches for file in patch.files]
        for kind, values in (("name", names), ("file", files)):
            if len(set(values)) < len(values):
                raise ValueError(f"a {kind} occurs twice in {values}")
        return self


def load() -> List[Patch]:
    """All patches.

    Raises:
        UserError: the manifest is missing or damaged.

    """
    return load_rules(FOLDER / "manifest.yaml", _Manifest, "a manifest of patches").patches


def select(names: Sequence[str]) -> List[Patch]:
    """The named patches in the order of the manifest; without names all of them.

    Raises:
        UserError: there is no patch of that name.

    """
    patches = load()
    known = [patch.name for patch in patches]
    for name in names:
        if name not in known:
            raise UserError(f"there is no patch called {name}; {closest(name, known)}")
    return [patch for patch in patches if not names or patch.name in names]
