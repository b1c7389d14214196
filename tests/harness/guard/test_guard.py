"""`mapush guard`: programs run as they do alone, and end better."""

import os
import signal
import subprocess
import sys
import time
import zipfile

import psutil
import pytest

from tests.cli.runner import environment
from tests.system import teardown

TOOLS = """
import os, sys, threading, time
"""
ALONE = {
    "sees": "print(sys.argv, sys.path, __name__, __file__, __spec__, sys.flags, dir(), getattr(sys, 'orig_argv', 0))",
    "environment": "print({n: v for n, v in os.environ.items() if n != '_'}, sys.stdin.read(), sys.stdout.isatty())",
    "text": "print('x', end=''); sys.exit('no convergence')",
    "number": "sys.exit(-3)",
    "raised": "class Odd(Exception): pass\ndef work(): raise Odd('no convergence') from KeyError(1)\nwork()",
    "hook": "sys.excepthook = lambda *what: print('hook', what[1], what[2].tb_lineno)\n1 / 0",
    "interrupted": "raise KeyboardInterrupt",
    "syntax": "if",
    "at once": "print('lost'); os._exit(7)",
    "atexit": "import atexit\natexit.register(print, 'handler')\nprint('main')\nsys.exit(4)",
    "thread": "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\nprint('main')",
    "fork": "pid = os.fork()\nif pid: print(os.waitpid(pid, 0)[1] >> 8)\nelse: sys.exit(5)",
    "killed": "os.kill(os.getpid(), 9)",
    "crash": "os.kill(os.getpid(), 11)",
    "crash in a thread": "threading.Thread(target=lambda: (time.sleep(0.3), os.kill(os.getpid(), 11))).start()",
    "term": "os.kill(os.getpid(), 15); time.sleep(9)",
    "exec": "sys.stdout.flush(); os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(6)'])",
    "pickles": """
import multiprocessing, pickle
class Here: pass
def work(item): return type(item).__name__, __name__
if __name__ == "__main__":
    print(pickle.loads(pickle.dumps(Here())), file=open(os.devnull, "w"))
    for method in ("spawn", "fork"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(pool.map(work, [Here()]))
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        print(list(pool.map(work, [Here()])))
""",
}
OTHERS = {
    "dash c": [sys.executable, "-uc", "import sys; print(sys.argv, sys.path, sys.flags); 1 / 0", "--seed", "1"],
    "module": [sys.executable, "-Om", "package", "--seed", "1"],
    "no module": [sys.executable, "-m", "nothing"],
    "isolated": [sys.executable, "-I", "-Wignore", "-X", "dev", "program.py"],
    "folder": [sys.executable, "package"],
    "zip": [sys.executable, "archive.zip", "x"],
    "script": ["./script", "--seed", "1"],
    "long script": ["./long", "x"],
    "no file": [sys.executable, "nothing.py"],
    "help": [sys.executable, "--version"],
    "standard input": [sys.executable, "-"],
    "shell": ["sh", "-c", "echo $1; exit 3", "sh", "a b"],
    "shell killed": ["sh", "-c", "kill -ABRT $$"],
}
SHOWN = TOOLS + "print(sys.argv, sys.path[:2], __name__, __package__, sys.flags)\nsys.exit(3)"


def run(command, folder, guard=(), **options):
    """Run a command, guarded if `guard` has the words; returns (exit code, stdout, stderr)."""
    ours = ("PYTHONUNBUFFERED", "OMP_WAIT_POLICY")  # set for the tests' own sake
    variables = {name: value for name, value in environment().items() if name not in ours}
    variables["PYTHONPATH"] = os.pathsep.join([str(folder), variables["PYTHONPATH"]])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": str(folder), "env": variables}
    done = subprocess.run([*guard, *command], **{"timeout": 100, "input": "words", **pipes, **options})
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode  # as shells say
    return code, done.stdout, done.stderr


def guard(*options):
    return [sys.executable, "-m", "mapush_stack", "guard", *options, "--"]


def program(folder, text):
    (folder / "program.py").write_text(TOOLS + text)
    return [sys.executable, "program.py", "--seed", "1"]


@pytest.mark.parametrize("name", ALONE)
def test_a_program_does_what_it_does_alone(tmp_path, name):
    command = program(tmp_path, ALONE[name])
    assert run(command, tmp_path, guard()) == run(command, tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_however_it_is_started(tmp_path, name):
    files_of(tmp_path, SHOWN)
    assert run(OTHERS[name], tmp_path, guard()) == run(OTHERS[name], tmp_path)


def files_of(tmp_path, text):
    """Put a program into a folder in all forms that `OTHERS` starts."""
    package = tmp_path / "package"
    package.mkdir()
    for file in (package / "__main__.py", tmp_path / "program.py", tmp_path / "script", tmp_path / "long"):
        file.write_text(text)
    with zipfile.ZipFile(str(tmp_path / "archive.zip"), "w") as archive:
        archive.writestr("__main__.py", text)
    (tmp_path / "script").write_text(f"#!{sys.executable} -B\n{text}")
    (tmp_path / "long").write_text(f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\n{text}")
    for script in ("script", "long"):
        (tmp_path / script).chmod(0o755)


@pytest.mark.parametrize("name", ["module", "isolated", "folder", "zip", "script", "long script"])
@pytest.mark.slow
def test_however_it_is_started_its_work_counts(tmp_path, name):
    files_of(tmp_path, "import atexit, os\natexit.register(os.kill, os.getpid(), 11)")
    code, _, err = run(OTHERS[name], tmp_path, guard())
    assert code == 0 and "while it shut down" in err


@pytest.mark.parametrize("kind", teardown.KINDS)
def test_a_program_that_crashes_after_its_work_has_succeeded(tmp_path, kind):
    teardown.build(tmp_path, kind)
    command = program(tmp_path, "import simulator\nfile = open('log', 'w')\nfile.write('result')\nprint('done')")
    assert run(command, tmp_path)[0] == 139
    code, out, err = run(command, tmp_path, guard())
    assert (code, out, (tmp_path / "log").read_text()) == (0, "done\n", "result")
    assert err.startswith("mapush: warning: the program had finished with exit code 0 and died of signal 11 (SIGSEGV)")


@pytest.mark.parametrize("kind", teardown.KINDS)
@pytest.mark.parametrize(("end", "code"), [("raise RuntimeError('no convergence')", 1), ("sys.exit(5)", 5)])
def test_a_failure_stays_one(tmp_path, kind, end, code):
    teardown.build(tmp_path, kind)
    ended, _, err = run(program(tmp_path, f"import simulator\n{end}"), tmp_path, guard())
    assert ended == code and f"had finished with exit code {code}" in err


@pytest.mark.parametrize(
    "end",
    [
        "import atexit; atexit.register(os.kill, os.getpid(), {})",
        "class Scene:\n    def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, {})\nscene = Scene()",
    ],
)
@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV])
@pytest.mark.slow
def test_it_may_die_of_any_signal_and_anywhere_after_its_work(tmp_path, end, number):
    forked = "if not os.fork(): sys.exit(5)\nos.wait()\nfile = open('log', 'w')\nfile.write('result')"
    command = program(tmp_path, f"{forked}\nprint('done')\n{end.format(int(number))}")
    code, out, err = run(command, tmp_path, guard())
    assert (code, out, (tmp_path / "log").read_text()) == (
        0,
        "done\n",
        "result",
    ) and f"({number.name}) while it shut down" in err


@pytest.mark.parametrize("name", ["isaacgym.py", "isaacgym/__init__.py"])
def test_isaac_gym_is_not_taken_down_at_all(tmp_path, name):
    teardown.build(tmp_path, "object")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("import simulator")
    handler = "import atexit; atexit.register(lambda: open('last', 'w').write('x'))"
    command = program(tmp_path, f"import isaacgym\n{handler}\nprint('done')\nsys.exit(3)")
    assert run(command, tmp_path, guard()) == (3, "done\n", "")
    assert (tmp_path / "last").read_text() == "x"


@pytest.mark.parametrize(
    "text",
    [
        "def forever(): time.sleep(60)\nthreading.Thread(target=forever).start()",
        "import atexit, ctypes\n@atexit.register\ndef forever(): ctypes.PyDLL(None).sleep(60)  # holds the GIL",
    ],
)
@pytest.mark.slow
def test_what_never_ends_is_ended_and_shown(tmp_path, text):
    began = time.monotonic()
    code, out, err = run(program(tmp_path, f"print('done')\n{text}"), tmp_path, guard("--wait", "1"))
    assert (code, out) == (0, "done\n") and time.monotonic() - began < 20
    assert "in forever" in err and "did not end within 1 s; it was killed" in err


def test_what_it_leaves_behind_is_ended(tmp_path):
    text = "import subprocess\nprint(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)"
    code, out, err = run(program(tmp_path, text), tmp_path, guard())
    assert code == 0 and err == f"mapush: warning: ending processes that were left: {out}"
    assert not psutil.pid_exists(int(out))


WAITS = """
open("ready", "w").close()
try:
    time.sleep(60)
finally:
    print("closed")
"""
LISTENS = """
import signal
import subprocess
child = subprocess.Popen(["sleep", "60"])
def caught(number, frame):
    time.sleep(0.3)
    print("caught", child.poll())
    sys.exit(9)
signal.signal(int(sys.argv[2]), caught)
open("ready", "w").close()
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("text", "number", "code", "printed"),
    [
        (WAITS, signal.SIGINT, 130, "closed\n"),
        (WAITS, signal.SIGTERM, 143, "closed\n"),
        (WAITS, signal.SIGHUP, 129, "closed\n"),
        (WAITS, signal.SIGUSR1, 138, ""),
        (LISTENS, signal.SIGTERM, 9, "caught None\n"),
        (LISTENS, signal.SIGUSR2, 9, "caught None\n"),
    ],
)
@pytest.mark.slow
def test_signals_reach_it(tmp_path, text, number, code, printed):
    (tmp_path / "program.py").write_text(TOOLS + text)
    command = ["-m", "mapush_stack", "guard", "--", sys.executable, "program.py", "x", str(int(number))]
    process = teardown.python(*command, cwd=str(tmp_path))
    due = time.monotonic() + 60
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < due
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, printed), err
    assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT) and "SystemExit" not in err


@pytest.mark.slow
def test_the_program_dies_with_its_guard(tmp_path):
    (tmp_path / "program.py").write_text(TOOLS + "print(os.getpid(), flush=True)\ntime.sleep(60)")
    process = teardown.python("-m", "mapush_stack", "guard", sys.executable, "program.py", cwd=str(tmp_path))
    child = psutil.Process(int(process.stdout.readline()))
    process.kill()
    process.wait()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()


@pytest.mark.parametrize(("words", "told"), [([], "needs a program"), (["./nothing"], "./nothing cannot be run: No ")])
def test_what_cannot_be_run_is_refused(tmp_path, words, told):
    code, out, err = run(words, tmp_path, guard())
    assert code == 2 and out == "" and told in err and err.count("\n") == 1


@pytest.mark.skipif("OTHER_PYTHON" not in os.environ, reason="OTHER_PYTHON does not name another Python")
@pytest.mark.parametrize("name", ["sees", "raised", "pickles", "atexit"])
def test_another_python_needs_nothing_of_ours(tmp_path, name):
    program(tmp_path, ALONE[name])
    command = [os.environ["OTHER_PYTHON"], "program.py"]
    assert run(command, tmp_path, guard()) == run(command, tmp_path)
