"""Every command, given files that no user means to give: one sentence, exit 2, in bounded time and memory."""

import importlib
import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mapush_stack.training.run_directory import RunDirectory
from mapush_stack.training.session import prepared
from mapush_stack.training.trainer import Trainer
from tests import hostile
from tests.cli import fabricate
from tests.conftest import small_config

pytestmark = pytest.mark.usefixtures("mujoco")
# Imported once here, and not in each of the processes that are forked.
pytest.importorskip("scipy.stats", reason="the extra report is not installed")
for _name in ("evaluate", "compare", "watch", "runs", "diagnose", "reproduce", "triage", "doctor", "walk", "train"):
    importlib.import_module(f"mapush_stack.cli.{_name}")
pytest.importorskip("tensorboard.compat.proto.event_pb2")

OPTIONS = {
    "preset": (["train", "--preset", "{}.yaml"], ()),
    "part": (["train", "--with", "{}.yaml"], ()),
    "object": (["train", "--object", "{}.yaml"], ()),
    "plug-in": (["presets", "--plugin", "{}.py"], ("empty",)),
    "resume": (["train", "--resume", "{}"], ()),
    "from": (["train", "--from", "{}"], ()),
    "weights": (["train", "--from", "{}.safetensors", "sim.num_envs=2"], ()),
    "walking policy": (["walk", "test", "--policy", "{}.safetensors", "--robots", "2"], ()),
    "run": (["evaluate", "{}"], ()),
    "module": (["evaluate", "{}.pt", "--episodes", "2"], ()),
    "arrays": (["evaluate", "{}.npz", "--episodes", "2"], ()),
    "compared": (["compare", "{}"], ()),
    "watched": (["watch", "--once", "{}"], ()),
    "diagnosed": (["diagnose", "{}"], ()),
    "reproduced": (["reproduce", "{}"], ()),
    "list": (["runs", "{}"], ("folder",)),
    "log": (["triage", "{}.log"], ("empty",)),
    "report": (["doctor", "--report", "{}.json"], ()),
    "probe": (["vram-probe", "--resume", "{}"], ()),
}
"""Options that take a file or folder, and the kinds of odd files that they take as they are."""


@pytest.mark.parametrize("kind", ["pipe", "folder", "empty", "sparse", "loop", "device", "binary"])
@pytest.mark.slow
def test_no_option_takes_what_is_no_file(tmp_path, kind):
    odd = hostile.odd_files(tmp_path)[kind]
    for name, (words, taken) in OPTIONS.items():
        if kind in taken:
            continue
        suffix = next((word[2:] for word in words if word.startswith("{}.")), "")
        path = odd.rename(odd.with_suffix(suffix)) if kind != "loop" else tmp_path / f"loop-{name}{suffix}"
        if kind == "loop":
            path.symlink_to(path.name)
        odd = path
        err = hostile.refused_command(*(word.replace("{}" + suffix, str(path)) for word in words))
        assert path.name in err or "/dev/zero" in err, (name, err)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of this project with a checkpoint, logs and all that belongs to it."""
    config = small_config()
    run = RunDirectory.create(tmp_path_factory.mktemp("run"), config, ["mapush", "train"])
    with prepared(config, 1) as (env, learner):
        trainer = Trainer(config, run, env, learner)
        trainer.steps = 160
        trainer.window.add({**fabricate.recent(0.5)["recent"]["updates"][0], "cause/value_error": 0.0})
        trainer.save()
    fabricate.log(run, [80, 160])
    return run.path


@pytest.fixture
def run(trained, tmp_path):
    copy = tmp_path / "mapush" / "a" / "b" / "c" / trained.name
    shutil.copytree(str(trained), str(copy))
    return copy


LAST = "models/rl_model_160_steps"
FILES = [
    "config.json",
    "manifest.json",
    ".lock",
    "progress.json",
    "evaluations.json",
    "success_rate.txt",
    "progress.txt",
    "log.txt",
    "task/config.py",
    "task/train.sh",
    "a.mp4",
    "a-1.png",
    "logs/events.out.tfevents.9",
    f"{LAST}/progress.json",
    f"{LAST}/model.safetensors",
    f"{LAST}/training.safetensors",
    LAST,
    "logs",
]
NEEDED = ("config.json", LAST)
"""Without these a run cannot be resumed."""


def put(odd, file):
    """Put an odd file in the place of another one."""
    if file.is_dir():
        shutil.rmtree(str(file))
    elif file.exists():
        file.unlink()
    file.parent.mkdir(exist_ok=True)
    odd.rename(file)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.slow
def test_a_run_with_odd_things_in_it_is_told(run, tmp_path, file):
    whole = tmp_path / "whole"
    run.rename(whole)
    odd_files = hostile.odd_files(tmp_path)
    for kind in ("pipe", "device", "sparse", "binary"):
        odd = odd_files[kind]
        shutil.copytree(str(whole), str(run))
        put(odd, run / file)
        hostile.command("runs", tmp_path / "mapush")
        if kind in ("pipe", "binary"):
            hostile.command("watch", "--once", run)
        if file.startswith(f"{LAST}/"):
            err = hostile.refused_command("train", "--resume", run)
            assert file in err, err
        shutil.rmtree(str(run))


def change_progress(**changes):
    def change(folder):
        file = folder / "progress.json"
        plain = json.loads(file.read_text())
        for name, value in changes.items():
            if value is None:
                del plain[name]
            else:
                plain[name] = value
        file.write_text(json.dumps(plain))

    return change


def raw_progress(text):
    return lambda folder: (folder / "progress.json").write_text(text)


def change_tensors(file, change):
    def apply(folder):
        tensors = load_file(str(folder / file))
        change(tensors)
        save_file(tensors, str(folder / file))

    return apply


def replaced(name, value):
    return lambda tensors: tensors.update({name: value(tensors[name]).contiguous()})


def of_three_robots(folder):
    config = small_config("team=[planar,planar,planar]")
    with prepared(config, 1) as (_, learner):
        save_file(
            {name: value.contiguous() for name, value in learner.model_state().items()},
            str(folder / "model.safetensors"),
        )


RECENT = fabricate.recent(0.5)["recent"]
FIRST = "actor0.net.0.weight"
CHECKPOINTS = {
    "no steps": (change_progress(steps=None), "progress.json", "steps"),
    "no statistics": (change_progress(recent=None), "progress.json", "recent"),
    "other steps": (change_progress(steps=80), "progress.json", "steps=80"),
    "steps in quotes": (change_progress(steps="160"), "progress.json", "steps"),
    "negative steps": (change_progress(steps=-160), "progress.json", "steps"),
    "infinite steps": (raw_progress('{"steps": 1e999}'), "progress.json", "steps"),
    "steps that are no number": (raw_progress('{"steps": NaN}'), "progress.json", "steps"),
    "steps of 6,000 digits": (raw_progress('{"steps": ' + "1" * 6000 + "}"), "progress.json", "6,000 digits"),
    "a field too many": (change_progress(colour=1), "progress.json", "colour"),
    "many processes": (change_progress(processes=10**9), "progress.json", "processes"),
    "two processes": (change_progress(processes=2), "2 processes", "--gpus 2"),
    "nesting": (raw_progress('{"steps": ' + "[" * 100_000), "progress.json", "nested"),
    "a list": (raw_progress("[]"), "progress.json", "object"),
    "nothing": (raw_progress(""), "progress.json", "damaged"),
    "a field twice": (raw_progress('{"steps": 160, "steps": 160}'), "progress.json", "twice"),
    "statistics that are a list": (change_progress(recent=[]), "progress.json", "recent"),
    "statistics without a sum": (
        change_progress(recent={"updates": [{"episodes": 1.0}], "value_errors": 0}),
        "progress.json",
        "successes",
    ),
    "statistics in words": (
        change_progress(recent={**RECENT, "updates": [{"episodes": "many"}]}),
        "progress.json",
        "episodes",
    ),
    "infinite statistics": (
        raw_progress(
            json.dumps(
                {"steps": 160, "recent": {**RECENT, "updates": [{**RECENT["updates"][0], "reward": float("inf")}]}}
            )
        ),
        "progress.json",
        "reward",
    ),
    "a wrong shape": (
        change_tensors("model.safetensors", replaced(FIRST, lambda old: old[:, :-1])),
        FIRST,
        "has the shape [16, ",
    ),
    "a wrong type": (
        change_tensors("model.safetensors", replaced(FIRST, lambda old: old.double())),
        FIRST,
        "torch.float64",
    ),
    "a missing tensor": (change_tensors("model.safetensors", lambda tensors: tensors.pop(FIRST)), FIRST, "is missing"),
    "an unknown tensor": (
        change_tensors("model.safetensors", lambda tensors: tensors.update(foo=torch.zeros(1))),
        "foo",
        "no place",
    ),
    "weights that are no numbers": (
        change_tensors("model.safetensors", replaced(FIRST, lambda old: old * float("nan"))),
        FIRST,
        "not finite",
    ),
    "another team": (of_three_robots, "3 actors", "needs 2"),
    "a wrong moment": (
        change_tensors("training.safetensors", replaced("actor0.first", lambda old: old[1:])),
        "actor0.first",
        "has the shape",
    ),
    "a missing moment": (
        change_tensors("training.safetensors", lambda tensors: tensors.pop("actor0.first")),
        "actor0.first",
        "is missing",
    ),
    "no state of the simulator": (
        change_tensors("training.safetensors", lambda tensors: tensors.pop("env.episode")),
        "env.episode",
        "is missing",
    ),
    "other environments": (
        change_tensors("training.safetensors", replaced("env.episode", lambda old: old[:3])),
        "env.episode",
        "[3]",
    ),
    "an unknown state": (
        change_tensors("training.safetensors", lambda tensors: tensors.update(foo=torch.zeros(1))),
        "foo",
        "no place",
    ),
    "a short generator": (
        change_tensors("training.safetensors", replaced("generator.noise", lambda old: old[:9])),
        "generator.noise",
        "has the shape [9]",
    ),
    "no generator": (
        change_tensors("training.safetensors", lambda tensors: tensors.pop("generator.noise")),
        "generator.noise",
        "is missing",
    ),
}


@pytest.mark.parametrize("damage", CHECKPOINTS)
def test_a_checkpoint_that_does_not_fit_is_refused_before_anything_is_touched(run, damage):
    change, *words = CHECKPOINTS[damage]
    change(run / LAST)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(run.rglob("*"))}
    err = hostile.refused_command("train", "--resume", run, words=words)
    assert "--gpus" in err or f"move {run / LAST} away" in err
    assert before == {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(run.rglob("*"))}
    if "training.safetensors" not in damage and words[0] == FIRST:
        hostile.refused_command("evaluate", run / LAST, "--episodes", "2", words=words)


def test_a_whole_checkpoint_is_resumed(run):
    code, err = hostile.command("train", "--resume", run, "--no-evaluation")
    assert code == 0, err


TENSOR = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HEADERS = {
    "no bytes": b"",
    "an absurd length": b"\xff" * 8 + b"{}",
    "a length beyond the end": (10**5).to_bytes(8, "little") + b"{}",
    "a tensor twice": f'{{"a": {TENSOR}, "a": {TENSOR}}}',
    "tensors over one another": f'{{"a": {TENSOR}, "b": {TENSOR}}}',
    "a shape that lies": '{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}',
    "a shape that overflows": '{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}',
    "an unknown type": '{"a":{"dtype":"Q7","shape":[1],"data_offsets":[0,4]}}',
    "a type of torch's newest": '{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}',
    "a negative offset": '{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}',
    "deep nesting": '{"a":' + "[" * 1000 + "]" * 1000 + "}",
    "metadata that is a number": '{"__metadata__": 5}',
    "no tensors": "{}",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_safetensors_file_is_refused(run, tmp_path, name):
    content = HEADERS[name]
    if isinstance(content, str):
        content = len(content).to_bytes(8, "little") + content.encode() + b"\0" * 4
    for file in ("model.safetensors", "training.safetensors"):
        shutil.copytree(str(run / LAST), str(tmp_path / "kept"))
        (run / LAST / file).write_bytes(content)
        hostile.refused_command("train", "--resume", run, words=[run / LAST])
        shutil.rmtree(str(run / LAST))
        (tmp_path / "kept").rename(run / LAST)
    path = tmp_path / "walk.safetensors"
    path.write_bytes(content)
    hostile.refused_command("walk", "test", "--policy", path, "--robots", 2, words=[path])


def test_weights_of_a_terabyte_of_nothing_are_refused_by_their_shape(run):
    header = json.dumps({FIRST: {"dtype": "F32", "shape": [2**37], "data_offsets": [0, 2**39]}}).encode()
    with (run / LAST / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**39)
    code, err = hostile.command("train", "--resume", run, mib=2**20)
    assert code == 2 and err.count("\n") == 1, err


CONFIGS = {
    "a date": "extends: default\ntraining:\n  seed: 2020-13-45\n",
    "brackets": "training:\n  seed: " + "[" * 5000 + "\n",
    "itself": "training: &a\n  seed: *a\n",
    "itself in a list": "description: &a [*a]\n",
    "a billion laughs": "description:\n- &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"- &{after} [{', '.join(['*' + before] * 10)}]\n" for before, after in zip("abcdefghi", "bcdefghij")),
    "a billion merged laughs": "a: &a {x: 1}\n"
    + "".join(
        f"{after}: &{after} {{<<: [{', '.join(['*' + before] * 10)}]}}\n"
        for before, after in zip("abcdefghi", "bcdefghij")
    ),
    "a list for an object": "object: [1]\n",
    "a number of 6,000 digits": "training:\n  seed: " + "1" * 6000 + "\n",
    "an infinite number": "extends: default\ntask:\n  rewards:\n    push: 1e999\n",
    "infinity": "extends: default\ntask:\n  rewards:\n    push: .inf\n",
    "no number": "extends: default\ntask:\n  rewards:\n    push: .nan\n",
    "bytes": b"\xff\xfe\xfd",
    "UTF-16": "training: {seed: 1}".encode("utf-16"),
    "Latin-1": "description: caf\xe9\n".encode("latin-1"),
    "a NUL": "description: a\0b\n",
    "tabs": "training:\n\tseed: 1\n",
    "a key twice": "training:\n  seed: 1\n  seed: 2\n",
    "a key that is a number": "1: 2\n",
    "a key that is a list": "[a, b]: 2\n",
    "a key that is yes": "yes: 2\n",
    "an object of Python": "description: !!python/object/apply:os.system [touch ran]\n",
    "a set": "description: !!set {a, b}\n",
    "binary data": "description: !!binary YQ==\n",
    "a list": "- 1\n",
    "nothing": "",
    "two documents": "seed: 1\n---\nseed: 2\n",
    "many lines": "x: 1\n" * 200_000,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_hostile_yaml_file_is_refused(tmp_path, name):
    content = CONFIGS[name]
    path = tmp_path / "a.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for words in (["presets", path], ["presets", "default", "--with", path], ["train", "--object", path]):
        hostile.refused_command(*words, words=[path])
    if not isinstance(content, bytes) and "\0" not in content and len(content) < 100_000:
        hostile.refused_command("train", f"training.seed={content}")


STORED = {
    "a list for an object": {"object": [1]},
    "a list for the task": {"task": [1]},
    "a list of rewards": {"task": {"rewards": [1]}, "schema": 1},
    "a task of schema 1 that is a list": {"task": [1], "schema": 1},
    "words for numbers": {"training": {"seed": "many"}},
    "an absurd schema": {"schema": 10**30},
}


@pytest.mark.parametrize("name", STORED)
def test_a_hostile_configuration_of_a_run_is_refused(run, name):
    file = run / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **STORED[name]}))
    for command in (["train", "--resume", run], ["train", "--from", run], ["evaluate", run], ["reproduce", run]):
        hostile.refused_command(*command, words=[file])
    hostile.command("compare", run)
    hostile.command("runs", run)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 10**5,
        '{"a": ' + "1" * 6000 + "}",
        "nul",
        "\ud83d".encode("utf-8", "surrogatepass"),
        '{"learner": NaN}',
        '{"\\ud800": 1}',
    ],
)
def test_a_configuration_that_is_no_json_is_refused(run, text):
    (run / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    for command in (["train", "--resume", run], ["evaluate", run], ["reproduce", run]):
        hostile.refused_command(*command, words=[run / "config.json"])
    hostile.command("runs", run)


def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("training: {seed: 1}\n")
    path.chmod(0)

    def action():
        if not os.getuid():
            os.setresuid(65534, 65534, 65534)
        from mapush_stack.system.limits import read_bytes

        return read_bytes(path)

    tmp_path.chmod(0o755)
    hostile.refused(action, "a.yaml", "Permission denied")
