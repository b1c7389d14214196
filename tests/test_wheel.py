"""The wheel and the sdist: complete, and enough to run `mapush` outside of the checkout.

`nox -s release` installs it into fresh environments and runs every verb; these tests unpack the wheel and run a few.
"""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests import installed

pytest.importorskip("setuptools.build_meta")
ROOT = Path(__file__).resolve().parents[1]
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2]))"
SOURCES = ["pyproject.toml", "docs/package.md", "LICENSE", "mapush_stack", "patches"]
"""What of the checkout the build reads."""


def build(kind, sources, target):
    """The path of a freshly built `wheel` or `sdist`."""
    command = [sys.executable, "-c", BUILD, kind, str(target)]
    done = subprocess.run(command, cwd=str(sources), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    return target / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the sources, with a cache as a used checkout has."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        (folder / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")  # other tests write there at the same time
            shutil.copytree(str(ROOT / name), str(folder / name), symlinks=True, ignore=ignore)
        else:
            shutil.copy2(str(ROOT / name), str(folder / name))
    cache = folder / "mapush_stack" / "task" / "__pycache__"
    cache.mkdir()
    (cache / "rewards.cpython-399.pyc").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def wheel(sources, tmp_path_factory):
    return build("wheel", sources, tmp_path_factory.mktemp("wheel"))


def members(path):
    """The files in a wheel, and what is in them."""
    with zipfile.ZipFile(str(path)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_file_of_the_package_is_in_the_wheel_and_no_cache(wheel):
    """No list of data files is kept by hand: a new one must be found."""
    package = ROOT / "mapush_stack"
    folders = [(Path(folder), names) for folder, _, names in os.walk(str(package), followlinks=True)]
    kept = [folder / name for folder, names in folders if folder.name != "__pycache__" for name in names]
    expected = {str(path.relative_to(ROOT)) for path in kept}
    found = {name: text for name, text in members(wheel).items() if name.startswith("mapush_stack/")}
    assert set(found) == expected
    assert "mapush_stack/py.typed" in found
    assert all(found[str(path.relative_to(ROOT))] == path.read_bytes() for path in kept)


def test_the_sdist_builds_the_same_wheel(sources, wheel, tmp_path):
    with tarfile.open(str(build("sdist", sources, tmp_path))) as archive:
        archive.extractall(str(tmp_path))
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (tmp_path / "again").mkdir()
    assert members(build("wheel", unpacked, tmp_path / "again")) == members(wheel)


def test_the_wheel_has_the_licences_of_what_it_holds(wheel):
    licences = {name.split("licenses/")[1]: text for name, text in members(wheel).items() if "licenses/" in name}
    theirs = {"mapush_stack/analysis/report/plotly-basic.LICENSE", "mapush_stack/web/page/licences.txt"}
    assert set(licences) == {"LICENSE", *theirs}


def test_verbs_run_from_the_wheel(wheel, tmp_path, monkeypatch):
    """Those that read data files; `nox -s release` runs them all."""
    with zipfile.ZipFile(str(wheel)) as archive:
        archive.extractall(str(tmp_path / "site"))
    shutil.copytree(str(ROOT / "tests" / "data" / "schema-1" / "run"), str(tmp_path / "run"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    for arguments in (["diagnose", "run"], ["watch", "run", "--once"], ["compare", "run"], ["patches", "list"]):
        command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-B", "-m", "mapush_stack", *arguments]
        done = subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode in (0, 1) and "Traceback" not in done.stdout, done.stdout


def test_every_verb_is_tried_from_the_wheel():
    from mapush_stack.cli.main import cli

    assert set(installed.VERBS) == set(cli.list_commands(None))


def test_the_metadata_stand_alone(wheel):
    """On the package index there is no folder beside the page: no link or picture may be relative."""
    with zipfile.ZipFile(str(wheel)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    page = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert len(page) > 500
    assert not re.findall(r"\]\((?!https://|#)[^)]*\)", page)
    assert {"all", "train", "gpu", "video", "report"} <= set(metadata.get_all("Provides-Extra"))


def test_the_extra_all_is_every_extra_but_the_two_that_pin_old_versions():
    """OpenRL needs old versions, and HARL is no package."""
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

    def packages(name):
        for wanted in extras[name]:
            more = re.fullmatch(r"mapush_stack\[(.*)\]", wanted)
            yield from [package for part in more[1].split(",") for package in packages(part)] if more else [wanted]

    everything = set(packages("all"))
    for name in set(extras) - {"harl", "openrl"}:
        assert set(packages(name)) <= everything, name
