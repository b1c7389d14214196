"""`mapush compare` as its users run it."""

import json
import struct

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra report is not installed")
pytest.importorskip("matplotlib", reason="the extra report is not installed")
from mapush_stack.analysis import events, run
from tests.analysis.test_compare import make_run
from tests.cli.runner import mapush, train_small


def test_runs_are_compared_from_training_to_pictures(tmp_path):
    pytest.importorskip("mujoco.batch", reason="MuJoCo 4 is not installed")
    runs = [
        train_small(tmp_path / "a")[1],
        make_run(tmp_path / "b", "learner.entropy_coef=0.01"),
        make_run(tmp_path / "c", rate=0.5),
        make_run(tmp_path / "d", rate=0.6, seed=2),
    ]
    # A kill while it was writing.
    (file,) = (runs[1] / "logs").glob("*tfevents*")
    file.write_bytes(file.read_bytes()[:-5])
    out, _ = mapush("compare", *runs, "--out", tmp_path / "out")
    out = " ".join(out.split())
    assert "learner.entropy_coef" in out and "nothing can be concluded" in out
    assert "ends in a half-written record: the run was killed while it wrote" in out
    report = (tmp_path / "out" / "comparison.md").read_text()
    assert "| learner.entropy\\_coef | 0 | 0.01 | 0 | weight of the entropy bonus: keeps the policy noisy |" in report
    for name in ("curves-steps.png", "curves-hours.png", "scores.png"):
        assert f"({name})" in report and (tmp_path / "out" / name).read_bytes()[:4] == b"\x89PNG"
    # Training ends with an evaluation of the last checkpoint; `mapush evaluate` does every one.
    assert [one.steps for one in run.read(runs[0]).evaluations] == [480]
    mapush("evaluate", runs[0])
    assert [one.steps for one in run.read(runs[0]).evaluations] == [160, 320, 480]
    plain = json.loads(mapush("compare", *runs, "--json")[0])
    assert [group["runs"] for group in plain["groups"]] == [[0], [1], [2, 3]]
    assert set(plain) == set(json.loads((tmp_path / "out" / "comparison.json").read_text()))


def test_one_run_alone_and_what_cannot_be_read_beside_it(tmp_path):
    alone = make_run(tmp_path / "run", evaluations=[(10_000, 0.3), (20_000, 0.9)])
    (alone / "logs" / "events").write_bytes(bytes(range(256)))
    (tmp_path / "empty").mkdir()
    out, _ = mapush("compare", alone, tmp_path / "empty")
    assert "is empty" in " ".join(out.split()) and "20,000" in out
    assert "events is not an event file of TensorBoard" in out
    assert "what differs" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["absent"], "absent does not exist; give the folder of a run"),
        (["empty"], "empty is empty"),
        (["empty", "absent"], "no run can be read"),
        (["README.md"], "neither a run's folder nor an event file"),
        (["several", "--group-by", "("], "--group-by (: it is no field of the runs, and no regular expression"),
        (["several", "--group-by", "seed-9"], "it is no field of the runs, and several/a does not match it as a path"),
        (["several", "--tag", "Loss/x"], "--tag Loss/x: no run logs such a tag; there is"),
        (["several", "--map", "x"], "--map x: give TAG=NAME"),
        (["several", "--map", "x=y"], "--map x=y: there is no name 'y'; there is train_episode_rewards"),
        (["several/a", "--out", "README.md/out"], "cannot be written"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path, arguments, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "README.md").write_text("#")
    for name in ("a", "b"):
        make_run(tmp_path / "several" / name, steps=[1000])
    _, err = mapush("compare", *arguments, cwd=tmp_path, code=2)
    assert words in err and err.count("\n") == 1


@pytest.mark.slow
def test_the_logs_of_100_million_steps_are_compared_in_seconds(tmp_path):
    """10,000 records of 30 tags; the limits leave room for a busy machine."""
    import resource
    import time

    runs = [make_run(tmp_path / name, seed=seed, steps=[1000]) for seed, name in enumerate(("a", "b"))]
    for folder in runs:
        for file in (folder / "logs").iterdir():
            file.unlink()
        write_events(
            folder / "logs" / "events.out.tfevents.1.x", [f"rewards/term_{index}" for index in range(30)], 10_000
        )
    begun = time.monotonic()
    mapush("compare", *runs)
    assert time.monotonic() - begun < 20  # two runs of 10 s each
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2**20  # KiB


def write_events(path, tags, length):
    """Write records as TensorBoard does, whose own writer takes a minute for these."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    records = [Event(wall_time=1e9, file_version="brain.Event:2").SerializeToString()]
    for step in range(length):
        for index, tag in enumerate(tags):
            value = Summary(value=[Summary.Value(tag=tag, simple_value=index + step / length)])
            records.append(Event(wall_time=1e9 + step, step=(step + 1) * 10_000, summary=value).SerializeToString())
    frames = [struct.pack("<Q", len(record)) + bytes(4) + record + bytes(4) for record in records]
    content = np.frombuffer(bytearray(b"".join(frames)), dtype=np.uint8)
    lengths = np.array([len(record) for record in records])
    starts = np.concatenate(([0], np.cumsum(lengths + 16)[:-1]))

    def place(at, sums):
        content[at[:, None] + np.arange(4)] = np.ascontiguousarray(sums).view(np.uint8).reshape(-1, 4)

    place(starts + 8, events.masked_sums(content, starts, 8))
    for size in np.unique(lengths).tolist():
        rows = starts[lengths == size]
        place(rows + 12 + size, events.masked_sums(content, rows + 12, size))
    path.write_bytes(content.tobytes())
