"""Demonstrations from the front door: recorded, driven by keys, learned from, refused."""

import json

import numpy as np
import pytest

from tests.cli.runner import SHORT, bytes_of, mapush, the_run

pytestmark = pytest.mark.usefixtures("mujoco")
NEAR = ["task.success_distance=1.7"]
"""Some episodes of two seconds succeed."""
SET = [word for change in ["task.episode_seconds=2.0", "sim.threads=1", *NEAR] for word in ("--set", change)]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pytest.importorskip("mujoco.batch")
    file = tmp_path_factory.mktemp("shown") / "demo.npz"
    out, _ = mapush(
        "evaluate", "--scripted", "--episodes", 16, "--seed", 3, "--json", "--save-demonstrations", file, *SET
    )
    with np.load(file) as arrays:
        success = arrays["success"]
        assert len(success) == 16 and 0 < success.sum() == json.loads(out)[0]["successes"] < 16
    return file


def test_the_file_is_told(mujoco, tmp_path):
    given = ["evaluate", "--scripted", "--episodes", 4, "--seed", 3, "--save-demonstrations", "demo.npz", *SET]
    out, _ = mapush(*given, cwd=tmp_path)
    with np.load(tmp_path / "demo.npz") as arrays:
        assert f"demo.npz: 4 episodes, {arrays['success'].sum()} successful" in out.splitlines()


def train(results, *arguments, code=0):
    return mapush("train", "--results", results, "--no-evaluation", *SHORT, *NEAR, *arguments, code=code)


def test_a_training_learns_from_them_first_and_can_be_resumed(file, tmp_path):
    out, _ = train(tmp_path / "a", "--demonstrations", file)
    assert "decisions; actions differ by" in " ".join(out.split())
    run = the_run(tmp_path / "a")
    assert (run / "initial.safetensors").is_file()
    train(tmp_path / "b", "--demonstrations", file)
    last = "models/rl_model_480_steps"
    assert bytes_of(run / last) == bytes_of(the_run(tmp_path / "b") / last)
    train(tmp_path / "c")
    assert bytes_of(run / last) != bytes_of(the_run(tmp_path / "c") / last)
    saved = bytes_of(run / last)
    for folder in (run / "models").iterdir():
        for part in folder.iterdir():
            part.unlink()
        folder.rmdir()
    mapush("train", "--resume", run, "--no-evaluation")  # from what was learned, without the file
    assert bytes_of(run / last) == saved
    out, _ = train(tmp_path / "a", "--demonstrations", file, "--continue")
    assert "nothing is left to do" in " ".join(out.split())


def test_a_driven_robot_is_recorded_alike(tmp_path):
    pytest.importorskip("mujoco.batch")
    keys, saved = tmp_path / "keys.txt", tmp_path / "drive.npz"
    keys.write_text("0 up\n0 up\n0.5 left\n\n1.0 enter\n1.2 comma\n3.0 down\n")
    drive = ["--scripted", "--drive", 1, "--keys", keys, "--save", saved, "--episodes", 2, "--seed", 8]
    drive += ["--set", "task.placement=apart", "--set", "task.episode_seconds=2.0"]
    out, _ = mapush("play", *drive)
    assert "you drive robot 1" in out and "episode 2: " in out and "2 episodes" in out
    with np.load(saved) as arrays:
        lengths, action = arrays["lengths"], arrays["action"]
        assert list(lengths) == [20, 20] and action.shape == (40, 2, 3)
        driven = [list(command) for command in action[:, 1]]
        assert driven == [
            *[[1.0, 0.0, 0.0]] * 5, *[[1.0, 0.0, 0.5]] * 5, *[[0.0, 0.0, 0.0]] * 2, *[[0.0, 0.5, 0.0]] * 8,
            *[[0.0, 0.0, 0.0]] * 10, *[[-0.5, 0.0, 0.0]] * 10,
        ]  # fmt: skip
        assert action[:, 0].any()
    drive[drive.index(saved)] = tmp_path / "again.npz"
    mapush("play", *drive)
    with np.load(saved) as one, np.load(tmp_path / "again.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "command, words",
    [
        (["train", "--demonstrations", "no.npz"], "no.npz does not exist"),
        (["train", "--demonstrations", "text.npz"], "text.npz cannot be read as demonstrations"),
        (["train", "--demonstrations", "short.npz"], "short.npz cannot be read as demonstrations"),
        (["train", "--demonstrations", "other.npz"], "other.npz holds no demonstrations"),
        (["train", "--demonstrations", "FILE", "--object", "tblock"], "shows the object cuboid"),
        (["train", "--demonstrations", "FILE", "--team", "planar,rover"], "was recorded with team=[planar,planar]"),
        (["train", "--demonstrations", "FILE", "--learner", "harl"], "library=harl cannot start from demonstrations"),
        (["train", "--demonstrations", "FILE", "--resume", "run"], "leave the other options out"),
        (["train", "--demonstrations", "FILE", "learner.demonstrations.epochs=-1"], "learner.demonstrations.epochs=-1"),
        (["evaluate", "--scripted", "--save-demonstrations", "FILE"], "is not written over"),
        (["evaluate", "--scripted", "--save-demonstrations", "a.txt"], "must end in .npz"),
        (["evaluate", "--scripted", "--pretrained", "cuboid-planar", "--save-demonstrations", "a.npz"], "one policy"),
        (["play", "--scripted", "--keys", "keys.txt"], "add --drive ROBOT"),
        (["play", "--scripted", "--drive", "0", "--keys", "keys.txt"], "'0.5 jump' is not SECONDS KEY"),
        (["play", "--scripted", "--drive", "0", "--keys", "no.txt"], "no.txt does not exist"),
        (["train", "--demonstrations", "huge.npz"], "huge.npz cannot be imitated: its numbers are too large"),
        (["play", "--scripted", "--drive", "2", "--keys", "none.txt"], "the team has robots 0 to 1"),
        (["play", "--scripted", "--keys", "none.txt", "--drive", "0", "--save", "no/a.npz"], "is not a folder"),
        (
            ["play", "--scripted", "--pretrained", "a", "--drive", "0", "--keys", "none.txt"],
            "give a PATH to play, --scripted",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(file, tmp_path, command, words):
    (tmp_path / "text.npz").write_text("x")
    (tmp_path / "short.npz").write_bytes(file.read_bytes()[:-200])
    np.savez(str(tmp_path / "other.npz"), weights=np.zeros(3))
    arrays = dict(np.load(str(file)))
    np.savez(str(tmp_path / "huge.npz"), **{**arrays, "reward": np.full_like(arrays["reward"], 1e38)})
    (tmp_path / "keys.txt").write_text("0 up\n0.5 jump\n")
    (tmp_path / "none.txt").write_text("")
    before = sorted(tmp_path.iterdir())
    words_given = [str(file) if word == "FILE" else word for word in command]
    small = SHORT if command[0] == "train" and "--resume" not in command else []
    _, err = mapush(*words_given, *small, cwd=tmp_path, code=2)
    assert err.startswith("mapush: ") and words in err and err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
