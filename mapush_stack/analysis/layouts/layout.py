"""A run as its folder describes it, before its logs are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ..events import Series
from ..text_logs import TextLog

NATIVE = ("mapush", "harl", "openrl")
"""Programs whose runs have a description of their own here."""
TextSource = Callable[[Dict[str, Series]], TextLog]
"""Reads a text log, given the series of the event files."""


@dataclass(frozen=True)
class Layout:
    """What is known about a run without reading its logs."""

    path: Path
    library: str
    """The program that wrote it; "tensorboard" if it is not known."""
    name: str
    task: Optional[str] = None
    algorithm: Optional[str] = None
    seed: Optional[int] = None
    robots: Optional[int] = None
    config: Dict[str, Any] = field(default_factory=dict)
    """Nested plain JSON, empty if there is none."""
    manifest: Dict[str, Any] = field(default_factory=dict)
    """Machine and software of the run; empty if they are not known."""
    total_steps: Optional[int] = None
    """Configured environment steps; None if they are not known."""
    event_files: Dict[Path, List[Path]] = field(default_factory=dict)
    """Event files by the folder that they are in."""
    text_logs: List[TextSource] = field(default_factory=list)
    checkpoints: List[Tuple[int, Path]] = field(default_factory=list)
    """(environment steps, path), in the order of their steps."""
    problems: List[str] = field(default_factory=list)
    """Sentences about what could not be read."""

    @property
    def named_by_folders(self) -> bool:
        """True if the names of its folders, and no configuration that we know, tell its experiment."""
        return self.foreign or (self.library == "harl" and not self.config)

    @property
    def foreign(self) -> bool:
        """True for a run of any program but those of `NATIVE`."""
        return self.library not in NATIVE


class Program(NamedTuple):
    """A program that trains, and how its runs are recognised and described."""

    library: str
    wrote: Callable[[Layout], bool]
    """True if the program wrote the folder; files, `config` and `manifest` are already read."""
    describe: Callable[[Layout], Layout]
    """Adds task, algorithm, seed and so on."""
