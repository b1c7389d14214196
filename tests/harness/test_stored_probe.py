"""A memory probe made by e8aac1c: it is shown and resumed for ever."""

import json
import shutil

import pytest

from mapush_stack import __version__
from mapush_stack.cli.main import main
from mapush_stack.harness.vram import probe, search, summary
from mapush_stack.harness.vram.folder import PROBE_FILE, RECORD_FILE, ProbeFolder
from tests.cli.runner import ROOT

STORED = ROOT / "tests/data/schema-1/probe"


@pytest.fixture
def folder(tmp_path):
    """A copy of it, to be written to."""
    shutil.copytree(str(STORED), str(tmp_path / "probe"))
    return ProbeFolder(tmp_path / "probe")


def as_stored(plain):
    """The content of `vram.json` without what e8aac1c did not have: schema numbers, other programs."""
    assert plain["settings"].pop("program") is None
    del plain["schema"], plain["settings"]["config"]["schema"], plain["settings"]["config"]["version"]
    return plain


def test_it_amounts_to_what_it_did_with_the_version_that_made_it(folder):
    assert search.next_trial(folder.file.settings, folder.records()) is None
    stored, now = (
        json.loads((STORED / "vram.json").read_text()),
        as_stored(summary.plain(summary.summarise(folder, True))),
    )
    config, config_now = (one["settings"].pop("config") for one in (stored, now))
    assert now.pop("mapush_stack") == __version__ and stored.pop("mapush_stack") == "0.1.0"
    assert now == stored and config_now["learner"]["gamma"] == config["learner"]["gamma"]
    read = summary.SUMMARY_FILE.read(STORED / "vram.json")
    assert as_stored(summary.plain(read))["trials"] == stored["trials"]


def test_all_of_its_files_are_written_with_a_schema_number(folder):
    for number, record in enumerate(folder.records(), start=1):
        RECORD_FILE.write(folder.trials_path / f"{number:03d}.json", record)
    PROBE_FILE.write(folder.path / "probe.json", folder.file)
    for file in (folder.path / "probe.json", *folder.trials_path.glob("*.json")):
        assert json.loads(file.read_text())["schema"] == 1
    again = ProbeFolder(folder.path)
    assert again.file == folder.file and again.records() == ProbeFolder(STORED).records()


def test_its_last_trial_is_the_next_one_without_its_record(folder):
    (folder.trials_path / "004.json").unlink()
    last = ProbeFolder(STORED).records()[-1]
    trial = search.next_trial(folder.file.settings, folder.records())
    assert (trial.purpose, trial.num_envs) == (last.purpose, last.num_envs) == ("held-out", 23)


@pytest.mark.slow
@pytest.mark.usefixtures("mujoco")
def test_it_is_resumed(folder, capsys):
    """With this machine in the place of the one that measured."""
    (folder.trials_path / "004.json").unlink()
    path = folder.path / "probe.json"
    here = probe.machine(folder.file.settings).model_dump(mode="json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine": here}))
    assert main(["vram-probe", "--resume", str(folder.path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["finished"] and [one["num_envs"] for one in answer["trials"]] == [8, 16, 32, 23]


@pytest.mark.parametrize("file", ["probe.json", "trials/002.json"])
def test_a_newer_one_is_refused_in_a_sentence(folder, capsys, monkeypatch, file):
    monkeypatch.setattr(probe, "check_machine", lambda folder: None)
    path = folder.path / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    assert main(["vram-probe", "--resume", str(folder.path)]) == 2
    err = capsys.readouterr().err
    assert "written by a newer version (schema 2" in err and "upgrade mapush_stack" in err and err.count("\n") == 1
