"""`mapush vram-probe` as its users run it."""

import json
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mapush_stack.cli.main import main
from mapush_stack.cli.vram_probe import _predicted
from tests.cli.runner import ROOT, environment, mapush, start
from tests.conftest import SMALL
from tests.harness.test_vram import gone

SMALL_PROBE = ["vram-probe", "--device", "cpu", "--start", 8, "--max-envs", 16, "--growth", 2, "--updates", 1]
STORED_PROBE = [32 if word == 16 else word for word in SMALL_PROBE]
QUICK = [word for word in SMALL if not word.startswith("sim.num_envs")]


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition, seconds=120.0):
    due = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < due
        time.sleep(0.05)


@pytest.fixture(scope="module")
def killed(tmp_path_factory, request):
    """A probe that was killed during its second trial: (folder, output, when each kept file was last written)."""
    pytest.importorskip("mujoco.batch", reason="MuJoCo 4 is not installed")
    folder = tmp_path_factory.mktemp("vram") / "probe"
    process = start(*SMALL_PROBE, "--out", folder, *QUICK)
    trials = folder / "trials"
    wait_for(lambda: (trials / "002.log").exists() and children(process.pid))
    (child,) = children(process.pid)
    process.kill()
    out, _ = process.communicate()
    assert gone(child)
    return folder, out, {file.name: file.stat().st_mtime_ns for file in trials.glob("*.json")}


@pytest.fixture(scope="module")
def finished(mujoco, tmp_path_factory):
    """A copy of the stored probe, which is shown again, with its files; returns (folder, JSON)."""
    folder = tmp_path_factory.mktemp("vram") / "probe"
    shutil.copytree(ROOT / "tests/data/schema-1/probe", folder)
    plain = json.loads((folder / "probe.json").read_text())
    plain["machine"]["capacity_mib"] = 1000.0  # free memory on any machine
    (folder / "probe.json").write_text(json.dumps(plain))
    return folder, json.loads(mapush("vram-probe", "--resume", folder, "--json")[0])


@pytest.mark.slow
def test_it_keeps_what_was_finished_when_it_is_killed(killed):
    folder, out, kept = killed
    assert list(kept) == ["001.json"] and "8 environments" in out
    assert not (folder / "vram.json").exists()


@pytest.mark.slow
def test_it_goes_on_and_repeats_nothing(killed):
    folder, _, kept = killed
    out, err = mapush("vram-probe", "--resume", folder, "--json")
    answer = json.loads(out)
    assert [trial["num_envs"] for trial in answer["trials"]] == [8, 16, 11]
    for name, written in kept.items():
        assert (folder / "trials" / name).stat().st_mtime_ns == written
    assert "1 trials are there already" in err and " 8 environments" not in err and "16 environments" in err
    assert not list((folder / "trials").glob(".writing-*"))
    assert 50 < answer["trials"][0]["peak_mib"] < 2000 and answer["trials"][0]["measured_by"] == "rss"


def test_what_it_says(finished):
    folder, answer = finished
    assert answer == json.loads((folder / "vram.json").read_text())
    assert answer["finished"] and answer["largest"] == 32 and answer["too_many"] is None
    assert all(trial["outcome"] == "fits" and trial["result"]["fps"] > 0 for trial in answer["trials"])
    assert [row["card_gb"] for row in answer["predictions"]] in ([], [4, 8, 12, 16, 24, 48, 80])


@pytest.mark.parametrize("device, heading", [("cpu", "memory"), ("cuda:0", "card")])
def test_a_prediction_says_of_what_memory_it_is(device, heading):
    rows = [SimpleNamespace(card_gb=4, num_envs=900, with_spare=800, extrapolated=True)]
    table = _predicted(SimpleNamespace(settings=SimpleNamespace(device=device), predictions=rows))
    assert table.columns[0].header == heading and ("not a GPU's" in table.title) == (device == "cpu")


def test_a_finished_probe_is_shown_again_without_a_trial(finished):
    folder, _ = finished
    before = sorted(file.stat().st_mtime_ns for file in (folder / "trials").iterdir())
    # As the preset was when it was stored.
    then = ["sim.go1.physics_dt=0.01", "sim.planar.fused=false", "sim.fused_variants=false"]
    then += [
        "learner.policy.network.fast_tanh=false",
        "learner.critic.fast_tanh=false",
        "training.kernel_from=null",
        "sim.num_envs=512",
    ]
    then += ["learner.actor_lr=0.001", "learner.critic_lr=0.001", "learner.epochs=3", "learner.critic_epochs=3"]
    out, _ = mapush(*STORED_PROBE, "--resume", folder, *QUICK, *then)  # the same settings may be said again
    assert "held out of the fit" in out and "recommended" in out and "steps/s" in out
    assert sorted(file.stat().st_mtime_ns for file in (folder / "trials").iterdir()) == before


def test_the_plot_and_the_page_need_nothing_else(finished):
    pytest.importorskip("matplotlib")
    folder, _ = finished
    page = (folder / "vram.html").read_text()
    assert (folder / "vram.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in page and "<td>32</td>" in page
    assert 'src="http' not in page and "href" not in page and "<script" not in page


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--max-envs", "64"], "was begun with --max-envs 32, not 64"),
        (["--limit-mib", "4096"], "was begun with --limit-mib None, not 4096"),
        (["learner.gamma=0.9"], "configuration, which is another"),
        (["--out", "elsewhere"], "leave --out out"),
    ],
)
def test_other_settings_are_refused_when_going_on(finished, capsys, more, words):
    assert main(["vram-probe", "--resume", str(finished[0]), *more]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "tpu"], "--device tpu is not auto, cpu, cuda or cuda:N"),
        (["--device", "cuda", "--backend", "mujoco"], "does not go with sim.backend=mujoco"),
        (["--device", "cuda:7"], "GPU"),
        (["--device", "cpu", "--limit-mib", "99999999"], "--limit-mib 99999999 is more than the"),
        (["--device", "cpu", "learner.gama=1"], "there is no field learner.gama"),
        (["--device", "cpu", "--start", "4096"], "--start 4096 is more than --max-envs 2048"),
        (["--resume", "nowhere"], "nowhere is not the folder of a probe"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["vram-probe", *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_trial_that_fails_ends_it_in_a_sentence_and_ctrl_c_can_be_gone_on_from(tmp_path):
    folder = tmp_path / "probe"
    out, err = mapush(*SMALL_PROBE, "--out", folder, "--backend", "isaacgym", "--robot", "go1", code=1)
    assert "8 environments failed, and not for its size: exit code 2: sim.backend=isaacgym needs" in err
    assert "go on with: mapush vram-probe --resume" in out and not list((folder / "trials").glob("*.json"))
    process = start("vram-probe", "--resume", folder)
    wait_for(lambda: process.poll() is not None or children(process.pid))
    (child,) = children(process.pid)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "go on with: mapush vram-probe --resume" in out and gone(child)


def test_what_is_missing_for_the_plot_is_said_in_a_line(finished, tmp_path, monkeypatch):
    for name in ("matplotlib", "jinja2"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError(name='{name}')")
    folder, _ = finished
    path = {**environment(), "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    monkeypatch.setattr("tests.cli.runner.environment", lambda: path)
    out, _ = mapush("vram-probe", "--resume", folder)
    assert "not drawn for want of jinja2, matplotlib: pip install 'mapush_stack[report]'" in out
    assert "an environment (least squares" in out or "fits" in out
