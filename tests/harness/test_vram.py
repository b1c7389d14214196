"""The probe over trials that are not trainings: what ends mean, where it searches, what it fits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mapush_stack.errors import FaultError, UserError
from mapush_stack.harness.vram import model, probe, search, summary, trial
from mapush_stack.harness.vram.folder import Machine, ProbeFile, ProbeFolder, ProbeSettings
from mapush_stack.harness.vram.measurement import Measurement
from mapush_stack.harness.vram.outcome import Outcome, classify
from mapush_stack.training import memory
from mapush_stack.training.trainer import Trainer
from tests.cli.runner import ROOT, environment, mapush
from tests.conftest import small_config

FAKE = [sys.executable, "-I", "-S", str(ROOT / "tests/harness/fake_trial.py")]
CAPACITY = 100.0
"""MiB; the interpreter has some 10 of its own."""


def settings(**changes):
    config = small_config("sim.device=cpu").model_dump(mode="json")
    plain = {"device": "cpu", "start": 16, "growth": 4.0, "max_envs": 256, "resolution": 0.1, "limit_mib": None}
    return ProbeSettings(**{"config": config, **plain, "updates": 1, "timeout": 20.0, **changes})


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A probe over fake trials: `fake(trials, **settings)` runs it; returns (records, sizes tried, finished)."""
    calls = tmp_path / "calls"

    def run(behaviour, capacity=CAPACITY, **changes):
        monkeypatch.setenv("FAKE", json.dumps({"fixed": 20, "each": 0.125, **behaviour}))
        monkeypatch.setenv("FAKE_CALLS", str(calls))
        asked = settings(**changes)
        machine = Machine(name="here", total_mib=1000.0, capacity_mib=capacity)
        path = tmp_path / "probe"
        if not path.exists():
            file = ProbeFile(mapush_stack="0", started="", command=[], settings=asked, machine=machine)
            ProbeFolder.create(path, file)
        folder = ProbeFolder(path)
        with folder.locked():
            finished = probe.run(folder, lambda event: None, lambda: False, FAKE)
        return folder, [int(line.split()[0]) for line in calls.read_text().splitlines()], finished

    return run


def test_it_grows_to_the_most_that_is_asked_for_and_holds_one_size_out(fake):
    folder, tried, finished = fake({"each": 0.25, "fixed": 40}, capacity=4000.0)
    assert finished and tried == [16, 64, 256, 128]
    results = summary.summarise(folder, finished)
    assert results.largest == 256 and results.too_many is None
    assert results.line.kib_per_env == pytest.approx(256, rel=0.2)
    assert results.held_out.num_envs == 128 and abs(results.held_out.error) < 0.1
    again, tried_again, _ = fake({}, capacity=4000.0)
    assert tried_again == tried and again.records() == folder.records() == results.trials
    (folder.path / "trials/002.json").write_text("{")
    with pytest.raises(UserError, match=r"002.json is damaged"):
        folder.records()


def test_it_bisects_to_the_resolution_where_the_memory_ends(fake):
    folder, tried, finished = fake({}, max_envs=4096, start=64, resolution=0.2)
    assert finished and tried[:3] == [64, 256, 1024]
    outcomes = {record.num_envs: record.outcome for record in folder.records()}
    fitting = max(size for size, outcome in outcomes.items() if outcome is Outcome.FITS)
    too_many = min(size for size, outcome in outcomes.items() if outcome is Outcome.OUT_OF_MEMORY)
    assert set(outcomes.values()) == {Outcome.FITS, Outcome.OUT_OF_MEMORY}
    assert fitting < too_many <= 1.2 * fitting and 400 <= fitting <= 600
    assert all("ended at the limit" in one.evidence for one in folder.records() if one.outcome is not Outcome.FITS)


def test_it_looks_below_the_first_size_where_that_does_not_fit(fake):
    folder, tried, _ = fake({}, start=1024, max_envs=1024, resolution=3)
    assert tried == [1024, 256] and search.sizes(folder.records(), Outcome.FITS) == [256]


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        ({"end": "SIGSEGV", "each": 0.24, "prints": ["GPU Pipeline: enabled"]}, "GPU Pipeline: enabled"),
        ({"end": "SIGSEGV", "each": 0.24}, "signal 11 (SIGSEGV) with"),
        ({"end": "SIGKILL", "each": 0.24}, "signal 9 (SIGKILL) with"),
        ({"end": "137", "each": 0.24}, "signal 9 (SIGKILL) with"),
        ({"end": "1", "prints": ["torch.cuda.OutOfMemoryError: CUDA out of memory. Tried"]}, "torch-out-of-memory"),
        ({"end": "1", "prints": ["RuntimeError: Failed to allocate 4096 bytes on device 'cuda:0'"]}, "Failed to"),
        ({"end": "1", "prints": ["MemoryError"]}, "MemoryError"),
    ],
)
def test_memory_that_ran_out(fake, trial, words):
    folder, tried, finished = fake({"bad": 256, **trial}, resolution=3.0)
    (record,) = [record for record in folder.records() if record.outcome is not Outcome.FITS]
    assert not list(folder.trials_path.glob(".writing-*"))  # also where the trial was killed
    assert finished and tried[:3] == [16, 64, 256] and record.num_envs == 256
    assert record.outcome is Outcome.OUT_OF_MEMORY and words in record.evidence
    assert max(mib for _, mib in record.trace) == pytest.approx(record.peak_mib, rel=0.01)


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        ({"end": "SIGSEGV"}, "signal 11 (SIGSEGV): run directory"),
        ({"end": "SIGKILL"}, "signal 9 (SIGKILL): run directory"),
        ({"end": "137"}, "signal 9 (SIGKILL)"),
        ({"end": "1", "prints": ["Traceback (most recent call last):", "KeyError: 'x'"]}, "exit code 1: KeyError: 'x'"),
        ({"end": "2", "prints": ["mapush: sim.backend=warp is not possible here"]}, "sim.backend=warp is not possible"),
        ({"end": "3", "prints": []}, "exit code 3"),
    ],
)
def test_what_is_not_the_size_ends_the_probe_and_can_be_gone_on_with(fake, trial, words):
    with pytest.raises(probe.TrialFailedError, match="64 environments failed, and not for its size") as error:
        fake({"bad": 64, "prints": ["run directory: x"], **trial}, capacity=4000.0)
    assert words in str(error.value) and "002.log" in str(error.value)
    folder, tried, finished = fake({}, capacity=4000.0)
    assert finished and tried == [16, 64, 64, 256, 128] and len(folder.records()) == 4


def test_a_trial_that_hangs_counts_as_too_large(fake):
    folder, _, finished = fake({"bad": 256, "end": "hang"}, timeout=1.0, resolution=3.0, capacity=4000.0)
    (record,) = [record for record in folder.records() if record.outcome is not Outcome.FITS]
    assert finished and record.num_envs == 256 and record.outcome is Outcome.HUNG and 1.0 <= record.seconds < 10


def measured(exit_code=-signal.SIGSEGV, peak=100.0):
    return Measurement(exit_code, 1.0, peak, "device", [], "")


def test_a_death_is_put_down_to_memory_that_was_expected_to_run_out():
    assert classify(measured(), b"", False, 400.0, 401.0, True)[0] is Outcome.OUT_OF_MEMORY
    assert classify(measured(), b"", False, 400.0, 399.0, True)[0] is Outcome.FAILED
    assert classify(measured(1), b"KeyError", False, 400.0, 401.0, True)[0] is Outcome.OUT_OF_MEMORY
    assert classify(measured(2), b"mapush: no", False, 400.0, 401.0, True)[0] is Outcome.FAILED
    assert classify(measured(), b"", True, 400.0, None, True)[0] is Outcome.FITS
    ours = b"mapush: the memory ran out (MemoryError): end what else uses it"
    assert classify(measured(1), ours, False, 400.0, None, False)[0] is Outcome.OUT_OF_MEMORY


def test_a_segfault_of_isaac_gym_with_little_memory_in_use_is_not_put_down_to_it():
    log = b"+++ Using GPU PhysX\nGPU Pipeline: enabled\n"
    assert classify(measured(peak=300.0), log, False, 400.0, None, True)[0] is Outcome.OUT_OF_MEMORY
    assert classify(measured(peak=100.0), log, False, 400.0, None, True)[0] is Outcome.FAILED


def test_the_contact_pairs_of_isaac_gym_are_swept(fake, tmp_path):
    config = small_config("sim.device=cpu", "sim.robot=go1").model_dump(mode="json")
    config["sim"]["backend"] = "isaacgym"
    folder, _, finished = fake({"pairs": True, "fixed": 18, "each": 0.03}, config=config)
    assert finished
    called = (tmp_path / "calls").read_text().split("\n")[:-1]
    assert called == ["16 1", "64 1", "256 1", "128 1", "256 2", "256 3", "256 5"]
    swept = [record for record in folder.records() if record.purpose == "contact-pairs"]
    assert [record.outcome for record in swept] == [Outcome.FITS, Outcome.FITS, Outcome.OUT_OF_MEMORY]
    assert swept[0].result.contact_pairs.available == 2**24 and swept[0].result.contact_pairs.used == 40 * 256
    assert summary.summarise(folder, True).line.points == 3


def test_a_trial_runs_where_a_training_would_be_refused_for_its_memory(tmp_path, monkeypatch, mujoco):
    config = small_config("sim.device=cpu")
    monkeypatch.setattr(memory, "available_memory", lambda: 1)
    with pytest.raises(UserError, match="more than the 0 GiB that are free"):
        memory.check(config, 10)
    request, result = tmp_path / "request.json", tmp_path / "result.json"
    asked = trial.TrialRequest(config=config.model_dump(mode="json"), updates=2, result=str(result))
    request.write_text(asked.model_dump_json())
    trial.run(request)
    found = trial.TrialResult.model_validate_json(result.read_text())
    assert (found.backend, found.device, found.updates) == ("mujoco", "cpu", 2) and found.fps > 0
    assert found.torch_mib is None and found.host_mib > 50 and found.contact_pairs is None
    with pytest.raises(UserError):
        memory.check(config, 10)


def test_a_probe_names_all_kinds_of_a_team():
    probed = settings(config=small_config("team=[planar-strong, planar-weak, planar-weak]").model_dump(mode="json"))
    assert probed.subject == "HAPPO · planar-strong and planar-weak robots push the cuboid"


def test_no_one_is_told_to_go_on_with_a_trial_whose_memory_ran_out(tmp_path, monkeypatch, mujoco):
    request = tmp_path / "request.json"
    config = small_config("sim.device=cpu").model_dump(mode="json")
    request.write_text(trial.TrialRequest(config=config, updates=2, result=str(tmp_path / "x")).model_dump_json())

    def out_of_memory(*_):
        raise MemoryError

    monkeypatch.setattr(Trainer, "train", out_of_memory)
    with pytest.raises(FaultError, match=r"^the memory ran out \(MemoryError\): [^;]*$"):
        trial.run(request)


# A line through points.


def test_the_line_is_found_and_an_odd_small_size_does_not_bend_it():
    true = [(size, 500 + size * 160 / 1024) for size in (512, 2048, 8192, 32768, 65536)]
    line = model.fit(true)
    assert line.fixed_mib == pytest.approx(500) and line.kib_per_env == pytest.approx(160)
    assert line.residual < 1e-6 and line.envs(8192) == int((8192 - 500) * 1024 / 160)
    bent = model.fit([(512, true[0][1] * 1.2), *true[1:]])
    assert bent.mib(65536) == pytest.approx(true[-1][1], rel=0.01) and bent.kib_per_env == pytest.approx(160, rel=0.02)


def test_there_is_no_line_where_there_is_none():
    assert model.fit([]) is None and model.fit([(64, 300.0)]) is None
    assert model.fit([(64, 300.0), (256, 290.0)]) is None


def test_the_smallest_size_near_the_peak_is_recommended_if_it_leaves_a_tenth():
    sizes = [(64, 100.0, 50.0), (128, 200.0, 98.0), (256, 400.0, 100.0), (512, 950.0, 200.0)]
    assert model.recommend(sizes, 1000.0) == 128
    assert model.recommend(sizes, 2000.0) == 512
    assert model.recommend(sizes, 50.0) is None


def test_predictions_say_what_is_beyond_the_measured_sizes():
    line = model.MemoryModel(fixed_mib=1024.0, kib_per_env=1024.0, residual=0.0, points=3)
    rows = {row.card_gb: row for row in model.predict(line, largest=8000)}
    assert sorted(rows) == [4, 8, 12, 16, 24, 48, 80]
    assert rows[8].num_envs == 7168 and rows[8].with_spare == 6348
    assert not rows[8].extrapolated and rows[12].extrapolated


def gone(pid, seconds=10.0):
    """Whether a process ends within so many seconds."""
    due = time.monotonic() + seconds
    while time.monotonic() < due:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


# A card.


@pytest.fixture
def card(tmp_path, monkeypatch):
    """The state file of a card of 80 GiB of which 1000 MiB are in use, for processes that are started from here."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    library = str(tmp_path / "libnvidia-ml.so.1")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, str(ROOT / "tests/harness/nvml.c")], check=True)
    state = tmp_path / "state"
    state.write_text("1000")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("FAKE_NVML_STATE", str(state))
    return state


ON_A_CARD = """
import json, sys
from pathlib import Path
from mapush_stack.harness.vram import probe
from mapush_stack.harness.vram.folder import ProbeFile, ProbeFolder, ProbeSettings
settings = ProbeSettings.model_validate_json(sys.argv[1])
file = ProbeFile(mapush_stack="0", started="", command=[], settings=settings, machine=probe.machine(settings))
folder = ProbeFolder.create(Path(sys.argv[2]), file)
with folder.locked():
    state = Path(sys.argv[3])
    def idle(event):
        state.with_suffix(".new").write_text("1000")
        state.with_suffix(".new").replace(state)
    probe.run(folder, idle, lambda: False, sys.argv[4:])
"""


TRAINER_ON_A_CARD = """
import os, signal, subprocess, sys, time
from pathlib import Path

def hold(line):
    state.with_suffix(".new").write_text(line)
    state.with_suffix(".new").replace(state)

state, mib = Path(os.environ["FAKE_NVML_STATE"]), 600 + 10 * int(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
worker = subprocess.Popen(["sleep", "60"])
hold(f"{1000 + mib} {worker.pid} {mib}")
try:
    for update in range(600):
        print("fps: 100", flush=True)
        time.sleep(0.1)
finally:
    hold("1000")
    worker.kill()
"""


def test_the_memory_of_another_program_is_that_of_all_its_processes_on_the_card(card, tmp_path):
    (tmp_path / "train.py").write_text(TRAINER_ON_A_CARD)
    options = ["--device", "cuda", "--start", 16, "--max-envs", 16, "--out", tmp_path / "probe", "--json"]
    command = f"{sys.executable} {tmp_path / 'train.py'} {{num_envs}}"
    out, _ = mapush("vram-probe", *options, "--run", command, "--rate", "fps: ([0-9]+)")
    (trial,) = json.loads(out)["trials"]
    assert (trial["peak_mib"], trial["measured_by"], trial["result"]["fps"]) == (760.0, "process", 100.0)


@pytest.mark.parametrize(("shown", "how"), [(True, "process"), pytest.param(False, "device", marks=pytest.mark.slow)])
def test_memory_of_a_card_is_that_of_the_process_or_else_the_growth(card, tmp_path, monkeypatch, shown, how):
    monkeypatch.setenv("FAKE", json.dumps({"fixed": 600, "each": 10, "shown": shown}))
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))
    asked = settings(device="cuda:0", max_envs=64).model_dump_json()
    command = [sys.executable, "-c", ON_A_CARD, asked, str(tmp_path / "probe"), str(card), *FAKE]
    subprocess.run(command, check=True, env=dict(os.environ, **environment()))
    folder = ProbeFolder(tmp_path / "probe")
    assert folder.file.machine.capacity_mib == 80 * 1024 - 1000
    measured = {record.num_envs: (record.peak_mib, record.measured_by) for record in folder.records()}
    assert measured == {16: (760.0, how), 64: (1240.0, how), 32: (920.0, how)}
