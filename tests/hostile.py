"""Files that an attacker or a damaged disk would make, and a process of bounded time and memory to read them in."""

import ast
import gc
import io
import os
import resource
import signal
import struct
import sys
import traceback
import zipfile
from pathlib import Path

from mapush_stack.errors import UserError

SECONDS, MIB = 2, 500
"""Processor time and memory that reading a file may take."""


def bounded(action, seconds=SECONDS, mib=MIB):
    """What `action` returns, or the message of its `UserError`, in a forked process of bounded time and memory."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        gc.freeze()  # a thread pool that waits to be collected would wait for its threads, which are not here
        try:
            resource.setrlimit(resource.RLIMIT_AS, (_size() + mib * 2**20, resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, seconds)
            signal.alarm(30 * seconds)  # for what waits; the machine may be busy with other things
            try:
                answer = repr(action())
            except UserError as error:
                answer = f"refused: {error}"
            except BaseException:
                answer = traceback.format_exc()
            os.write(writing, answer.encode("utf-8", "replace")[-60_000:])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), f"killed by {signal.Signals(os.WTERMSIG(status)).name}: too slow, or a crash"
    assert "Traceback" not in answer, answer
    return answer


def refused(action, *words):
    """The one sentence with which `action` refuses; `words` have to be in it."""
    answer = bounded(action)
    assert answer.startswith("refused: ") and "\n" not in answer and len(answer) < 1700, answer
    for word in words:
        assert str(word) in answer, answer
    return answer


def _size():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def odd_files(folder):
    """Things that are no regular files, and files that are no text: {name: path}."""
    paths = {name: folder / f"odd-{name}" for name in ("pipe", "folder", "empty", "sparse", "loop", "socket", "binary")}
    os.mkfifo(str(paths["pipe"]))
    paths["folder"].mkdir()
    paths["empty"].write_bytes(b"")
    with paths["sparse"].open("wb") as file:
        file.truncate(2**40)
    paths["loop"].symlink_to(paths["loop"].name)
    paths["binary"].write_bytes(bytes(range(256)) * 64)
    import socket

    here = Path.cwd()
    os.chdir(str(folder))  # a socket's path may have 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(paths["socket"].name)
    finally:
        os.chdir(str(here))
    paths["device"] = folder / "odd-device"
    paths["device"].symlink_to("/dev/zero")
    return paths


# Pickles


def text(word):
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def record(state, name="PPOModule"):
    """An object of OpenRL's with this state."""
    return b"copenrl\n" + name.encode() + b"\n)\x81" + state + b"b"


def mapping(**fields):
    return b"}" + b"".join(text(name) + value + b"s" for name, value in fields.items())


def module(policy):
    """A whole pickle of a module with this policy."""
    return b"\x80\x02" + record(mapping(models=mapping(policy=policy))) + b"."


NESTED = b")" + b"2\x86" * 60
"""A tuple of two, each of two, sixty times: its hash takes for ever."""


def tensor(offset=b"K\x00", size=b"K\x04\x85", stride=b"K\x01\x85", numel=b"K\x04", kind=b"FloatStorage"):
    storage = b"(" + text("storage") + b"ctorch\n" + kind + b"\n" + text("0") + text("cpu") + numel + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size + stride + b"\x89}tR"


def with_tensor(one):
    return module(record(mapping(_parameters=mapping(weight=one)), "Net"))


def big(number):
    return b"\x8a\x08" + struct.pack("<q", number)


PICKLES = {
    "a place for four billion objects": b"\x80\x02}r\xff\xff\xff\xff.",
    "a nested key": b"\x80\x02}" + NESTED + b"Ns.",
    "a nested key of an ordered mapping": b"\x80\x02ccollections\nOrderedDict\n]]" + NESTED + b"aNaa\x85R.",
    "a nested member of a set": b"\x80\x02cbuiltins\nset\n]" + NESTED + b"a\x85R.",
    "a nested member of a set of protocol 4": b"\x80\x04\x8f(" + NESTED + b"\x90.",
    "a nested member of a frozen set": b"\x80\x04(" + NESTED + b"\x91.",
    "a nested kind of storage": b"\x80\x02(" + NESTED + b"NNNNtQ.",
    "a nested name of a storage": b"\x80\x02(" + text("storage") + b"ctorch\nFloatStorage\n" + NESTED + b"NNtQ.",
    "a nested number of a storage": with_tensor(tensor(numel=NESTED)),
    "modules that hold themselves": module(
        b"copenrl\nNet\n)\x81q\x01" + mapping(_modules=mapping(a=b"h\x01", b=b"h\x01")) + b"b"
    ),
    "modules in a list": module(record(mapping(_modules=b"]K\x01a"), "Net")),
    "parameters in a list": module(record(mapping(_parameters=b"]K\x01a"), "Net")),
    "a policy that is a number": module(b"K\x01"),
    "state that is a list": b"\x80\x02" + record(b"]") + b".",
    "lists in lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "a byte array of 8 GiB": b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b".",
    "a text of 4 GiB": b"\x80\x02X\xff\xff\xff\xffabc.",
    "a number of 2 GiB": b"\x80\x02\x8b\xff\xff\xff\x7fabc.",
    "a number of 100,000 digits": b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
    "a name of 100,000 characters": b"\x80\x02cevil\n" + b"a" * 100_000 + b"\n.",
    "a name with orders for the terminal": b"\x80\x02cevil\n\x1b[2Jos\n.",
    "a tensor shown many times": with_tensor(tensor(size=big(10**11) + b"\x85", stride=b"K\x00\x85")),
    "a tensor beyond its storage": with_tensor(tensor(offset=big(10**9))),
    "a tensor of negative size": with_tensor(tensor(size=big(-4) + b"\x85")),
    "a tensor of a negative step": with_tensor(tensor(stride=big(-1) + b"\x85")),
    "a tensor of a nested size": with_tensor(tensor(size=NESTED)),
    "a tensor of numbers of another size": with_tensor(tensor(kind=b"DoubleStorage")),
    "no end": b"\x80\x02}",
    "nothing": b"",
    "a mark too many": b"\x80\x02(((((.",
    "an unknown code": b"\x80\x02\xff.",
    "an unknown protocol": b"\x80\xff.",
    "many classes": b"\x80\x02" + b"".join(b"copenrl\nA%d\n0" % number for number in range(40_000)) + b"N.",
    "a changed function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN" + mapping(__defaults__=b")") + b"\x86b.",
    "keys of one hash": b"\x80\x02}(" + b"".join(
        b"\x8a\x0b" + ((2**61 - 1) * number).to_bytes(11, "little", signed=True) + b"N" for number in range(30_000)
    ) + b"u.",
}  # fmt: skip


def write_zip(path, files, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(str(path), "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_pickle(path, program):
    return write_zip(path, {"m/data.pkl": program, "m/data/0": struct.pack("<4f", 1, 2, 3, 4)})


def flagged(content, flag=0, method=0):
    """A zip archive whose entries have this flag, such as 1 for encrypted, and this method of compression."""
    changed = bytearray(content)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(signature)
        while at >= 0:
            changed[at + place] |= flag
            changed[at + place + 2] |= method
            at = changed.find(signature, at + 1)
    return bytes(changed)


# Arrays


def npy(header, content=b"\0" * 16, version=b"\x01\x00"):
    text = (header + "\n").encode("latin-1")
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + content


def header(shape="(4,)", descr="'<f4'", fortran=False):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


ARRAYS = {
    "an absurd shape": npy(header("(1000000000000,)")),
    "an absurd shape without numbers": npy(header("(1000000000000, 0)"), b""),
    "a shape of many digits": npy(header("(" + "9" * 500 + ",)")),
    "a negative shape": npy(header("(-4,)")),
    "two negative sizes": npy(header("(-2, -2)")),
    "a nested shape": npy(header("(" * 400 + ")" * 400)),
    "a shape of signs": npy(header("(" + "-" * 800 + "4,)")),
    "objects": npy(header(descr="'|O'")),
    "texts": npy(header(descr="'<U4'")),
    "dates": npy(header(descr="'<M8[s]'")),
    "complex numbers": npy(header("(2,)", descr="'<c8'")),
    "fields": npy(header("(2,)", descr="[('a', '<f4'), ('b', '<f4')]")),
    "an unknown type": npy(header(descr="'<q9'")),
    "a type of no size": npy(header(descr="'|V0'")),
    "more numbers than the shape": npy(header("(3,)")),
    "fewer numbers than the shape": npy(header("(5,)")),
    "a long header": npy(header() + " " * 60_000),
    "a header of another version": npy(header(), version=b"\x03\x00"),
    "a header that is no mapping": npy("[1, 2]"),
    "a header that is code": npy("__import__('os').system('touch ran')"),
    "no header": b"\x93NUMPY\x01\x00",
    "something else": b"abc",
}


# Event files


def masked(data):
    import numpy as np

    from mapush_stack.analysis.events import masked_sums

    content = np.frombuffer(data, dtype=np.uint8)
    return struct.pack("<I", int(masked_sums(content, np.array([0]), len(data))[0]))


def framed(data):
    """A record of an event file."""
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def tf_event(step=1, wall=1.7e9, tag="critic/value_loss", simple=None, **fields):
    """An event with one value: a simple one, or a tensor of these fields."""
    from tensorboard.compat.proto.event_pb2 import Event

    event = Event(wall_time=wall, step=step)
    value = event.summary.value.add(tag=tag)
    if simple is not None:
        value.simple_value = simple
    else:
        value.metadata.plugin_data.plugin_name = "scalars"
        sizes = fields.pop("sizes", ())
        for name, content in fields.items():
            if isinstance(content, list):
                getattr(value.tensor, name).extend(content)
            else:
                setattr(value.tensor, name, content)
        for size in sizes:
            value.tensor.tensor_shape.dim.add(size=size)
    return event.SerializeToString()


def command(*arguments, mib=1000):
    """(exit code, what it printed on standard error) of `mapush ARGUMENTS`, in bounded time and memory.

    The memory includes what is imported.
    """
    from mapush_stack.cli.main import main

    def action():
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        code = main([str(argument) for argument in arguments])
        return code, sys.stderr.getvalue()

    code, err = ast.literal_eval(bounded(action, 10 * SECONDS, mib))
    assert "Traceback" not in err and code in (0, 1, 2), (code, err)
    return code, err


def refused_command(*arguments, words=()):
    """What `mapush ARGUMENTS` says when it refuses, which is one sentence with these words."""
    code, err = command(*arguments)
    assert code == 2 and err.startswith("mapush: ") and err.count("\n") == 1, (code, err)
    assert all(str(word) in err for word in words), err
    return err
