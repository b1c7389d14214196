"""Reads the source of a program and lists what it uses of Isaac Gym that is refused or has no effect here.

Nothing is run. What a program sets by `setattr`, or under a name that does not show its type, is not seen; the run
itself refuses or lists that.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from ..errors import UserError
from . import types as gym_types
from .activation import MODULES
from .gym import Gym
from .support import IGNORED, Refused, UnsupportedError

_SIMULATION_CLASSES = {"sim": "SimParams", "physx": "PhysXParams"}
"""Classes of a program's configuration whose fields `gymutil.parse_sim_config` sets, and fields of SimParams."""
_PROPERTIES = ("RigidShapeProperties", "RigidBodyProperties")


class Use(NamedTuple):
    """Something that a program uses."""

    path: Path
    line: int
    name: str
    reason: str
    """Why it has no effect; empty if it is refused."""


def check(paths: Sequence[Path]) -> Tuple[int, List[Use], List[Use]]:
    """How many files were read, every use that is refused, and the first of each thing without effect.

    A program is followed into the modules that it imports from its folder and the current one.

    Raises:
        UserError: a path is not there, or a program is not Python.

    """
    refused: List[Use] = []
    without_effect: Dict[str, Use] = {}
    files = 0
    for path, tree in _sources(paths):
        files += 1
        reader = _Reader(path)
        reader.learn(tree)
        reader.visit(tree)
        refused += [use for use in reader.uses if not use.reason]
        for use in reader.uses:
            if use.reason:
                without_effect.setdefault(use.name, use)
    return files, refused, list(without_effect.values())


def _sources(paths: Sequence[Path]) -> Iterator[Tuple[Path, ast.Module]]:
    """Files and their syntax trees: all below a folder, or a program and what it imports."""
    waiting: List[Tuple[Path, Tuple[Path, ...]]] = []
    for path in paths:
        if path.is_dir():
            inside = [one for one in sorted(path.rglob("*.py")) if not any(p.startswith(".") for p in one.parts[1:])]
            if not inside:
                raise UserError(f"{path} has no Python file in it; name a program or its folder")
            waiting += [(one, ()) for one in inside]
        elif path.is_file():
            waiting.append((path, (path.parent, Path())))
        else:
            raise UserError(f"{path} is not there; name a program or its folder")
    seen: Set[Path] = set()
    while waiting:
        path, roots = waiting.pop(0)
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        try:
            tree = ast.parse(path.read_bytes(), str(path))
        except (SyntaxError, ValueError) as error:
            raise UserError(f"{path} is not Python that this version reads: {error}") from None
        waiting += [(one, roots) for one in _imported(tree, path, roots)]
        yield path, tree


def _imported(tree: ast.Module, path: Path, roots: Sequence[Path]) -> Iterator[Path]:
    """The files below `roots` that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names, folders = [alias.name for alias in node.names], roots
        elif isinstance(node, ast.ImportFrom):
            stem = f"{node.module}." if node.module else ""
            names = [stem + alias.name for alias in node.names] + [node.module or ""]
            folders = [path.parents[node.level - 1]] if node.level and roots else roots
        else:
            continue
        for folder in folders:
            for name in filter(None, names):
                place = folder.joinpath(*name.split("."))
                packages = [place, *place.parents][: len(name.split("."))]
                files = [place.with_suffix(".py"), *(package / "__init__.py" for package in packages)]
                yield from (file for file in files if file.is_file())


class _Reader(ast.NodeVisitor):
    """Collects a file's uses of Isaac Gym."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uses: List[Use] = []
        self._modules: Dict[str, Any] = {}
        self._kinds: Dict[str, str] = {}
        self._gyms, self._gym_fields = {"gym"}, {"gym", "_gym"}

    def learn(self, tree: ast.Module) -> None:
        """Find the names of modules, of `Gym` objects and of records, wherever they are assigned."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first, _, module = alias.name.partition(".")
                    if first == "isaacgym" and module in MODULES and alias.asname:
                        self._modules[alias.asname] = module
                    if "gym" in (alias.asname, alias.name):  # another package
                        self._gyms.discard("gym")
            elif isinstance(node, ast.ImportFrom) and node.module == "isaacgym":
                self._modules.update({one.asname or one.name: one.name for one in node.names if one.name in MODULES})
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                called = _last(node.value.func)
                for target, name in zip(node.targets, map(_last, node.targets)):
                    if called == "acquire_gym":
                        (self._gyms if isinstance(target, ast.Name) else self._gym_fields).add(name)
                    elif called in vars(gym_types):
                        self._kinds[name] = called
                    else:
                        properties = called.replace("_", "").lower()
                        self._kinds.update((name, kind) for kind in _PROPERTIES if kind.lower() in properties)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """`from isaacgym.MODULE import NAME` and `from isaacgym import MODULE`."""
        package, _, module = (node.module or "").partition(".")
        if node.module == "isaacgym":
            for alias in node.names:
                if alias.name not in (*MODULES, "*"):
                    self._add(node, f"isaacgym.{alias.name}", "")
        if package == "isaacgym" and module in MODULES:
            for alias in node.names:
                if alias.name != "*":
                    self._need(module, alias.name, node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """`gymapi.NAME` and `gym.NAME`."""
        self.generic_visit(node)
        holder = node.value
        if isinstance(holder, ast.Name) and holder.id in self._modules:
            self._need(self._modules[holder.id], node.attr, node)
        elif (isinstance(holder, ast.Name) and holder.id in self._gyms) or (
            isinstance(holder, ast.Attribute) and holder.attr in self._gym_fields
        ):
            if node.attr in IGNORED:
                self._add(node, node.attr, IGNORED[node.attr])
            elif not hasattr(Gym, node.attr):
                self._add(node, f"gym.{node.attr}", "")

    def visit_Assign(self, node: ast.Assign) -> None:
        """`record.field = value`."""
        self.generic_visit(node)
        for target in node.targets:
            self._set(target, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """`record.field *= value`."""
        self.generic_visit(node)
        self._set(node.target, None)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """The fields of a configuration's `class sim` and `class physx`."""
        self.generic_visit(node)
        kind = _SIMULATION_CLASSES.get(node.name)
        for line in node.body if kind else ():
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                self._field(line, str(kind), line.targets[0].id, line.value)

    def _set(self, target: ast.expr, value: Optional[ast.expr]) -> None:
        if not isinstance(target, ast.Attribute):
            return
        owner = _last(target.value)
        known = self._kinds.get(owner)
        kinds = [known or _SIMULATION_CLASSES.get(owner.replace("_params", ""))]
        if kinds == [None] and "prop" in owner:
            kinds = list(_PROPERTIES)
        for kind in filter(None, kinds):
            # An unknown `cfg.sim.name` is of the program's configuration, whose other names Isaac Gym does not read.
            if known and target.attr not in getattr(getattr(gym_types, kind), "FIELDS", {target.attr}):
                self._add(target, f"{kind}.{target.attr}", "")
            self._field(target, kind, target.attr, value)

    def _field(self, node: ast.AST, kind: str, name: str, value: Optional[ast.expr]) -> None:
        """Note a field without effect, unless it is set to what it is anyway."""
        key = f"{kind}.{name}"
        if key not in IGNORED:
            return
        try:
            same = value is not None and ast.literal_eval(value) == getattr(gym_types, kind).FIELDS[name]
        except (ValueError, TypeError):
            same = False
        if not same:
            self._add(node, key, IGNORED[key])

    def _need(self, module: str, name: str, node: ast.AST) -> None:
        """Note a name that the module does not have."""
        if name in IGNORED:
            self._add(node, name, IGNORED[name])
            return
        try:
            found = getattr(importlib.import_module(f"mapush_stack.gym_api.{module}"), name)
        except (AttributeError, UnsupportedError):
            found = Refused(name)
        if isinstance(found, Refused):
            self._add(node, f"{module}.{name}", "")

    def _add(self, node: ast.AST, name: str, reason: str) -> None:
        self.uses.append(Use(self.path, getattr(node, "lineno", 0), name, reason))


def _last(node: ast.AST) -> str:
    """The last name of `a.b.name`, `name`, `name[...]` or `name(...)`; empty for anything else."""
    while isinstance(node, (ast.Subscript, ast.Call)):
        node = node.value if isinstance(node, ast.Subscript) else node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
