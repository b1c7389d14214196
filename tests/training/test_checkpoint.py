import json
from pathlib import Path

import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.system import atomic
from mapush_stack.training import checkpoint
from mapush_stack.training.checkpoint import Checkpoint
from mapush_stack.training.episode_window import PROGRESS
from tests.cli.fabricate import recent


def example(steps=160):
    big = torch.arange(12.0).view(3, 4)
    model = {"weight": big, "view": big.T, "same": big}
    training = {"count": torch.tensor(7), "state": torch.arange(5, dtype=torch.uint8)}
    return Checkpoint(steps, model, training, recent(0.5))


def test_a_checkpoint_survives(tmp_path):
    path = checkpoint.save(tmp_path, example())
    assert path.name == "rl_model_160_steps"
    assert sorted(file.name for file in path.iterdir()) == [
        "model.safetensors",
        "progress.json",
        "training.safetensors",
    ]
    loaded = checkpoint.load(path)
    assert loaded.steps == 160 and loaded.progress == recent(0.5)
    for saved, read in ((example().model, loaded.model), (example().training, loaded.training)):
        assert saved.keys() == read.keys()
        assert all(torch.equal(saved[name], read[name]) for name in saved)


def test_the_same_checkpoint_has_the_same_bytes(tmp_path):
    paths = [checkpoint.save(tmp_path / name, example()) for name in ("one", "two")]
    for file in ("model.safetensors", "training.safetensors", "progress.json"):
        assert (paths[0] / file).read_bytes() == (paths[1] / file).read_bytes()


def test_checkpoints_are_listed_by_steps(tmp_path):
    for steps in (1000, 200, 30_000):
        checkpoint.save(tmp_path, example(steps))
    (tmp_path / "rl_model_x_steps").mkdir()
    (tmp_path / ".writing-abc").mkdir()
    (tmp_path / "rl_model_7_steps").write_text("a file")
    assert [steps for steps, _ in checkpoint.all_in(tmp_path)] == [200, 1000, 30_000]
    assert checkpoint.all_in(tmp_path / "nowhere") == []


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, example(1))
    real = checkpoint.save_file
    calls = []

    def fails_the_second_time(tensors, path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError("no space left on device")
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", fails_the_second_time)
    with pytest.raises(OSError):
        checkpoint.save(tmp_path, example(2))
    assert [path.name for path in tmp_path.iterdir()] == ["rl_model_1_steps"]


def test_everything_is_on_the_disk_before_the_name_appears(tmp_path, monkeypatch):
    events = []
    real_sync, real_rename = atomic.sync, Path.rename
    monkeypatch.setattr(atomic, "sync", lambda path: (events.append(("sync", Path(path).name)), real_sync(path)))
    monkeypatch.setattr(Path, "rename", lambda old, new: (events.append(("rename", new.name)), real_rename(old, new)))
    checkpoint.save(tmp_path, example())
    renamed = events.index(("rename", "rl_model_160_steps"))
    for name in ("model.safetensors", "training.safetensors", "progress.json"):
        assert ("sync", name) in events[:renamed]
    assert ("sync", tmp_path.name) in events[renamed:]


@pytest.mark.parametrize("file", ["model.safetensors", "training.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(tmp_path, file, damage):
    path = checkpoint.save(tmp_path, example())
    target = path / file
    content = target.read_bytes()
    if damage == "missing":
        target.unlink()
    else:
        target.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "garbage": b"\xff" * 100}[damage])
    with pytest.raises(UserError) as caught:
        checkpoint.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_checkpoint_of_a_newer_version_is_refused_and_one_without_a_number_is_read(tmp_path):
    path = checkpoint.save(tmp_path, example())
    file = path / "progress.json"
    plain = json.loads(file.read_text())
    assert plain == {"schema": PROGRESS.schema, "steps": 160, **recent(0.5)}
    file.write_text(json.dumps({"steps": 160, **recent(0.5)}))
    assert checkpoint.load(path).progress == recent(0.5)
    file.write_text(json.dumps({**plain, "schema": PROGRESS.schema + 1}))
    with pytest.raises(UserError, match=r"was written by a newer version \(schema 3\).*: upgrade with") as caught:
        checkpoint.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("schema", ["0", "-1", '"2"', "true", "1.0", "null", "[]", "1e999"])
def test_a_damaged_schema_number_of_a_checkpoint_is_a_sentence(tmp_path, schema):
    path = checkpoint.save(tmp_path, example())
    (path / "progress.json").write_text(f'{{"schema": {schema}, "steps": 160}}')
    with pytest.raises(UserError, match="is not a schema number"):
        checkpoint.load(path)


def test_json_is_replaced_whole(tmp_path):
    file = tmp_path / "a.json"
    atomic.write_json(file, {"old": 1})
    with pytest.raises(TypeError):
        atomic.write_json(file, {"new": object()})
    assert json.loads(file.read_text()) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
