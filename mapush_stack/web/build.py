"""The folder of the demo: page, libraries from npm, and teams."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Callable, Dict, List

from ..errors import UserError, refuse
from ..evaluation import policies
from ..evaluation.policies import Candidate
from ..export import folder as exported
from ..export import onnx_file
from ..system import closing
from ..system.atomic import new_directory, write_json
from . import team

PAGE = Path(__file__).with_name("page")
_LIBRARIES = {
    "@mujoco/mujoco": ["mujoco.js", "mujoco.wasm"],
    "onnxruntime-web": ["dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"],
    "three": ["build/three.module.js", "build/three.core.js", "examples/jsm/controls/OrbitControls.js"],
}
"""Files of npm's packages; they go into `lib/`."""


def build(out: Path, teams: Dict[str, Candidate], tell: Callable[[str], None]) -> None:
    """Write the demo with these teams by name; the folder appears when all is in it.

    Raises:
        UserError: the folder is not empty or cannot be made, npm or a package is missing, or a team cannot be shown.

    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} exists already; choose another folder, or delete it")
    for candidate in teams.values():
        team.check(candidate)
    onnx_file.require_onnx()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with new_directory(out) as temporary:
            for file in PAGE.iterdir():
                if file.suffix in (".html", ".js", ".css", ".txt"):
                    shutil.copyfile(file, temporary / file.name)
            _libraries(temporary / "lib")
            tell("libraries: " + ", ".join(_LIBRARIES))
            for name, candidate in teams.items():
                _team(temporary / "teams" / name, candidate)
                tell(f"team: {name}")
            write_json(temporary / "teams.json", {name: team.label(candidate) for name, candidate in teams.items()})
    except OSError as error:
        refuse(error, f"{out} cannot be written")


def _team(folder: Path, candidate: Candidate) -> None:
    env = policies.environment(candidate, team.STARTS, candidate.config.evaluation.seed)
    with closing.ensured("the simulation", env.close):
        exported.write(folder, *exported.of_team(candidate, env, policies.policy(candidate, env)))
        scene, facts = team.files(candidate, env)
    (folder / "scene.xml").write_text(scene, encoding="utf-8")
    (folder / "team.json").write_text(facts, encoding="utf-8")
    (folder / exported.RUNNER.name).unlink()


def _libraries(target: Path) -> None:
    """Copy the JavaScript libraries that package-lock.json names; npm checks their hashes.

    Raises:
        UserError: npm is missing or fails.

    """
    npm = shutil.which("npm")
    if npm is None:
        raise UserError("the demo needs npm to fetch its JavaScript libraries: install Node.js")
    target.mkdir()
    with tempfile.TemporaryDirectory() as place:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(PAGE / name, Path(place) / name)
        fetch = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(fetch, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            last = (done.stdout.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"npm could not fetch the libraries of the demo: {last}; it needs the network once")
        versions: List[Dict[str, str]] = []
        for package, names in _LIBRARIES.items():
            root = Path(place) / "node_modules" / package
            for name in names:
                shutil.copyfile(root / name, target / Path(name).name)
            versions.append({key: json.loads((root / "package.json").read_text())[key] for key in ("name", "version")})
        write_json(target / "versions.json", versions)
