"""A distribution that is called openrl 0.2.0 and is none, two patches of it, and `mapush patches` on them.

The shipped patches are for files that are not ours to ship; these are for three files of a few lines.
"""

import difflib
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
OLD = {
    "openrl/a.py": "import b\n" + "# filler\n" * 9 + "A = 5\n",
    "openrl/b.py": "# caf\u00e9\r\nimport a\nB = 1\nEND = 2",
    "openrl/deep/c.py": "C = 'old'\n",
}
NEW = {
    "openrl/a.py": "import os\nimport b\n" + "# filler\n" * 9 + "A = os\n",
    "openrl/b.py": "# caf\u00e9\r\n\nB = 1\nEND = 2",
    "openrl/deep/c.py": "C = 'new'\n",
}
PATCHES = {"one": ["openrl/a.py", "openrl/b.py"], "two": ["openrl/deep/c.py"]}
CHILD = """
import sys
from pathlib import Path
from mapush_stack.harness.patches import manifest
manifest.FOLDER = Path(sys.argv[1])
from mapush_stack.cli.main import main
{before}
sys.exit(main(["patches", *sys.argv[2:]]))
"""


def make_site(folder, version="0.2.0"):
    """A site-packages folder with the distribution in it, whose modules must not be imported."""
    for path, text in OLD.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
    (folder / "openrl" / "__init__.py").write_text("raise SystemExit('the package was imported')\n")
    information = folder / f"openrl-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: openrl\nVersion: {version}\n")
    return folder


def make_patches(folder):
    """A folder as `patches/` is: a manifest and diffs."""
    entries = []
    for name, paths in PATCHES.items():
        diff = "".join(_diff(path) for path in paths)
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.diff").write_bytes(diff.encode())
        files = [{"path": path, "before": sha256(OLD[path]), "after": sha256(NEW[path])} for path in paths]
        entry = {"name": name, "distribution": "openrl", "version": "0.2.0", "diff": f"{name}.diff"}
        entries.append({**entry, "reason": "because", "symptom": "it shows", "files": files})
    write_manifest(folder, entries)
    return folder


def write_manifest(folder, entries):
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"patches": entries}))


def read_manifest(folder):
    return yaml.safe_load((folder / "manifest.yaml").read_text())["patches"]


def run(patches, *arguments, before="", code=0, path=()):
    """`mapush patches ARGUMENTS` with the manifest in `patches`, as a process; returns (stdout, stderr)."""
    process = start(patches, *arguments, before=before, path=path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, (process.returncode, out, err)
    assert "Traceback" not in err
    return out, err


def start(patches, *arguments, before="", path=()):
    """`run` without waiting; `before` is code that a test puts into the process, after all imports."""
    command = [sys.executable, "-c", CHILD.format(before=before), str(patches), *map(str, arguments)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *map(str, path)]))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def snapshot(folder):
    """Every file's bytes, mode and time of change."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = {path: path.stat() for path in files}
    return {
        str(path.relative_to(folder)): (path.read_bytes(), stat.st_mode, stat.st_mtime_ns)
        for path, stat in stats.items()
    }


def contents(folder):
    """The text of the files that are patched."""
    return {path: (folder / path).read_bytes().decode() for path in OLD}


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _diff(path):
    old, new = (text[path].splitlines(keepends=True) for text in (OLD, NEW))
    return "".join(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", n=1))
