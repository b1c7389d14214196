"""What a process leaves on an NVIDIA GPU, and what creating, training and destroying again and again leaves in one."""

import json
import time

import pytest
import torch

from tests.conftest import SMALL
from tests.system.cycles import CYCLES, growth_mib
from tests.system.teardown import python

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no NVIDIA GPU")
WARP = ["sim.backend=warp", "sim.device=cuda", "sim.num_envs=64"]
MOST_GROWTH_MIB = 16


@pytest.fixture(scope="module", autouse=True)
def warp():
    return pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")


@pytest.fixture(scope="module")
def nvml():
    """NVML, and this process's GPU by its handle."""
    import pynvml

    pynvml.nvmlInit()
    uuid = str(torch.cuda.get_device_properties(0).uuid)
    yield pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}" if not uuid.startswith("GPU-") else uuid)
    pynvml.nvmlShutdown()


def used_mib(nvml):
    library, card = nvml
    return library.nvmlDeviceGetMemoryInfo(card).used / 2**20


@pytest.mark.parametrize("ending", ["success", "failure", "SIGTERM"])
def test_after_exit_no_process_holds_device_memory(nvml, tmp_path, ending):
    library, card = nvml
    before = used_mib(nvml)
    code = {"success": 0, "failure": 1, "SIGTERM": 143}[ending]
    steps = {"success": 6400}.get(ending, 10**9)
    program = tmp_path / "program.py"
    failure = "from mapush_stack.training import trainer; trainer.Trainer._finish = None" if ending == "failure" else ""
    program.write_text(f"{failure}\nfrom mapush_stack.__main__ import run\nrun()\n")
    given = ["train", "--no-evaluation", "--results", tmp_path, *SMALL, *WARP, f"training.total_steps={steps}"]
    given.append("training.checkpoint_interval=1000000")
    process = python(program, *map(str, given))
    if ending == "SIGTERM":
        wait_for(lambda: [*tmp_path.glob("mapush/**/logs/events*")] and used_mib(nvml) > before + 100, 200)
        process.terminate()
    out, err = process.communicate(timeout=280)
    assert process.returncode == code, (out, err)
    # In a container NVML may number processes otherwise, or hide them; the card's memory it shows in any case.
    holders = [one.pid for one in library.nvmlDeviceGetComputeRunningProcesses(card)]
    assert process.pid not in holders
    wait_for(lambda: used_mib(nvml) < before + 64, 10)


def wait_for(condition, seconds):
    due = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < due
        time.sleep(0.2)


@pytest.mark.timeout(600)
def test_fifty_cycles_leave_no_growth_on_the_device(tmp_path):
    process = python("-m", "tests.system.cycles", tmp_path, *WARP)
    out, err = process.communicate(timeout=580)
    assert process.returncode == 0, err
    seen = json.loads(out.splitlines()[-1])
    assert len(seen["device_mib"]) == CYCLES
    for name in ("allocated_mib", "device_mib"):
        assert growth_mib(seen[name]) < MOST_GROWTH_MIB, (name, seen[name])
