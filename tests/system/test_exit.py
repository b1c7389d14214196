"""The clean exit in real processes, and what becomes of them when each of its guards is taken out.

Every scenario is a program and what must hold of how it ends; with its mutation, which disables one guard, that must
not hold. tests/system/test_exit_training.py has the same of whole trainings.
"""

import contextlib
import functools
import os
import signal
import subprocess
import textwrap
import time
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional

import psutil
import pytest

from tests.conftest import kinematic_env
from tests.system import teardown

PATIENCE, IMPATIENCE = 30.0, 3.0
"""Seconds that a scenario may take, and that one is given which must hang."""
HANGS = None
PROGRAM = """
import atexit, ctypes, os, signal, subprocess, sys, threading, time
from pathlib import Path
from mapush_stack.system import closing
from mapush_stack.system import exit

closing.unsafe_teardown("simulator")
{mutation}

def main():
{body}

exit.run(main)
"""


class Ended(NamedTuple):
    """How a program ended."""

    code: Optional[int]
    """None: it did not."""
    out: str
    err: str
    left: List[int]
    """Processes that it started and that are still running."""

    @property
    def warnings(self):
        return [line for line in self.err.splitlines() if line.startswith("mapush: warning: ")]


class Scenario(NamedTuple):
    """A program that needs a guard."""

    body: str
    """What its `main` does."""
    check: Callable[[Ended], None]
    """Asserts what the guard is for."""
    mutation: str
    """Takes the guard out."""
    bad: Optional[int]
    """The exit code that the program then has; None where it hangs."""
    send: int = 0
    """A signal that it gets once it has printed a line."""
    stdout: str = ""
    """Where it prints instead of a pipe."""
    ignores: bool = False
    """Whether it starts with SIGHUP ignored, as under nohup."""
    closed: bool = False
    """Whether it starts without standard streams."""


def run(folder, scenario, mutated=False):
    """Run a scenario's program in a folder; returns how it ended. What it started does not outlive this call."""
    body = textwrap.indent(textwrap.dedent(scenario.body).strip(), "    ")
    text = PROGRAM.format(body=body, mutation=scenario.mutation if mutated else "")
    (folder / "program.py").write_text(text)
    patience = IMPATIENCE if mutated and scenario.bad is HANGS else PATIENCE
    out, err = ((folder / name).open("w+") for name in ("out.txt", "err.txt"))
    with out, err, Path(scenario.stdout or os.devnull).open("w") as elsewhere:
        stdout = elsewhere if scenario.stdout else out
        options = {"cwd": str(folder), "start_new_session": True, "stdout": stdout, "stderr": err}
        options["preexec_fn"] = functools.partial(prepare, scenario)
        process = teardown.python("program.py", path=[folder], **options)
        if scenario.send:
            wait_for(lambda: (folder / "out.txt").read_text())
            process.send_signal(scenario.send)
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            code = HANGS
        left = [one for one in session(process.pid) if one != process.pid]
        for pid in session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        return Ended(code, (folder / "out.txt").read_text(), (folder / "err.txt").read_text(), left)


def prepare(scenario):
    """Done in the new process."""
    if scenario.ignores:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if scenario.closed:
        os.closerange(0, 3)


def session(leader):
    """The living processes of a session."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(one.pid) == leader and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one.pid)
    return found


def wait_for(condition):
    due = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < due
        time.sleep(0.02)


def ended_with(code):
    def check(ended):
        assert ended.code == code and not ended.left, ended

    return check


succeeded = ended_with(0)


def failed(ended):
    assert ended.code == 1 and "RuntimeError: no convergence" in ended.err


def the_output_is_whole(ended):
    succeeded(ended)
    assert ended.out == "x" * 5000


def closed_in_order(ended):
    succeeded(ended)
    assert ended.out.split() == ["log", "environment", "lock"]


def abandoned_one(ended):
    succeeded(ended)
    assert ended.out == "log closed\n"
    assert ended.warnings == ["mapush: warning: the simulation was still closing after 0.5 s and is abandoned"]


def says_where_it_hangs(ended):
    succeeded(ended)
    assert "Timeout" in ended.err and "program.py" in ended.err, ended.err


def fails_where_it_hangs(ended):
    assert ended.code == 1 and "Timeout" in ended.err and "program.py" in ended.err, ended


def not_saved(ended):
    assert ended.code == 1 and "Traceback" not in ended.err
    (line,) = ended.warnings
    assert "the log could not be closed: OSError: No space left" in line and "may be missing" in line


def not_printed(ended):
    assert ended.code == 1 and ended.warnings == [
        "mapush: warning: what was printed could not be written: No space left on device"
    ]


def warned_of_the_display(ended):
    succeeded(ended)
    assert "what is printed is lost from here on (No space left on device)" in ended.warnings[0]


def ended_its_children(ended):
    succeeded(ended)
    (line,) = ended.warnings
    pids = sorted(map(int, ended.out.split()))
    assert line == f"mapush: warning: ending processes that were left: {', '.join(map(str, pids))}"


def stopped_by(number):
    def check(ended):
        assert ended.code == 128 + number, (ended.code, ended.err)
        assert ended.out == "working\nlog closed\n" and "Traceback" not in ended.err

    return check


def closed_upon_a_signal(ended):
    succeeded(ended)
    assert ended.out == "closing\nlog closed\n"
    assert ended.warnings == ["mapush: warning: the simulation was still closing when a signal came and is abandoned"]


WORKING = """
closing.register("the log", lambda: print("log closed"))
print("working", flush=True)
time.sleep(60)
"""
SCENARIOS = {
    **{
        f"teardown-{kind}": Scenario("import simulator", succeeded, "exit._must_not_tear_down = lambda: False", -11)
        for kind in teardown.KINDS
    },
    "failure": Scenario(
        "import simulator\nraise RuntimeError('no convergence')",
        failed,
        "end, os._exit = os._exit, lambda code: end(0)",  # what others do
        0,
    ),
    "request": Scenario("import simulator\nsys.exit(2)", ended_with(2), "exit._as_code = lambda value: 0", 0),
    "files": Scenario(
        """
        import simulator
        file = open("out.txt", "a")
        file.write("x" * 5000)
        atexit.register(file.close)  # keeps it open
        """,
        the_output_is_whole,
        "exit._flush_files = lambda: None",
        0,
    ),
    "printed-by-c": Scenario(
        "import simulator\nctypes.CDLL(None).printf(b'%s', b'x' * 5000)",
        the_output_is_whole,
        "ctypes.CDLL.fflush = lambda *_: None",
        0,
    ),
    "disk-full": Scenario(
        "import simulator\nprint('result')", not_printed, "exit._flush = lambda: True", 0, stdout="/dev/full"
    ),
    "order": Scenario(
        """
        for name in ("lock", "environment", "log"):
            closing.register(name, lambda name=name: print(name))
        """,
        closed_in_order,
        "closing.close_all = lambda: [closer.close() for closer in list(closing._open)]",
        0,
    ),
    "closers": Scenario(
        """
        for name in ("lock", "environment", "log"):
            closing.register(name, lambda name=name: print(name))
        """,
        closed_in_order,
        "closing.close_all = lambda: None",
        0,
    ),
    "deadline": Scenario(
        """
        closing.register("the log", lambda: print("log closed"))
        closing.register("the simulation", threading.Event().wait, seconds=0.5)
        """,
        abandoned_one,
        "closing.Closer.close = lambda self: (closing._open.remove(self), self._function())",
        HANGS,
    ),
    "deadline-in-c": Scenario(
        "closing.register('the simulation', lambda: ctypes.PyDLL(None).sleep(60), seconds=0.5)",
        says_where_it_hangs,
        "exit._start_timer = lambda seconds, code: lambda: None",
        HANGS,
    ),
    "deadline-in-c-before-the-end": Scenario(
        """
        with closing.ensured("the simulation", lambda: ctypes.PyDLL(None).sleep(60), seconds=0.5):
            print("working")
        """,
        fails_where_it_hangs,
        "exit._start_timer = lambda seconds, code: lambda: None",
        HANGS,
    ),
    "teardown-hangs": Scenario(
        """
        exit._TEARDOWN_SECONDS = 1.0
        threading.Thread(target=time.sleep, args=(60,)).start()  # which the interpreter waits for
        """,
        succeeded,
        "exit._start_timer = lambda seconds, code: lambda: None",
        HANGS,
    ),
    "abandoned-thread": Scenario(
        """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor()  # the interpreter's end waits for its threads
        closing.register("the log", lambda: print("log closed"))
        closing.register("the simulation", lambda: pool.submit(time.sleep, 60).result(), seconds=0.5)
        """,
        abandoned_one,
        "closing.abandoned = type('Forgetful', (list,), {'append': lambda *_: None})()",
        HANGS,
    ),
    "not-saved": Scenario(
        """
        def close():
            raise OSError("No space left on device")
        closing.register("the log", close, saves=True)
        """,
        not_saved,
        "closing.lost = type('Forgetful', (list,), {'append': lambda *_: None})()",
        0,
    ),
    "children": Scenario(
        """
        child = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True)"
        process = subprocess.Popen([sys.executable, "-c", child + "; time.sleep(60)"], stdout=subprocess.PIPE)
        print(process.pid, process.stdout.readline().decode().strip())
        """,
        ended_its_children,
        "exit.reap = lambda: None",
        0,
    ),
    "stubborn-child": Scenario(
        """
        exit._CHILD_SECONDS = 0.5
        child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
        process = subprocess.Popen([sys.executable, "-c", child + "; time.sleep(60)"], stdout=subprocess.PIPE)
        process.stdout.readline()
        print(process.pid)
        """,
        ended_its_children,
        "import psutil; psutil.Process.kill = lambda self: None",
        0,
    ),
    "terminated": Scenario(WORKING, stopped_by(signal.SIGTERM), "exit._listen = lambda: None", -15, signal.SIGTERM),
    "interrupted": Scenario(WORKING, stopped_by(signal.SIGINT), "exit.outcome = lambda f: f()", -2, signal.SIGINT),
    "lost-terminal": Scenario(WORKING, stopped_by(signal.SIGHUP), "exit._listen = lambda: None", -1, signal.SIGHUP),
    "nohup": Scenario(
        """
        exit._listen()
        os.kill(os.getpid(), signal.SIGHUP)
        """,
        succeeded,
        "exit.signal.getsignal = lambda number: signal.SIG_DFL",
        129,
        ignores=True,
    ),
    "closed-streams": Scenario(
        """
        with open("kept.txt", "w") as file:
            print("printed")
            sys.stderr.write("complaint")
            os.write(1, b"by C")
        assert open("kept.txt").read() == "" and sys.stdin.read() == ""
        """,
        succeeded,
        "exit.streams.open_closed = lambda: None",
        1,
        closed=True,
    ),
    "lost-display": Scenario(
        """
        exit.streams.keep_going()
        print("x" * 100000)
        sys.stdout.flush()
        """,
        warned_of_the_display,
        "exit.streams._Lasting = lambda stream: stream",
        1,
        stdout="/dev/full",
    ),
    "impatience": Scenario(
        """
        closing.register("the log", lambda: print("log closed"))
        closing.register("the simulation", lambda: (print("closing", flush=True), time.sleep(60)), seconds=60)
        """,
        closed_upon_a_signal,
        "closing.Closer.hurry = lambda self: None",
        HANGS,
        signal.SIGTERM,
    ),
}


@pytest.fixture
def folder(request, tmp_path):
    """Where a scenario runs, with a `simulator` that crashes."""
    name = request.node.callspec.params["name"]
    kind = name[len("teardown-") :] if name.startswith("teardown-") else "atexit"
    if "simulator" in SCENARIOS[name].body:
        teardown.build(tmp_path, kind)
    return tmp_path


@pytest.mark.parametrize("name", SCENARIOS)
def test_with_its_guard(folder, name):
    SCENARIOS[name].check(run(folder, SCENARIOS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_without_its_guard(folder, name):
    ended = run(folder, SCENARIOS[name], mutated=True)
    assert ended.code == SCENARIOS[name].bad, ended
    with pytest.raises(AssertionError):
        SCENARIOS[name].check(ended)


def test_isaac_gym_is_known_also_where_its_import_failed_halfway(tmp_path):
    teardown.build(tmp_path, "destructor")
    package = tmp_path / "isaacgym"
    package.mkdir()
    (package / "__init__.py").write_text("from . import _bindings\nraise ImportError('libpython3.8m.so.1.0')\n")
    (package / "_bindings.py").write_text("import simulator\n")
    body = """
    try:
        import isaacgym
    except ImportError:
        print(sorted(name for name in sys.modules if name.startswith("isaacgym")))
    """
    ended = run(tmp_path, Scenario(body, succeeded, "", 0))
    assert ended.code == 0 and ended.out == "['isaacgym._bindings']\n", ended


def test_a_forked_child_does_not_close_what_its_parent_has_opened(tmp_path):
    body = """
    closing.register("the log", lambda: print("closed by", os.getpid(), flush=True))
    child = os.fork()
    if child == 0:
        exit.leave(7)
    print(os.getpid(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if sys.version_info > (3, 9) else 7)
    """
    ended = run(tmp_path, Scenario(body, succeeded, "", 0))
    first, second = (line.split() for line in ended.out.splitlines())
    assert first[1] == "7" and second == ["closed", "by", first[0]], ended


def test_a_block_closes_once_and_lets_its_own_exception_through(tmp_path):
    body = """
    def close():
        print("closed")
        raise OSError("gone")
    with closing.ensured("the simulation", close):
        raise RuntimeError("no convergence")
    """
    ended = run(tmp_path, Scenario(body, failed, "", 0))
    failed(ended)
    assert ended.out == "closed\n" and "the simulation could not be closed: OSError: gone" in ended.warnings[0]


def test_an_environment_closes_once_and_needs_nothing_to_close(config):
    env = kinematic_env(config)
    closed = []
    env.simulator.close = lambda: closed.append(1)
    env.close()
    env.close()
    assert closed == [1]
    kinematic_env(config).close()  # with `Simulator.close`, which does nothing
