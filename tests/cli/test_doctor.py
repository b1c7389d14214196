"""`mapush doctor` as its users run it. tests/harness/test_doctor.py has the checks, on many machines."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch

from tests.cli.runner import ROOT, mapush
from tests.harness.test_doctor import H100, ISAACGYM, MODERN, driver

FAKE_GYM = {
    "fine": "from . import gymapi",
    "libpython": "raise ImportError('libpython3.8m.so.1.0: cannot open shared object file: No such file or directory')",
    "crash": "import os; os.kill(os.getpid(), 11)",
}


def doctor(*arguments, path=(), home=None):
    """Run `mapush doctor --json` with folders before this Python's own packages; returns its answer."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([*map(str, path), str(ROOT)]), OMP_NUM_THREADS="1")
    environment.update({"TORCH_EXTENSIONS_DIR": str(home)} if home else {})
    command = [sys.executable, "-m", "mapush_stack", "doctor", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def checked(done):
    answer = json.loads(done.stdout)
    assert answer["exit_code"] == done.returncode
    return {finding["check"]: finding for finding in answer["findings"]}


def fake(folder, **modules):
    """A folder of packages, by name and source."""
    for name, source in modules.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(source)
    return folder


@pytest.fixture(scope="module")
def light_torch(tmp_path_factory):
    """A stand-in for torch that is imported at once, for what is not about torch."""
    source = (
        "__version__ = '2.13.0+cpu'\nclass version: cuda = None\nclass cuda: is_available = staticmethod(lambda: False)"
    )
    return fake(tmp_path_factory.mktemp("light"), torch=source)


def report(tmp_path, facts):
    """The file that another machine's `mapush doctor --json` wrote."""
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"facts": facts.model_dump(mode="json")}))
    return file


def test_this_machine(tmp_path):
    done = doctor("--json", home=tmp_path)
    answer = json.loads(done.stdout)
    assert answer["facts"]["torch"]["version"] == torch.__version__
    assert answer["facts"]["python"]["executable"] == sys.executable
    assert answer["facts"]["packages"]["click"]
    assert answer["exit_code"] == done.returncode in (0, 1, 2)


def test_another_machine_by_its_report(tmp_path):
    out, _ = mapush("doctor", "--report", report(tmp_path, MODERN))
    assert "broken" not in out and "warning" not in out and "H100" in out
    hopper = ISAACGYM.model_copy(update={"nvidia": driver("535.104.05", H100)})
    out, _ = mapush("doctor", "--report", report(tmp_path, hopper), code=2)
    assert "GPU and Isaac Gym: Isaac Gym dies with a segmentation fault on compute capability 9.0" in out
    mixed = ISAACGYM.model_copy(update={"packages": {**ISAACGYM.packages, "nvidia-cudnn-cu12": "8.9.2.26"}})
    out, _ = mapush("doctor", "--report", report(tmp_path, mixed), code=1)
    line = "CUDA packages: /opt/venv/bin/python -m pip uninstall -y nvidia-cudnn-cu12; then install torch again"
    assert line in out


@pytest.mark.parametrize(
    ("gym", "status", "words"),
    [
        ("fine", "fine", "can be imported"),
        ("libpython", "broken", "apt-get install libpython3.8"),
        ("crash", "broken", "signal 11 (SIGSEGV)python -c"),
    ],
)
def test_isaacgym_is_imported_by_a_process_of_its_own(tmp_path, light_torch, gym, status, words):
    folder = fake(tmp_path, isaacgym=FAKE_GYM[gym])
    (folder / "isaacgym/gymapi.py").write_text("")
    found = checked(doctor("--json", path=[folder, light_torch]))["Isaac Gym"]
    assert found["status"] == status and words in found["found"] + found["remedy"]


def test_a_torch_that_comes_with_python_itself_is_seen(tmp_path, light_torch):
    folder = fake(tmp_path, isaacgym="", torch="__version__ = '0'")
    (folder / "isaacgym/gymapi.py").write_text("")
    (folder / "sitecustomize.py").write_text("import torch")
    found = checked(doctor("--json", path=[folder, light_torch]))["import order"]
    assert found["status"] == "broken" and "when Python starts" in found["found"]
    (folder / "sitecustomize.py").unlink()
    assert checked(doctor("--json", path=[folder, light_torch]))["import order"]["status"] == "fine"


def test_a_torch_that_cannot_be_imported(tmp_path):
    folder = fake(tmp_path, torch="raise OSError('libcudnn.so.9: cannot open shared object file')")
    (folder / "torch/version.py").write_text("__version__ = '1.13.1'\ncuda: Optional[str] = '11.7'\n")
    for name in ("nvidia_cublas_cu11", "nvidia_cublas_cu12"):
        (folder / f"{name}-1.0.dist-info").mkdir()
        (folder / f"{name}-1.0.dist-info/METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    found = checked(doctor("--json", path=[folder]))
    assert found["torch"]["status"] == "broken" and "libcudnn.so.9" in found["torch"]["found"]
    assert "1 of CUDA 12" in found["CUDA packages"]["found"]
    assert "torch is for CUDA 11" in found["CUDA packages"]["found"]
    assert " nvidia-cublas-cu12" in found["CUDA packages"]["remedy"]
    assert "cu11" not in found["CUDA packages"]["remedy"]


def test_a_home_that_is_not_there(light_torch, monkeypatch):
    monkeypatch.setenv("HOME", "/nonexistent")
    assert "disk" in checked(doctor("--json", path=[light_torch]))


def test_a_simulator_that_is_asked_for_must_be_there(light_torch):
    done = doctor("--json", "--backend", "isaacgym", path=[light_torch])
    assert checked(done)["backend isaacgym"]["status"] == "broken" and done.returncode == 2


def test_fix_says_what_it_would_do_and_does_it_only_when_told(tmp_path, light_torch):
    folder = tmp_path / "py38_cu116/gymtorch"
    folder.mkdir(parents=True)
    (folder / "lock").write_text("")
    for path in (folder / "lock", folder):
        os.utime(str(path), (time.time() - 3600,) * 2)
    done = doctor("--fix", path=[light_torch], home=tmp_path)
    assert f"can be done: delete {folder}" in done.stdout and "Nothing was done" in done.stdout
    assert folder.exists() and done.returncode >= 1
    done = doctor("--fix", "--yes", path=[light_torch], home=tmp_path)
    assert f"done: delete {folder}" in done.stdout and not folder.exists()
    assert "half compiled" not in done.stdout.split("done: ")[1]
    assert "nothing that --fix could mend" in doctor("--fix", path=[light_torch], home=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--yes"], "--yes goes with --fix"),
        (["--fix", "--json"], "leave --json and --report out"),
        (["--report", "missing.json"], "missing.json does not exist"),
        (["--report", "other.json"], "other.json is not what"),
    ],
)
def test_a_wrong_request_is_one_sentence(arguments, complaint, tmp_path):
    (tmp_path / "other.json").write_text('{"facts": {"python": 3}}')
    _, err = mapush("doctor", *arguments, cwd=tmp_path, code=2)
    assert complaint in err and err.count("\n") == 1
