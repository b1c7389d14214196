"""env/install.py as a program, with a stand-in for uv that writes down how it was called."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UV = """#!/bin/sh
echo "$@" >> "$CALLS"
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Runs `env/install.py PYTHON ...`; returns uv's command lines."""
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))

    def install(*options, code=0):
        command = [sys.executable, str(ROOT / "env" / "install.py"), sys.executable, *options]
        assert subprocess.run(command, capture_output=True).returncode == code
        return (tmp_path / "calls").read_text().splitlines() if code == 0 else []

    return install


@pytest.mark.parametrize("options", [[], ["--editable"], ["--extras"], ["--project", "some.whl"]])
def test_nothing_is_installed_without_a_hash(calls, options):
    """All but the project come from a lock; its build downloads no back end, so that it works offline too."""
    if "--extras" in options and sys.version_info < (3, 11):
        pytest.skip("the extras need Python 3.11")
    *locks, project = calls(*options)
    assert locks and all("--require-hashes" in line and ".lock" in line for line in locks)
    assert "--no-build-isolation" in project and "--no-deps" in project
    assert project.endswith(options[1] if "--project" in options else str(ROOT))


def test_the_project_can_be_left_out(calls):
    assert all(".lock" in line for line in calls("--project", "none"))
    assert calls("--project", "none", "--editable", code=2) == []


@pytest.mark.parametrize("tag", ["py38", "py311", "py312", "py313", "py314"])
def test_the_locks_hold_the_build_back_end(tag):
    text = (ROOT / "env" / f"requirements-{tag}.lock").read_text()
    assert re.search(r"^setuptools==(6[89]|[7-9]\d)\S* \\\n +--hash=sha256:", text, re.MULTILINE)
    assert '"--group", "build"' in (ROOT / "env" / "lock.py").read_text()


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="there is a lock for Python 3.11 alone")
def test_upstreams_programs_get_all_locks_of_theirs(calls):
    names = [re.search(r"/(\w+)-py311\.lock", line)[1] for line in calls("--upstream", "--project", "none")[:4]]
    assert names == ["requirements", "openrl", "harl", "upstream"]
