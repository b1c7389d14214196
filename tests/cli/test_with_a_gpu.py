"""`mapush doctor` and `mapush triage --run` where NVML answers: a library of a few lines of C stands for NVIDIA's."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.cli.runner import ROOT, environment
from tests.cli.test_doctor import light_torch  # noqa: F401  (a fixture)

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def nvml(tmp_path_factory):
    """A folder with a libnvidia-ml.so.1."""
    folder = tmp_path_factory.mktemp("nvml")
    library = str(folder / "libnvidia-ml.so.1")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, str(ROOT / "tests/harness/nvml.c")], check=True)
    return folder


def mapush(nvml, *arguments, **variables):
    """Run `mapush ARGUMENTS` with that library; returns (exit code, stdout, stderr)."""
    command = [sys.executable, "-m", "mapush_stack", *map(str, arguments)]
    variables = {**environment(), "LD_LIBRARY_PATH": str(nvml), **variables}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def path(light_torch):  # noqa: F811
    return f"{light_torch}:{ROOT}"


def test_doctor_reads_the_driver_and_the_card(nvml, path):
    answer = json.loads(mapush(nvml, "doctor", "--json", PYTHONPATH=path)[1])
    assert answer["facts"]["nvidia"] == {
        "driver": "580.95.05",
        "cuda": [13, 0],
        "gpus": [
            {"name": "NVIDIA Test 80GB", "compute_capability": [9, 0], "memory_mib": 80 << 10, "free_mib": 8 << 10}
        ],
        "problem": "",
    }


def test_doctor_says_what_a_driver_says_that_does_not_answer(nvml, path):
    answer = json.loads(mapush(nvml, "doctor", "--json", FAKE_NVML_FAILS="1", PYTHONPATH=path)[1])
    assert answer["facts"]["nvidia"]["gpus"] == [] and answer["exit_code"] == 2
    (found,) = [finding for finding in answer["findings"] if finding["check"] == "driver"]
    assert "mismatch" in found["found"].lower() and "restart the machine" in found["remedy"]


@pytest.mark.parametrize(("capability", "rule"), [("9.0", "unsupported-gpu"), ("8.6", "contact-pairs")])
def test_triage_measures_the_card_while_the_command_runs(nvml, tmp_path, capability, rule):
    program = tmp_path / "program.py"
    program.write_text("import os\nprint('+++ Using GPU PhysX\\nGPU Pipeline: enabled')\nos.kill(os.getpid(), 11)\n")
    run = f"{sys.executable} {program}"
    code, _, err = mapush(nvml, "triage", "--run", run, "--keep", tmp_path / "log", FAKE_NVML_CAPABILITY=capability)
    assert code == 139 and f"rule {rule}" in err and "Confidence: high" in err
    assert f"compute capability {capability}" in err and ("90 % full" in err) == (rule == "contact-pairs")
