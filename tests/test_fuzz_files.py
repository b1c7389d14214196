"""Real files with random damage: every reader gives its answer or one sentence, in bounded time and memory.

`pytest -m slow tests/test_fuzz_files.py` tries 10,000 mutations of each format and prints the counts.
"""

import copy
import importlib
import json
import random
import resource
import shutil
import signal
import struct
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mapush_stack.errors import UserError
from mapush_stack.training import config as configuration
from tests import hostile

# Imported once here, and not in each of the processes that are forked.
for _name in ("analysis.listing", "harness.triage.diagnosis", "harness.vram.folder", "sweep.summary"):
    importlib.import_module(f"mapush_stack.{_name}")
for _name in ("mapush_stack.training.session", "torch.utils.tensorboard"):
    importlib.import_module(_name)
FAST, SLOW = 8, 10_000
"""Mutations of each format."""
DATA = Path(__file__).parent / "data"
TOKENS = [
    b"NaN",
    b"1e999",
    b"-1",
    b"null",
    b"[]",
    b"{}",
    b'"x"',
    b"1" * 30,
    b"9" * 5000,
    b"[" * 400,
    b"true",
    b"\xff",
    b"&a",
    b"*a",
    b"!!python/object:os.system x",
    b"2020-13-45",
    b"\t",
    b"\n",
    b"\0",
    b"{",
    b"}",
    b"]",
    b":",
    b",",
    b"0.5",
    b"\xed\xa0\xbd",
    b"\\ud800",
    b"<<: *a",
    b"-0",
    b"1e-400",
    b"e",
    b"4294967296",
    b"9223372036854775807",
    b"../../x",
    b"\x1b[2J",
]
VALUES = [
    None,
    True,
    -1,
    0,
    10**18,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "a" * 10_000,
    [],
    {},
    [[]],
    {"a": 1},
    "\ud800",
    [1] * 50,
    "1",
    -0.5,
    {"": {"": {}}},
]


def edited(data, draw):
    """Bytes with a few of them changed, cut, doubled or replaced by tokens."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at, kind = draw.randint(0, len(changed)), draw.randrange(6)
        size = draw.choice([1, 1, 2, 4, 8, draw.randint(1, 64)])
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed[at : at + size] = draw.choice(TOKENS)
        elif kind == 2:
            del changed[at : at + size]
        elif kind == 3:
            changed[at:at] = changed[at : at + size] * draw.choice([1, 2, 50])
        elif kind == 4:
            changed[at : at + size] = draw.getrandbits(8 * size).to_bytes(size, "little")
        elif draw.randrange(4) == 0:
            del changed[at:]
    return bytes(changed)


def edited_json(data, draw):
    """JSON with a value replaced, left out, named otherwise or doubled; sometimes its bytes edited."""
    plain = json.loads(data)
    for _ in range(draw.randint(1, 3)):
        node = plain
        while isinstance(node, (dict, list)) and node:
            key = draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
            inner, kind = node[key], draw.randrange(5)
            if kind and isinstance(inner, (dict, list)) and inner:
                node = inner
                continue
            if kind == 1:
                del node[key]
            elif kind == 2 and isinstance(node, dict):
                node["x" * draw.randrange(3)] = node.pop(key)
            else:
                node[key] = copy.deepcopy(draw.choice(VALUES))
            break
    text = json.dumps(plain).encode()
    return edited(text, draw) if draw.randrange(4) == 0 else text


def edited_zip(data, draw):
    """An archive with a file in it edited; sometimes the archive itself."""
    import io

    if draw.randrange(3) == 0:
        return edited(data, draw)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    programs = [name for name in files if name.endswith("data.pkl")]
    name = draw.choice(programs * len(files) + list(files))
    files[name] = (
        edited(files[name][: draw.choice([200, 10**6])], draw) if name.endswith(".npy") else edited(files[name], draw)
    )
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return kept.getvalue()


def edited_tensors(data, draw):
    """A .safetensors file with its header edited; sometimes all of it."""
    size = int.from_bytes(data[:8], "little")
    if draw.randrange(4) == 0:
        return edited(data, draw)
    header = (edited_json if draw.randrange(2) else edited)(data[8 : 8 + size], draw)
    length = len(header) if draw.randrange(8) else draw.getrandbits(draw.choice([8, 20, 64]))
    return length.to_bytes(8, "little") + header + data[8 + size :]


def edited_events(data, draw):
    """An event file with a record edited under a right checksum; sometimes all of it."""
    if draw.randrange(3) == 0:
        return edited(data, draw)
    position, records = 0, []
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        records.append(data[position + 12 : position + 12 + length])
        position += 16 + length
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(records))
        records[at] = edited(records[at], draw)
    return b"".join(map(hostile.framed, records))


class Format:
    """A kind of file: a real one, how it is damaged, and what reads it."""

    def __init__(self, make, edit, read):
        self.make, self.edit, self.read = make, edit, read


def copied(source, folder):
    shutil.copytree(str(source), str(folder / "it"))
    return folder / "it"


def a_run(folder):
    from tests.cli import fabricate

    return fabricate.make(folder, checkpoints=[(160, 0.5)], logged=[80, 160, 240]).path


def old_run(folder):
    return copied(DATA / "schema-1/run", folder)


def in_a_run(name, edit, *readers, make=a_run):
    """A file of a run, which all of `readers` read; they are given the run."""

    def place(folder):
        run = make(folder)
        found = sorted(run.glob(name))
        return (found[-1] if found else run / name), run

    return Format(place, edit, readers)


def loaded_config(run):
    from mapush_stack.training.run_directory import RunDirectory

    RunDirectory(run).config()


def analysed(run):
    from mapush_stack.analysis import run as runs

    found = runs.read(run)
    assert found.steps is not None and found.last_logged is not None


def listed(run):
    from mapush_stack.analysis import listing

    json.dumps(listing.describe(run).to_json())


def resumed(run):
    from mapush_stack.training import checkpoint

    _, path = checkpoint.all_in(run / "models")[-1]
    checkpoint.load(path)


def restored(run):
    from mapush_stack.training import checkpoint
    from mapush_stack.training.run_directory import RunDirectory
    from mapush_stack.training.session import prepared
    from mapush_stack.training.trainer import Trainer

    if run not in _TRAINERS:
        made = RunDirectory(run)
        context = prepared(made.config(), 1)  # kept, as its end closes the environment
        _TRAINERS[run] = context, Trainer(made.config(), made, *context.__enter__())
    _TRAINERS[run][1].restore(checkpoint.load(checkpoint.all_in(run / "models")[-1][1]))


_TRAINERS = {}


def evaluations_recorded(run):
    from mapush_stack.analysis import evaluations

    evaluations.read(run, 480)
    text = (run / "evaluations.json").read_bytes()
    row = {"path": str(run / "models" / "rl_model_160_steps"), "steps": 160, "episodes": 9, "success_rate": 0.5}
    evaluations.record([row, {**row, "absent": [1]}])
    (run / "evaluations.json").write_bytes(text)


def with_evaluations(folder):
    run = a_run(folder)
    row = {"steps": 160, "success_rate": 0.5, "episodes": 9, "success_interval": [0, 1], "causes": {"time_limit": 4}}
    (run / "evaluations.json").write_text(
        json.dumps({"schema": 2, "rows": [row, {**row, "steps": 320}], "incomplete_teams": [{**row, "absent": [0]}]})
    )
    (run / "success_rate.txt").write_text(
        "Loaded checkpoint from: a/rl_model_160_steps/module.pt\nsuccess rate: 0.5\nfinished time: 3.2\n----\n" * 2
    )
    (run / "progress.txt").write_text("160,1.5\n320,2.5\n480,nan\n")
    return run


def openrl_run(folder):
    run = folder / "run"
    (run / "task").mkdir(parents=True)
    lines = [
        f"2026-01-01 10:00:0{index},123 [INFO] Episode: {index}/9\n\tFPS: 12.5\n\treward: {index}.5\n"
        for index in range(5)
    ]
    (run / "log.txt").write_text("".join(lines))
    (run / "task" / "config.py").write_text(
        "class A:\n    class env:\n        num_agents = 2\n        x = [1, 2.5, 'a']\n"
    )
    (run / "task" / "train.sh").write_text(
        "num_envs=500\nnum_steps=900000\nalgo=ppo\npython x.py --seed 1 --task go1push\n"
    )
    return run


def module(layers):
    def make(folder):
        from tests.learning.openrl.test_restricted_pickle import write_module

        with pytest.MonkeyPatch.context() as patch:
            write_module(folder / "module.pt", patch, layers=layers, extra=[1, "a", {"b": (2.5, None)}])
        return folder / "module.pt", folder / "module.pt"

    return make


def arrays_of_upstream(folder):
    import numpy as np

    from tests.learning.openrl.test_restricted_pickle import arrays

    np.savez(str(folder / "a.npz"), **{name: value.numpy() for name, value in arrays().items()})
    return folder / "a.npz", folder / "a.npz"


def shown(folder):
    from mapush_stack.training import demonstrations
    from tests.training.test_demonstrations import recorded

    demonstrations.save(recorded(each=1)[0], folder / "demo.npz")
    return folder / "demo.npz", folder / "demo.npz"


def walking(folder):
    from mapush_stack.locomotion import policy

    policy.save(policy.WalkingPolicy([8, 4]), folder / "walk.safetensors")
    return folder / "walk.safetensors", str(folder / "walk.safetensors")


def yaml_of(kind):
    def make(folder):
        from mapush_stack import presets

        source = {"preset": presets.PRESETS["default"], "object": presets.OBJECTS["tblock"]}[kind]
        shutil.copy(str(source), str(folder / f"{kind}.yaml"))
        return folder / f"{kind}.yaml", str(folder / f"{kind}.yaml")

    return make


def in_trials(kind, name):
    def make(folder):
        found = copied(DATA / "schema-1" / kind, folder)
        return sorted(found.glob(name))[0], found

    return make


def swept(folder):
    from mapush_stack.sweep import summary
    from mapush_stack.sweep.folder import SweepFolder

    sweep = SweepFolder(folder)
    states = sweep.states()
    json.dumps(summary.rows(sweep, states))
    for trial in sweep.trials[:1]:
        trial.request()
        trial.progress()
        trial.last_line()


def probed(folder):
    from mapush_stack.harness.vram.folder import ProbeFolder

    ProbeFolder(folder).records()


def module_read(path):
    from mapush_stack.learning.openrl.actor import read_module

    read_module(path)


def arrays_read(path):
    from mapush_stack.learning.openrl.actor import read_npz

    read_npz(path)


def demonstrated(path):
    from mapush_stack.training import demonstrations
    from tests.training.test_demonstrations import EASY

    demonstrations.examples(demonstrations.load(path), configuration.load(overrides=EASY), path)


def walked(path):
    from mapush_stack.locomotion import policy

    policy.load(path)


def log_read(path):
    from mapush_stack.harness.triage import rules
    from mapush_stack.harness.triage.diagnosis import diagnose
    from mapush_stack.harness.triage.log import Log

    diagnose(Log(path.read_bytes()), rules.registered(), 1)


def a_log(folder):
    source = sorted((Path(__file__).parent / "harness/logs/known").glob("*.log"))[0]
    shutil.copy(str(source), str(folder / "a.log"))
    return folder / "a.log", folder / "a.log"


def raw(text):
    """An override's value, whatever the text of the file."""
    configuration.load(overrides=["training.seed=" + text.read_bytes().decode("utf-8", "replace")])


def an_override(folder):
    (folder / "value").write_bytes(b"[1, {a: 2.5, b: [x, 'y']}, 1e3]")
    return folder / "value", folder / "value"


LAST = "models/rl_model_*_steps"
FORMATS = {
    "module.pt of MAPush": Format(module(1), edited_zip, [module_read]),
    "module.pt of OpenRL": Format(module(3), edited_zip, [module_read]),
    "npz": Format(arrays_of_upstream, edited_zip, [arrays_read]),
    "demonstrations": Format(shown, edited_zip, [demonstrated]),
    "walking policy": Format(walking, edited_tensors, [walked]),
    "model.safetensors": in_a_run(f"{LAST}/model.safetensors", edited_tensors, restored, make=old_run),
    "training.safetensors": in_a_run(f"{LAST}/training.safetensors", edited_tensors, restored, make=old_run),
    "events": in_a_run("logs/*tfevents*", edited_events, analysed, listed),
    "config.json": in_a_run("config.json", edited_json, loaded_config, analysed, listed),
    "manifest.json": in_a_run("manifest.json", edited_json, loaded_config, analysed, listed),
    "progress.json": in_a_run(f"{LAST}/progress.json", edited_json, resumed, listed),
    "evaluations.json": in_a_run("evaluations.json", edited_json, evaluations_recorded, listed, make=with_evaluations),
    "success_rate.txt": in_a_run("success_rate.txt", edited, analysed, make=with_evaluations),
    "progress.txt": in_a_run("progress.txt", edited, analysed, make=with_evaluations),
    "log.txt": in_a_run("log.txt", edited, analysed, make=openrl_run),
    "config.py": in_a_run("task/config.py", edited, analysed, make=openrl_run),
    "preset": Format(yaml_of("preset"), edited, [lambda path: configuration.load(path)]),
    "object": Format(yaml_of("object"), edited, [lambda path: configuration.load(object_name=path)]),
    "override": Format(an_override, edited, [raw]),
    "sweep.json": Format(in_trials("sweep", "sweep.json"), edited_json, [swept]),
    "state.json": Format(in_trials("sweep", "trials/*/state.json"), edited_json, [swept]),
    "trial.json": Format(in_trials("sweep", "trials/*/trial.json"), edited_json, [swept]),
    "probe.json": Format(in_trials("probe", "probe.json"), edited_json, [probed]),
    "record of a probe": Format(in_trials("probe", "trials/0*.json"), edited_json, [probed]),
    "log of a crash": Format(a_log, edited, [log_read]),
}


class TooSlowError(Exception):
    pass


def too_slow(*ignored):
    raise TooSlowError


def mutations(kind, folder, count):
    """(read, refused, slowest in s, MiB at the peak) of so many mutations; to be called in a process of its own."""
    path, argument = FORMATS[kind].make(folder)
    whole = path.read_bytes()
    for read in FORMATS[kind].read:  # imports, and shows that it is readable
        try:
            read(argument)
        except UserError as error:
            assert "damaged" not in str(error), error
    start, tally, slowest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, [0, 0], 0.0
    signal.signal(signal.SIGPROF, too_slow)

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        derandomize=True,
    )
    @given(st.integers(0, 2**64))
    def try_one(seed):
        nonlocal slowest
        path.write_bytes(FORMATS[kind].edit(whole, random.Random(seed)))
        for read in FORMATS[kind].read:
            begun = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, 2)
            try:
                read(argument)
                tally[0] += 1
            except UserError as error:
                tally[1] += 1
                assert "\n" not in str(error)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            slowest = max(slowest, time.process_time() - begun)

    try_one()
    return (*tally, round(slowest, 2), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) >> 10)


def check(kind, folder, count):
    answer = hostile.bounded(lambda: mutations(kind, folder, count), seconds=3600, mib=1000)
    assert answer.startswith("("), answer
    print(f"{kind}: {count} mutations; read, refused, slowest s, MiB more at the peak: {answer}")
    assert json.loads(answer.replace("(", "[").replace(")", "]"))[3] < hostile.MIB, answer


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_read_or_refused(tmp_path, kind, mujoco):
    check(kind, tmp_path, FAST)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", FORMATS)
def test_ten_thousand_damaged_files_are_read_or_refused(tmp_path, kind, mujoco):
    check(kind, tmp_path, SLOW)
