"""Stored files: what older versions wrote is read, what newer ones wrote is refused."""

import json

import pytest
from pydantic import BaseModel, create_model

from mapush_stack.errors import UserError
from mapush_stack.harness.smoke.runner import SMOKE_FILE
from mapush_stack.harness.vram.folder import PROBE_FILE, RECORD_FILE
from mapush_stack.harness.vram.summary import SUMMARY_FILE
from mapush_stack.settings import Settings
from mapush_stack.sweep.folder import STATE_FILE, SWEEP_FILE, TRIAL_FILE
from mapush_stack.system.stored_file import StoredFile
from mapush_stack.training import progress_file
from mapush_stack.training.config import ExperimentConfig
from tests.cli.runner import ROOT

KINDS = {
    "sweep.json": (SWEEP_FILE, "sweep/sweep.json"),
    "trial.json": (TRIAL_FILE, "sweep/trials/0001-*/trial.json"),
    "state.json": (STATE_FILE, "sweep/trials/000*/state.json"),
    "probe.json": (PROBE_FILE, "probe/probe.json"),
    "record": (RECORD_FILE, "probe/trials/00*.json"),
    "vram.json": (SUMMARY_FILE, "probe/vram.json"),
    "smoke.json": (SMOKE_FILE, ""),
    "progress.json": (progress_file.FILE, ""),
}
"""Every kind of file, and where some made by e8aac1c are."""
DATA = ROOT / "tests/data"


class Old(Settings):
    colour: str
    size: int = 1


class New(Settings):
    color: str
    size: int = 1
    weight: float = 0.0


OLD, NEW = StoredFile(Old), StoredFile(New, [lambda old: {"color": old["colour"], "size": old.get("size", 1)}])


def test_an_older_file_is_upgraded(tmp_path):
    OLD.write(tmp_path / "a.json", Old(colour="red", size=3))
    assert json.loads((tmp_path / "a.json").read_text()) == {"schema": 1, "colour": "red", "size": 3}
    assert NEW.read(tmp_path / "a.json") == New(color="red", size=3)
    (tmp_path / "b.json").write_text('{"colour": "red"}')  # schema 1 had no number at first
    assert OLD.read(tmp_path / "b.json") == Old(colour="red") and NEW.read(tmp_path / "b.json") == New(color="red")
    NEW.write(tmp_path / "c.json", New(color="red"))
    assert NEW.schema == 2 and NEW.read(tmp_path / "c.json") == New(color="red")


def test_a_newer_file_is_refused_before_its_content_is_looked_at(tmp_path):
    (tmp_path / "a.json").write_text('{"schema": 2, "whatever": 1}')
    with pytest.raises(UserError, match=r"a\.json: it was written by a newer version .*: upgrade with .*stack$"):
        OLD.read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is damaged or of another version"),
        ("[]", "it is not an object"),
        ('{"schema": "1", "colour": "red"}', "schema='1' is not a schema number"),
        ('{"schema": 0, "colour": "red"}', "schema=0 is not"),
        (f'{{"schema": "{"a" * 10_000}"}}', "schema='a{56}... is not"),
        ('{"colour": 1}', "colour Input should be a valid string"),
        ('{"colour": "red", "extra": 1}', "extra"),
        ("[" * 100_000, "nested more than 100 deep"),
        ("\x00", "is damaged or of another version"),
    ],
)
def test_a_damaged_file_is_a_sentence(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.json.*" + words):
        OLD.read(tmp_path / "a.json")
    with pytest.raises(UserError, match="cannot be read"):
        OLD.read(tmp_path)


@pytest.mark.parametrize("kind", [kind for kind, (_, stored) in KINDS.items() if stored])
def test_a_field_that_is_added_leaves_stored_files_readable(kind):
    file, stored = KINDS[kind]
    wider = StoredFile(create_model("Wider", __base__=file._model, thrown_away=(int, 7)), file._upgrades)
    found = sorted((DATA / "schema-1").glob(stored))
    assert found
    for path in found:
        assert wider.read(path).thrown_away == 7


def fields(model, prefix=""):
    """The dotted names of a model's fields; configurations have a list of their own."""
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not ExperimentConfig:
                yield from fields(inner, f"{prefix}{name}.")


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_of_a_schema_is_removed_or_renamed(kind):
    """If this fails: write an upgrade, which raises the schema number, and add the new list.

    A field may be added: give it a default, and add it to the list.
    """
    file, _ = KINDS[kind]
    listed = json.loads((DATA / "stored-fields.json").read_text())[kind][str(file.schema)]
    assert sorted(fields(file._model)) == listed, "tests/data/stored-fields.json"
