"""Child processes: what becomes of a command, of what it prints, and of what it starts."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from mapush_stack.system.supervisor import ChildProcess, ProcessTree, Terminal
from tests.cli.runner import environment

DETACHED = "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
"""Starts a process that is in no group or session of its parent's."""


def python(program, *arguments):
    return [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]


def gone(pid, seconds=10.0):
    """Whether a process ends within so many seconds."""
    due = time.monotonic() + seconds
    while time.monotonic() < due:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def wait_until(process, condition, seconds=20.0):
    while process.running(0.05) and not condition():
        assert process.seconds < seconds


def printed(command, **options):
    """What a command prints into a terminal."""
    parts = []
    terminal = Terminal(parts.append)
    with ChildProcess(command, terminal, terminal, **options) as process:
        wait_until(process, lambda: False)
    return b"".join(parts), process


@pytest.mark.parametrize(
    ("program", "code"), [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 11)", -11)]
)
def test_the_exit_code_is_that_of_the_command_or_its_signal(program, code):
    with ChildProcess(python(program), subprocess.DEVNULL, subprocess.DEVNULL) as process:
        wait_until(process, lambda: False)
        assert process.exit_code == code and process.stop_reason == "" and process.left_behind() == []


def test_output_goes_into_files(tmp_path):
    program = "import os, sys; print(os.getcwd(), os.environ['WORD']); print('wrong', file=sys.stderr)"
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        options = {"environment": {"WORD": "hello"}, "cwd": str(tmp_path)}
        with ChildProcess(python(program), out, err, **options) as process:
            wait_until(process, lambda: False)
    assert (tmp_path / "out").read_text() == f"{tmp_path} hello\n" and (tmp_path / "err").read_text() == "wrong\n"


def test_a_terminal_keeps_the_last_lines_of_a_crash_and_the_streams_apart():
    program = (
        "import ctypes, os; ctypes.CDLL(None).printf(b'last line\\n'); os.write(2, b'err\\n'); os.kill(os.getpid(), 11)"
    )
    out, err = [], []
    with ChildProcess(python(program), Terminal(out.append), Terminal(err.append)) as process:
        wait_until(process, lambda: False)
    assert (b"".join(out), b"".join(err), process.exit_code) == (b"last line\n", b"err\n", -11)


def test_a_lot_of_output_is_passed_on_whole():
    out, process = printed(python("import sys; sys.stdout.write('0123456789' * 200_000)"))
    assert out == b"0123456789" * 200_000 and process.exit_code == 0


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_command_that_is_not_there_is_an_error_and_leaves_nothing_open():
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        ChildProcess(["no-such-program-anywhere"], Terminal(print), Terminal(print))
    assert descriptors() == before


def test_a_block_leaves_no_descriptor_open():
    before = descriptors()
    printed(python("print(1)"))
    assert descriptors() == before


def test_everything_that_a_killed_command_started_is_killed():
    parts = []
    terminal = Terminal(parts.append)
    with ChildProcess(python(DETACHED + "\nimport time; time.sleep(600)"), terminal, terminal) as process:
        wait_until(process, lambda: parts)
        process.kill("limit")
        assert not process.running(5.0)
    assert process.exit_code == -signal.SIGKILL and process.stop_reason == "limit"
    assert gone(int(b"".join(parts)), 0.1)


def test_an_exception_in_the_block_kills_too():
    parts = []
    terminal = Terminal(parts.append)
    with pytest.raises(KeyboardInterrupt), ChildProcess(
        python(DETACHED + "\nimport time; time.sleep(600)"), terminal, terminal
    ) as process:
        wait_until(process, lambda: parts)
        raise KeyboardInterrupt
    assert gone(process.process.pid, 0.1) and gone(int(b"".join(parts)), 0.1)


def test_what_a_command_leaves_behind_is_named_and_killed():
    other = subprocess.Popen(["sleep", "600"])  # of this process's own
    try:
        parts = []
        terminal = Terminal(parts.append)
        with ChildProcess(python(DETACHED), terminal, terminal) as process:
            wait_until(process, lambda: False)
            pid = int(b"".join(parts))
            assert process.exit_code == 0 and process.left_behind() == [f"{pid} (sleep)"]
        assert gone(pid, 0.1) and other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_terminal_held_open_by_another_process_holds_nobody_up():
    before = time.monotonic()
    program = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
    out, _ = printed(python(program))
    assert time.monotonic() - before < 10 and gone(int(out), 0.1)


@pytest.mark.parametrize("death_signal", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_started_dies_with_the_one_that_started_it(death_signal):
    program = """
    import sys, time
    from mapush_stack.system.supervisor import ChildProcess, Terminal
    child = [sys.executable, "-c", "import time; time.sleep(600)"]
    with ChildProcess(child, 1, 2, death_signal=int(sys.argv[1])) as process:
        print(process.process.pid, flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen(python(program, int(death_signal)), stdout=subprocess.PIPE, env=environment())
    child = int(parent.stdout.readline())
    assert [process.pid for process in ProcessTree(child).members()] == [child]
    parent.kill()
    assert gone(child)
    parent.communicate()


SIGNALS = """
import signal, sys, time
numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
seen = []
for number in numbers:
    signal.signal(number, lambda number, _: seen.append(number))
print("ready", flush=True)
while len(seen) < 3:
    time.sleep(0.01)
time.sleep(0.2)
print([int(number) for number in seen], flush=True)
"""


def test_signals_are_forwarded_once_each_within_the_block():
    parts = []
    terminal = Terminal(parts.append)
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    handlers = [signal.getsignal(number) for number in numbers]
    with ChildProcess(python(SIGNALS), terminal, terminal) as process, process.forwarding(numbers):
        wait_until(process, lambda: parts)
        for number in numbers:
            os.kill(os.getpid(), number)
            process.running(0.2)
        wait_until(process, lambda: False)
    assert b"".join(parts) == b"ready\n[2, 15, 1]\n" and process.exit_code == 0
    assert [signal.getsignal(number) for number in numbers] == handlers


def test_sigterm_goes_to_the_command_alone():
    program = """
    import signal, time
    signal.signal(signal.SIGTERM, lambda *_: print("asked") or exit(7))
    print("ready", flush=True)
    time.sleep(60)
    """
    parts = []
    terminal = Terminal(parts.append)
    with ChildProcess(python(program), terminal, terminal) as process:
        wait_until(process, lambda: parts)
        process.terminate()
        wait_until(process, lambda: False)
    assert process.exit_code == 7 and b"".join(parts) == b"ready\nasked\n"


def test_no_signal_is_blocked_in_the_command():
    """Ray's workers block SIGINT."""
    program = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        assert printed(python(program))[0] == b"[]\n"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def test_memory_is_that_of_the_whole_tree():
    program = """
    import subprocess, sys, time
    code = "import time; block = b'x' * (200 << 20); print('full', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code])
    time.sleep(600)
    """
    parts = []
    terminal = Terminal(parts.append)
    with ChildProcess(python(program), terminal, terminal) as process:
        assert process.tree.resident_mib() < 150
        wait_until(process, lambda: parts)
        time.sleep(1.1)  # the tree is searched for once a second
        assert 200 < process.tree.resident_mib() < 350 and len(process.tree.members()) == 2
    assert ProcessTree(process.process.pid).members() == [] and not Path(f"/proc/{process.process.pid}").exists()
