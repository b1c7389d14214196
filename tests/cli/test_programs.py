"""`mapush vram-probe --run` and `mapush smoke --run`: anybody's training."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from mapush_stack.cli.main import main
from mapush_stack.harness.programs import PROGRAMS
from tests.cli.runner import ROOT, mapush

TRAINER = f"{sys.executable} -S {ROOT / 'tests/harness/trainer.py'}"
PROBE = ["vram-probe", "--device", "cpu", "--json", "--start", 16, "--max-envs", 32, "--growth", 2, "--updates", 2]
FPS = r"fps \| +([\d,]+)"
STEPS = ["starts", "logs", "checkpoints", "ends clean"]


def probe(folder, flags, *options, code=0):
    """Probe a trainer with these flags; returns (the JSON, what was said)."""
    out, err = mapush(
        *PROBE, "--out", folder / "probe", "--run", f"{TRAINER} {flags} {{num_envs}}", *options, code=code
    )
    return json.loads(out), err


def outcomes(answer):
    return {(one["num_envs"], one["multiplier"]): one["outcome"] for one in answer["trials"]}


def test_any_training_is_probed(tmp_path):
    answer, err = probe(tmp_path, "", "--rate", FPS, "--ready", "training begins")
    assert answer["finished"] and outcomes(answer) == dict.fromkeys([(16, None), (32, None), (23, None)], "fits")
    rates = {one["num_envs"]: one["result"]["fps"] for one in answer["trials"]}
    assert rates == {16: 16_000, 32: 32_000, 23: 23_000}
    assert 1300 < answer["line"]["kib_per_env"] < 1700 and answer["recommended"] == 32  # of the worker, a child
    assert all(one["seconds"] < 10 for one in answer["trials"])
    out, _ = mapush("vram-probe", "--resume", tmp_path / "probe", "--rate", FPS, "--ready", "training begins")
    assert "Recommended: 32, the" in out and "32,000" in out and "already" in out
    _, err = mapush("vram-probe", "--resume", tmp_path / "probe", "--run", "other {num_envs}", code=2)
    assert "own command, which is another" in err
    page = (tmp_path / "probe/vram.html").read_text() if (tmp_path / "probe/vram.html").exists() else "trainer.py"
    assert "trainer.py" in page


@pytest.mark.slow
def test_without_a_word_from_it_its_memory_settles(tmp_path):
    answer, _ = probe(tmp_path, "--silent", "--settle", "0.5", "--max-envs", "16")
    assert outcomes(answer) == {(16, None): "fits"}
    assert all(one["result"]["fps"] is None and one["peak_mib"] > 25 for one in answer["trials"])
    assert answer["recommended"] is None


def test_counts_become_a_rate(tmp_path):
    form = tmp_path / "mine.yaml"
    form.write_text(f"run: {TRAINER} --counts {{num_envs}}\nrate: 'updates (?P<updates>\\d+)'\nupdate_steps: 10\n")
    options = ["--start", 16, "--max-envs", 16, "--out", tmp_path / "probe"]
    out, _ = mapush(*PROBE, *options, "--command", form)
    (trial,) = json.loads(out)["trials"]
    assert 10 * 16 * 4 < trial["result"]["fps"] < 10 * 16 * 11  # ten updates a second


@pytest.mark.slow
def test_the_room_for_contact_pairs_is_the_second_dimension(tmp_path):
    form = tmp_path / "mine.yaml"
    form.write_text(f"run: {TRAINER} {{num_envs}}\nrate: '{FPS}'\ncontact_pairs: true\n")
    out, _ = mapush(*PROBE, "--max-envs", 16, "--out", tmp_path / "probe", "--command", form)
    answer = json.loads(out)
    assert list(outcomes(answer)) == [(16, 1), (16, 2), (16, 3), (16, 5)]
    peaks = [one["peak_mib"] for one in answer["trials"]]
    assert peaks[3] - peaks[0] == pytest.approx(80, abs=10)
    out, _ = mapush("vram-probe", "--resume", tmp_path / "probe")
    assert "contact pairs at 16 environments" in out


@pytest.mark.parametrize(
    ("flags", "options", "outcome"),
    [
        ("--leaks", ["--rate", FPS], "out of memory"),
        ("", ["--rate", FPS, "--limit-mib", "72"], "out of memory"),
        ("--hangs", ["--ready", "training begins", "--rate", FPS, "--timeout", "4"], "hung"),
    ],
)
@pytest.mark.slow
def test_a_crash_is_data(tmp_path, flags, options, outcome):
    answer, _ = probe(tmp_path, flags, "--resolution", "1", *options)
    found = outcomes(answer)
    assert found[16, None] == "fits" and found[32, None] == outcome and answer["finished"]


@pytest.mark.parametrize(
    ("flags", "options", "words"),
    [
        (
            "--breaks",
            ["--rate", FPS],
            "32 environments failed, and not for its size: exit code 1: KeyError: 'observation 3'",
        ),
        ("", ["--ready", "never said", "--timeout", "2"], "no line matched --ready never said in 2 s"),
        ("", ["--rate", "FPS: (.)", "--timeout", "2"], "no rate came from lines that match --rate FPS: (.) in 2 s"),
    ],
)
@pytest.mark.slow
def test_a_failure_for_another_reason_ends_the_probe(tmp_path, flags, options, words):
    _, err = probe(tmp_path, flags, *options, code=1)
    assert words in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vram-probe", "--run", "python train.py"], "needs {num_envs} where"),
        (["vram-probe", "--run", "python 'train.py {num_envs}"], "No closing quotation"),
        (["vram-probe", "--run", " "], "--run needs a command"),
        (["vram-probe", "--run", "./nothing {num_envs}", "--device", "cpu"], "./nothing cannot be run: No such file"),
        (["vram-probe", "--run", "x {num_envs}", "--rate", "fps"], "--rate fps needs a group around the number"),
        (["vram-probe", "--run", "x {num_envs}", "--ready", "("], "--ready ( is no regular expression"),
        (["vram-probe", "--run", "x {num_envs}", "learner.gamma=0.9"], "leave out overrides"),
        (["vram-probe", "--rate", "(.)"], "--rate goes with --run or --command"),
        (["vram-probe", "--command", "harll"], "there is no command called harll; did you mean harl?"),
        (["vram-probe", "--command", "wrong.yaml"], "there is no field rn"),
        (["vram-probe", "--command", "empty.yaml"], "empty.yaml must hold a mapping"),
        (["vram-probe", "--command", "harl"], "HARL_SRC is not set"),
        (["smoke", "--command", "mapush-openrl"], "MAPUSH_SRC is nowhere, which is no folder"),
        (["smoke", "--run", "x", "--backend", "mujoco"], "--backend and --robot are for our own training"),
        (["smoke", "--checkpoint", "*.pt"], "--checkpoint goes with --run or --command"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAPUSH_SRC", "nowhere")
    monkeypatch.delenv("HARL_SRC", raising=False)
    Path("wrong.yaml").write_text("rn: x {num_envs}")
    Path("empty.yaml").write_text("")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(arguments) == 2
    err = capsys.readouterr().err.splitlines()
    assert words in err[-1] and "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "results") == before


def smoke(folder, flags, *options, code=0):
    """Smoke a trainer with these flags; returns the result of each step, and what was told."""
    work = folder / "work"
    work.mkdir()
    (work / "old.pt").write_text("of an earlier run")
    out, _ = mapush("smoke", "--run", f"{TRAINER} {flags} 8 5", "--json", *options, cwd=work, code=code)
    answer = json.loads(out)
    assert json.loads(next(work.glob("results/smoke/*/smoke.json")).read_text()) == answer
    return {row["step"]: row["passed"] for row in answer["steps"]}, {
        row["step"]: row["told"] for row in answer["steps"]
    }


def test_any_training_is_smoked(tmp_path):
    passed, told = smoke(tmp_path, "")
    assert passed == dict.fromkeys(STEPS, True)
    assert told["checkpoints"] == "1 files, such as model.pt" and told["logs"] == "5 lines with numbers"


@pytest.mark.parametrize(
    ("flags", "options", "step", "words"),
    [
        ("--silent", [], "logs", "printed no line with a number"),
        ("--lost", [], "checkpoints", "no new file in"),
        ("", ["--checkpoint", "saved/*.bin"], "checkpoints", "is called saved/*.bin: --checkpoint names others"),
        ("--dies", [], "ends clean", "exit code 139"),
        ("--leaves", [], "ends clean", "it left processes behind"),
        ("--forever", ["--seconds", "3"], "ends clean", "it was still running after 3 s: give it fewer steps"),
        ("", ["--ready", "never said"], "starts", "no line matched never said"),
    ],
)
@pytest.mark.slow
def test_what_is_not_as_it_should_be_is_told(tmp_path, flags, options, step, words):
    passed, told = smoke(tmp_path, flags, *options, code=1)
    assert passed == {**dict.fromkeys(STEPS, True), step: False} and words in told[step]


@pytest.mark.parametrize("flags", ["--crashes", "--breaks 32"])
def test_a_failure_is_explained(tmp_path, flags):
    passed, told = smoke(tmp_path, flags, code=1)
    assert not passed["ends clean"] and not passed["checkpoints"]
    assert ("139" if "crashes" in flags else "KeyError: 'observation 3'") in told["ends clean"]
    assert passed["starts"] == passed["logs"] == ("crashes" in flags)


@pytest.mark.parametrize(("name", "variable", "files"), [("harl", "HARL_SRC", ["examples/train.py"])])
def test_a_known_command_runs_in_its_source_tree(tmp_path, monkeypatch, name, variable, files):
    assert name in PROGRAMS
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(
            "import os, sys\nprint('total num timesteps 100/1000, FPS 3.', sys.argv)\n"
            "os.makedirs('r/models')\nopen('r/models/actor.pt', 'w').write('x')\n"
        )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out, _ = mapush("smoke", "--command", name, "--json", cwd=elsewhere)
    assert [row["passed"] for row in json.loads(out)["steps"]] == [True] * 4
    assert not shutil.os.path.exists(str(elsewhere / "r"))
