"""Policies of other programs that are damaged or made to harm: refused in one sentence, in bounded time and memory."""

import zipfile

import numpy as np
import pytest

from mapush_stack.learning.openrl.actor import read_module, read_npz
from tests import hostile
from tests.learning.openrl.test_restricted_pickle import arrays

READERS = {".pt": read_module, ".npz": read_npz}


@pytest.mark.parametrize("name", hostile.PICKLES)
def test_a_hostile_pickle_is_refused(tmp_path, name):
    path = hostile.write_pickle(tmp_path / "module.pt", hostile.PICKLES[name])
    hostile.refused(lambda: read_module(path), path)


@pytest.mark.parametrize("name", hostile.ARRAYS)
def test_a_hostile_array_is_refused(tmp_path, name):
    path = hostile.write_zip(tmp_path / "a.npz", {"base.mlp.fc1.0.weight.npy": hostile.ARRAYS[name]})
    hostile.refused(lambda: read_npz(path), path)


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("name", ["pipe", "folder", "empty", "sparse", "loop", "socket", "binary", "device"])
def test_what_is_no_file_is_refused(tmp_path, suffix, name):
    path = hostile.odd_files(tmp_path)[name]
    hostile.refused(lambda: READERS[suffix](path), path)


def good(suffix):
    files = {"m/data.pkl": hostile.module(b"N")}
    return {f"{name}.npy": hostile.npy(hostile.header()) for name in arrays()} if suffix == ".npz" else files


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize(
    "damage", ["encrypted", "method", "deflate", "bomb", "nested bomb", "count", "names", "cut", "no list"]
)
def test_a_hostile_archive_is_refused(tmp_path, suffix, damage):
    path, files = tmp_path / f"a{suffix}", good(suffix)
    if damage == "bomb":
        files["m/data/0"] = bytes(80 * 2**20)
    elif damage == "count":
        files.update({f"m/data/{number}": b"" for number in range(30_000)})
    elif damage == "nested bomb":
        files.update({f"m/data/{number}": bytes(7 * 2**20) for number in range(10)})
    hostile.write_zip(path, files, zipfile.ZIP_DEFLATED)
    content = path.read_bytes()
    if damage in ("encrypted", "method"):
        content = hostile.flagged(content, flag=damage == "encrypted", method=99 * (damage == "method"))
    elif damage == "deflate":
        content = content[:60] + b"\xff" * 20 + content[80:]
    elif damage == "names":
        content = content.replace(b"m/data.pkl", b"\xff\xfe../../x").replace(b"base.mlp", b"\xff\0../..")
    elif damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "no list":
        content = content.replace(b"PK\x01\x02", b"PK\x01\x03")
    path.write_bytes(content)
    hostile.refused(lambda: READERS[suffix](path), path)


def test_an_array_in_the_order_of_fortran_is_read(tmp_path):
    given = {name: value.numpy() for name, value in arrays().items()}
    np.savez(str(tmp_path / "c.npz"), **given)
    np.savez(str(tmp_path / "f.npz"), **{name: np.asfortranarray(value) for name, value in given.items()})
    one, other = (read_npz(tmp_path / name).state_dict() for name in ("c.npz", "f.npz"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("shape", [(100_000, 1), (1, 100_000), (200_000, 8)])
def test_a_wide_layer_makes_no_room_for_what_is_not_there(tmp_path, shape):
    row, name = np.zeros(shape[0], np.float32), "base.mlp.fc1"
    given = {f"{name}.0.weight": np.zeros(shape, np.float32)}
    given.update({f"{name}.0.bias": row, f"{name}.2.weight": row, f"{name}.2.bias": row})
    np.savez_compressed(str(tmp_path / "a.npz"), **given)
    hostile.refused(lambda: read_npz(tmp_path / "a.npz"), "base.mlp.fc3.0.weight of an OpenRL MLP actor is missing")
