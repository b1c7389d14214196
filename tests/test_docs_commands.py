"""The commands of the documentation, in the order of each page, and the notebook; `nox -s docs_commands`.

Blocks of ```sh are run, in one folder for each page, unless their first line is `# needs: MACHINE`. Blocks whose first
line is a comment with a file's name are written there before. Trainings are cut to a few steps.
"""

import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.cli.runner import ROOT, environment
from tests.conftest import SMALL

DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "```sh\n" in page.read_text(encoding="utf-8")]
SHORT = shlex.join(["--steps", "480", *SMALL])

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not DOCS.is_dir(), reason="images hold no docs/"),
]


@pytest.fixture
def shell(tmp_path):
    """The environment of a shell whose `mapush` is this project's, and trains only a few steps."""
    pytest.importorskip("mujoco")
    script = f"""#!/bin/sh
    case "$1" in train | sweep) set -- "$@" {SHORT} ;; esac
    exec {sys.executable} -m mapush_stack "$@"
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mapush").write_text(script)
    (folder / "mapush").chmod(0o755)
    variables = environment()
    return dict(variables, PATH=os.pathsep.join([str(folder), variables["PATH"]]), TERM="dumb")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_pages_commands_work(page, shell, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        name = re.match(r"# ([\w-]+\.\w+)\n", text)
        if name:
            (work / name[1]).write_text(text)
        if language != "sh" or text.startswith("# needs: "):
            continue
        done = subprocess.run(["bash", "-euxc", text], cwd=work, env=shell, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_the_tutorials_notebook_runs(shell, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    book = nbformat.read(DOCS / "tutorials" / "results.ipynb", as_version=4)
    nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    drawn = [
        output for cell in book.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})
    ]
    assert len(drawn) == 2
    assert "episodes succeeded" in str(book.cells)
