"""`patches/manifest.yaml`: which patches there are, for which files of which distribution, and why."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Dict, List, Literal, Optional, Sequence

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ...errors import UserError
from ...registry import closest
from .unified_diff import Hunk, parse

FOLDER = Path(__file__).resolve().parent / "files"
"""The manifest and the diffs."""
_SHA256 = r"^[0-9a-f]{64}$"


class _Entry(BaseModel):
    """Unknown names are errors, values are fixed once checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PatchedFile(_Entry):
    """A file by its path below site-packages or the source tree's root, and its bytes' checksums."""

    path: str
    before: str = Field(pattern=_SHA256, description="sha256 as its authors published it")
    after: str = Field(pattern=_SHA256, description="sha256 with the patch")

    @field_validator("path")
    @classmethod
    def _stays_below(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{path} must be relative, without ..")
        return path


class Patch(_Entry):
    """One edit: a diff over some files of one version of a distribution, applied whole or not at all."""

    name: str
    distribution: Literal["openrl", "mapush"]
    version: Optional[str] = Field(default=None, description="of a distribution from the package index")
    commit: Optional[str] = Field(default=None, pattern=r"^[0-9a-f]{40}$", description="of a source tree")
    diff: str = Field(description="unified diff, beside the manifest")
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
        """What it is a patch of, as people write it: `openrl 0.2.0`, `mapush at 0e61e1b`."""
        return f"{self.distribution} {self.version or 'at ' + str(self.commit)[:7]}"

    @property
    def packages(self) -> List[str]:
        """The top-level packages that its files are in."""
        return sorted({PurePosixPath(file.path).parts[0] for file in self.files})

    def hunks(self) -> Dict[str, List[Hunk]]:
        """The diff's hunks by file.

        Raises:
            UserError: the diff is missing or damaged, or is over other files than the manifest says.

        """
        path = FOLDER / self.diff
        try:
            hunks = parse(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}; install mapush_stack again") from None
        if sorted(hunks) != sorted(file.path for file in self.files):
            raise UserError(f"{path} is over other files than the manifest says; install mapush_stack again")
        return hunks


class _Manifest(_Entry):
    patches: List[Patch] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> _Manifest:
        # A checksum stands for a whole file: two patches of one file would need one for each combination.
        files = [(patch.distribution, file.path) for patch in self.patches for file in patch.files]
        for kind, values in (("name", [patch.name for patch in self.patches]), ("file", files)):
            if len(set(values)) < len(values):
                raise ValueError(f"a {kind} occurs twice in {values}")
        return self


def load() -> List[Patch]:
    """Every patch.

    Raises:
        UserError: the manifest is missing or damaged.

    """
    path = FOLDER / "manifest.yaml"
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        # Strict JSON mode takes each value for what it is, and nothing for something else.
        return _Manifest.model_validate_json(json.dumps(plain), strict=True).patches
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        reason = str(error)
    raise UserError(f"{path} is not a manifest of patches: {reason}; install mapush_stack again")


def select(names: Sequence[str]) -> List[Patch]:
    """Patches by name, in the manifest's order; all of them for no names.

    Raises:
        UserError: there is none of a name.

    """
    patches = load()
    known = [patch.name for patch in patches]
    for name in names:
        if name not in known:
            raise UserError(f"there is no patch called {name}; {closest(name, known)}")
    return [patch for patch in patches if not names or patch.name in names]
