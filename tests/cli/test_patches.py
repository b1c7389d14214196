"""The shipped patches through the command line. tests/harness/ has what happens to files."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

from tests.cli.runner import ROOT, mapush

PATCHES = ROOT / "patches"
# Of the files in OpenRL 0.2.0's wheel and in MAPush's tree at 0e61e1b.
PUBLISHED = {
    "openrl/utils/callbacks/callbacks.py": "81b446419e5d5412227732e58089f611057e411b238e834660468c33a0ae4117",
    "openrl/utils/type_aliases.py": "da807ab602e4d02f24cb2005c6925ceade3eef8bb4b321d3b0b77079eae6358a",
    "openrl/runners/common/rl_agent.py": "4131874f4b519800ad2252397d1641ec1980a6e4331a17771fbd00e634e91fd8",
    "mqe/envs/base/base_task.py": "86a5e6fcf43d000ff7c580288c4c45f96ce24d2daa47326833bf0825515e6ba1",
}


def test_list_says_what_each_patch_is_for(tmp_path):
    out, _ = mapush("patches", "list", "--target", tmp_path)
    rows = json.loads(mapush("patches", "list", "--target", tmp_path, "--json")[0])
    assert {file["path"]: file["before"] for row in rows for file in row["files"]} == PUBLISHED
    readme = (PATCHES / "README.md").read_text()
    for row in rows:
        assert row["name"] in out and row["state"] == "absent" and row["name"] in readme
        assert row["reason"] and row["symptom"] and (PATCHES / row["diff"]).is_file()


def test_a_folder_without_any_of_it_is_refused(tmp_path):
    for verb in ("apply", "verify", "revert"):
        _, err = mapush("patches", verb, "--target", tmp_path, code=2)
        assert f"no openrl or mapush is in {tmp_path}" in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_tree_of_an_unknown_version_is_left_alone(tmp_path):
    (tmp_path / "openrl/utils/callbacks").mkdir(parents=True)
    file = tmp_path / "openrl/utils/callbacks/callbacks.py"
    file.write_text("import gymnasium\n")
    _, err = mapush("patches", "apply", "openrl-circular-import", "--target", tmp_path, code=2)
    assert f"{file} has been edited or is of another version" in err and err.count("\n") == 1
    assert "install openrl==0.2.0 anew" in err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


def test_a_wheel_carries_the_patches(tmp_path):
    source, installed = tmp_path / "source", tmp_path / "site-packages"
    ignore = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for folder in ("mapush_stack", "patches"):
        shutil.copytree(str(ROOT / folder), str(source / folder), symlinks=True, ignore=ignore)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(str(ROOT / file), str(source / file))
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    made = subprocess.run([sys.executable, "-c", build], cwd=str(source), capture_output=True, text=True, check=True)
    with zipfile.ZipFile(str(source / made.stdout.split()[-1])) as wheel:
        wheel.extractall(str(installed))
    carried = installed / "mapush_stack/harness/patches/files"
    assert not carried.is_symlink()
    assert {path.name for path in carried.iterdir()} == {path.name for path in PATCHES.iterdir()}
    command = [sys.executable, "-m", "mapush_stack", "patches", "list", "--json", "--target", str(tmp_path)]
    environment = dict(os.environ, PYTHONPATH=str(installed))
    listed = subprocess.run(command, cwd=str(tmp_path), env=environment, capture_output=True, text=True, check=True)
    assert len(json.loads(listed.stdout)) == 3
