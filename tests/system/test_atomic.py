"""Unfinished files: removed when their process is dead, and never before."""

import signal
import subprocess
import sys
import textwrap

import pytest

from mapush_stack.system import atomic
from tests.cli.runner import environment

WRITER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from mapush_stack.system import atomic
    with atomic.new_directory(Path(sys.argv[1]) / "new") as folder:
        (folder / "part").write_text("x")
        print("writing", flush=True)
        time.sleep(600)
    """
)


def writer(folder):
    """A process in the middle of writing into `folder`."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    return process


def unfinished(folder):
    return list(folder.glob(".writing-*"))


@pytest.mark.parametrize("write", [atomic.write_text, lambda path, _: atomic.new_directory(path).__enter__()])
def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path, write):
    process = writer(tmp_path)
    (tmp_path / ".writing-file").write_text("of an older version")
    atomic.write_text(tmp_path / "a.txt", "a")
    (running,) = unfinished(tmp_path)  # the other process still writes
    assert (running / "part").exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert unfinished(tmp_path) == [running]
    write(tmp_path / "b.txt", "b")
    assert running not in unfinished(tmp_path)


def test_errors_name_the_file_that_was_to_be_written(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        atomic.write_text(tmp_path / "gone" / "a.txt", "a")
    assert caught.value.filename == str(tmp_path / "gone" / "a.txt")
    with pytest.raises(OSError, match="rl_model") as other, atomic.new_directory(tmp_path / "rl_model"):
        raise OSError(28, "No space left on device")
    assert other.value.filename == str(tmp_path / "rl_model") and not list(tmp_path.iterdir())
