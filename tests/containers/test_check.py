"""env/isaacgym/check.py as a program."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.containers.package import BINDINGS, NAME, SETUP, write_package

CHECK = Path(__file__).resolve().parents[2] / "env" / "isaacgym" / "check.py"


def check(folder, *options):
    return subprocess.run([sys.executable, str(CHECK), str(folder), *options], capture_output=True, text=True)


def refusal(folder, *options):
    """The sentence of a refusal; nothing may have been recorded that was not."""
    before = sorted(path.name for path in folder.iterdir())
    done = check(folder, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert sorted(path.name for path in folder.iterdir()) == before
    assert done.stderr.startswith("Isaac Gym: ") and done.stderr.count("\n") == 1
    return done.stderr


def test_without_the_package_it_says_what_to_download_and_where_to_put_it(tmp_path):
    sentence = refusal(tmp_path)
    assert "https://developer.nvidia.com/isaac-gym" in sentence and "env/isaacgym/" in sentence


@pytest.mark.parametrize(
    "saved", ["IsaacGym_Preview_4_Package (1).tar.gz", "IsaacGym_Preview_4_Package.tar", "isaacgym"]
)
def test_a_package_that_a_browser_saved_by_another_name_is_named(tmp_path, saved):
    (tmp_path / saved).write_bytes(b"")
    assert f"There is {saved!r}: if that is the package, rename it." in refusal(tmp_path)


def test_a_saved_page_is_no_package(tmp_path):
    (tmp_path / NAME).write_text("<!DOCTYPE html>")
    assert "is not a gzip file" in refusal(tmp_path)


@pytest.mark.parametrize("size", [0, 20, -40])
def test_half_a_download_is_refused(tmp_path, size):
    path = write_package(tmp_path, content=bytes(range(256)) * 40)
    path.write_bytes(path.read_bytes()[:size])
    assert "download it again" in refusal(tmp_path)


@pytest.mark.parametrize("version", ["1.0.preview3", "1.0rc3", ""])
def test_another_version_is_refused(tmp_path, version):
    write_package(tmp_path, version)
    assert "not Preview 4" in refusal(tmp_path)


@pytest.mark.parametrize("missing", [SETUP, BINDINGS])
def test_a_hollow_package_is_refused(tmp_path, missing):
    write_package(tmp_path, leave_out=[missing])
    assert f"holds no {missing}" in refusal(tmp_path)


@pytest.mark.parametrize("version", ["1.0.preview4", "1.0rc4"])
def test_the_first_checksum_is_recorded_and_then_enforced(tmp_path, version):
    package = write_package(tmp_path, version)
    assert "no checksum" in refusal(tmp_path, "--recorded")
    assert check(tmp_path).returncode == 0
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    assert (tmp_path / f"{NAME}.sha256").read_text() == f"{digest}  {NAME}\n"
    assert check(tmp_path).returncode == check(tmp_path, "--recorded").returncode == 0
    write_package(tmp_path, version, content=b"another")
    assert digest in refusal(tmp_path)
    assert digest in refusal(tmp_path, "--recorded")


@pytest.mark.parametrize("damage", ["a flipped byte", "no end"])
def test_a_package_that_fails_gzips_checksum_is_neither_taken_nor_recorded(tmp_path, damage):
    package = write_package(tmp_path, content=bytes(range(256)) * 4096)
    content = bytearray(package.read_bytes())
    if damage == "no end":
        del content[-6:]
    else:  # within gzip's record of the content's CRC-32: the archive itself is whole
        content[-6] ^= 0xFF
    package.write_bytes(bytes(content))
    assert "is damaged" in refusal(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "ascii"])
def test_a_record_that_another_program_wrote(tmp_path, encoding):
    """PowerShell writes UTF-16, which is refused in a sentence, and Get-FileHash upper case: the same digest."""
    package = write_package(tmp_path)
    digest = hashlib.sha256(package.read_bytes()).hexdigest().upper()
    (tmp_path / f"{NAME}.sha256").write_text(f"{digest}  {NAME}\n", encoding=encoding)
    if encoding == "ascii":
        assert check(tmp_path).returncode == 0
    else:
        assert "was recorded: restore the first file, or delete" in refusal(tmp_path)
