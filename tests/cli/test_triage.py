"""`mapush triage` as its users run it. tests/harness/test_triage.py has the rules."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from tests.cli.runner import ROOT, environment, mapush, start

LOGS = ROOT / "tests/harness/logs"
TABLE = [one for one in yaml.safe_load((LOGS.parent / "wordings.yaml").read_text("utf-8")) if one.get("issue") == 15]


def run(program, *options, code=0):
    """`mapush triage --run` of a Python program; returns (stdout, stderr)."""
    return mapush("triage", "--run", f"{sys.executable} {program}", *options, code=code)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """The folder that remembers crashes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/mapush"


@pytest.fixture
def program(tmp_path):
    """A function that writes a program and returns its path."""

    def write(text):
        path = tmp_path / "program.py"
        path.write_text(text)
        return path

    return write


def test_a_log_gives_one_paragraph():
    out, _ = mapush("triage", LOGS / "known/torch-before-isaacgym.log")
    assert out.count("\n") == 1 and out.startswith("torch was imported before isaacgym")
    assert 'line 12 "ImportError: PyTorch was imported before' in out
    assert "Remedy: Move `import isaacgym`" in out and "Confidence: high" in out and "https://" in out


def test_exit_code_and_gpu_can_be_said():
    log = LOGS / "known/physx-start.log"
    assert "rule physx-start" in mapush("triage", log)[0]
    out, _ = mapush("triage", log, "--signal", "SIGSEGV", "--compute-capability", "9.0")
    assert "rule unsupported-gpu" in out and "compute capability 9.0" in out
    log = LOGS / "known/contact-pairs.log"
    out, _ = mapush("triage", log, "--exit-code", "139", "--gpu-memory", "93", "--compute-capability", "7.5")
    assert "rule contact-pairs" in out and "Confidence: high" in out and "93 % full" in out


def test_json_holds_the_same_and_more():
    answer = json.loads(mapush("triage", LOGS / "known/isaacgym-out-of-memory.log", "--json")[0])
    assert answer["verdict"] == "known" and answer["exit_code"] is None
    assert [finding["rule"] for finding in answer["findings"]][:1] == ["isaacgym-out-of-memory"]
    assert answer["findings"][0]["evidence"][0]["line"] == 19


def test_unknown_says_so_and_what_to_attach():
    out, _ = mapush("triage", LOGS / "unknown/urdf-missing.log", code=1)
    assert out.startswith("Unknown: it failed") and "plank.urdf" in out and "mapush doctor --json" in out


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["answer"])
def test_the_smallest_inputs_of_the_issue(row, tmp_path):
    start = (LOGS / "known/contact-pairs.log").read_text().rpartition("train.sh")[0]
    text = row["text"].replace("<GYM>\n", start)
    text = text.replace("<TRACEBACK>\n", 'Traceback (most recent call last):\n  File "train.py", line 3, in main\n')
    out = answer(text, tmp_path, code=1 if row["answer"] == "unknown" else 0)
    assert f"rule {row['answer']};" in out or (row["answer"] == "unknown" and out.startswith("Unknown: it failed"))


def test_standard_input_and_a_healthy_log():
    log = (LOGS / "healthy/pytest.log").read_text()
    command = [sys.executable, "-m", "mapush_stack", "triage", "-"]
    done = subprocess.run(command, input=log, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "Nothing says that this run failed.\n"


def test_an_empty_log_says_so(tmp_path):
    (tmp_path / "empty.log").write_text("")
    out, _ = mapush("triage", tmp_path / "empty.log", code=1)
    assert out.startswith("Unknown: the log is empty; --exit-code or --signal can say how it ended.")


def test_an_exception_that_was_survived_is_told():
    out, _ = mapush("triage", LOGS / "healthy/retries.log")
    assert out == (
        "Nothing says that this run failed. It went on after the exception at line 1; if that was its end, say so with "
        "--exit-code.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "LOG or --run"),
        (["a.log", "--run", "true"], "LOG or --run"),
        (["missing.log"], "missing.log does not exist"),
        (["."], ". cannot be read: it is a folder"),
        (["policy.pt"], "policy.pt is no text"),
        (["--run", "no-such-program-anywhere"], "no-such-program-anywhere cannot be run"),
        (["--run", "'unclosed"], "No closing quotation"),
        (["--run", ""], "needs a command"),
        (["--run", "true", "--exit-code", "1"], "leave those options out"),
        (["-", "--keep", "x"], "goes with --run"),
        (["-", "--signal", "NOPE"], "--signal NOPE is no signal"),
        (["-", "--signal", "9", "--exit-code", "1"], "leave one out"),
        (["--run", "true", "--report"], "--report goes with LOG"),
        (["-", "--json", "--report"], "--report goes with LOG"),
    ],
)
def test_a_wrong_request_is_one_sentence(arguments, complaint, tmp_path):
    (tmp_path / "policy.pt").write_bytes(bytes(range(256)))
    _, err = mapush("triage", *arguments, cwd=tmp_path, code=2)
    assert complaint in err and err.count("\n") == 1


def test_a_healthy_command_passes_through_and_leaves_nothing(program, tmp_path):
    out, err = run(program("import sys; print('to out'); print('to err', file=sys.stderr)"))
    assert out == "to out\n"
    assert err.splitlines() == ["to err", "Nothing says that this run failed. It ended with exit code 0."]


def test_a_segfault_is_seen_with_its_last_lines_and_the_exit_code(program, tmp_path):
    # printf's buffer, which a pipe would lose with the process.
    lines = ["+++ Using GPU PhysX", "Physics Engine: PhysX", "GPU Pipeline: enabled"]
    prints = "".join(f"libc.printf(b'{line}\\n');" for line in lines)
    text = f"import ctypes, os; libc = ctypes.CDLL(None);{prints} os.kill(os.getpid(), 11)"
    log = tmp_path / "kept.log"
    _, err = run(program(text), "--keep", log, code=139)
    assert "There are 2 possible causes, the likeliest first. (1) " in err and "rule contact-pairs" in err
    assert f"log: {log}; what was measured: {log}.json" in err
    answer = json.loads((tmp_path / "kept.log.json").read_text())
    assert answer["exit_code"] == -11 and answer["findings"][1]["rule"] == "contact-pairs"
    assert log.read_text().splitlines()[:3] == lines


def test_json_has_standard_output_for_itself(program):
    out, err = run(program("print('mixed'); raise SystemExit(3)"), "--json", code=3)
    answer = json.loads(out)
    assert answer["verdict"] == "unknown" and answer["exit_code"] == 3
    assert 0 < answer["facts"]["host_memory"] <= 1
    assert err.startswith("mixed\n") and "log: " in err


def test_the_memory_is_traced(program, tmp_path):
    text = "import time; block = bytearray(300 << 20); block[::4096] = bytes([1]) * len(block[::4096]); time.sleep(1)"
    out, _ = run(program(text), "--json")
    trace = json.loads(out)["trace"]
    assert [one["seconds"] for one in trace] == sorted(one["seconds"] for one in trace) and len(trace) >= 3
    assert max(one["resident_mib"] for one in trace) > 300 > trace[0]["resident_mib"]
    assert all(0 < one["host_memory"] <= 1 for one in trace)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_command_once_and_its_answer_counts(program, number):
    text = f"""
import signal, time
seen = []
signal.signal({int(number)}, lambda *_: seen.append(1))
print('ready', flush=True)
while not seen: time.sleep(0.05)
time.sleep(0.5)
print('signals', len(seen), flush=True)
raise SystemExit(128 + {int(number)})
"""
    process = start("triage", "--run", f"{sys.executable} {program(text)}", start_new_session=True)
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, number)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and out == "signals 1\n" and "Nothing says that this run failed" in err


def test_a_process_left_behind_is_ended_and_holds_nobody_up(program):
    text = "import subprocess; print(subprocess.Popen(['sleep', '30'], start_new_session=True).pid, flush=True)"
    before = time.monotonic()
    out, _ = run(program(text))
    assert time.monotonic() - before < 20 and not psutil.pid_exists(int(out))


def test_nothing_is_left_behind_unless_it_is_asked_for(program, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    _, err = run(program("raise SystemExit(3)"), code=3)
    assert "--keep" in err
    mapush("triage", "--run", "no-such-program-anywhere", code=2)
    assert not list(folder.iterdir())


def test_a_reader_that_leaves_does_not_stop_the_command(program, tmp_path):
    text = f"print('first', flush=True)\nfor _ in range(20000): print('more')\nopen({str(tmp_path / 'done')!r}, 'w')"
    process = start("triage", "--run", f"{sys.executable} {program(text)}")
    assert process.stdout.readline() == "first\n"
    process.stdout.close()
    process.wait(timeout=60)
    process.stderr.close()
    assert process.returncode == 0 and (tmp_path / "done").exists()


def answer(text, folder, *options, code=0):
    """What is said of a log."""
    log = folder / "some.log"
    log.write_text(text)
    return mapush("triage", log, *options, cwd=folder, code=code)[0]


CRASH = 'Traceback (most recent call last):\n  File "/w/alice/run.py", line {}, in step\n    f()\nKeyError: {}\n'


def test_what_does_not_explain_the_end_is_only_noticed(tmp_path):
    log = "VkResult: ERROR_INCOMPATIBLE_DRIVER\nvkCreateInstance failed\n" + CRASH.format(3, "'robot'")
    out = answer(log, tmp_path, code=1)
    assert out.startswith("Unknown: it failed") and 'line 6 "KeyError' in out
    assert "Also noticed: Vulkan found no driver" in out


def test_an_unknown_crash_is_recognised(tmp_path, state):
    first = answer("start\n" + CRASH.format(3, 17), tmp_path, code=1)
    assert "Fingerprint: " in first and "seen before" not in first
    other = CRASH.format(31, 18).replace("/w/alice", "/home/b")
    again = json.loads(answer("10:02:11 start\n\n" + other, tmp_path, "--json", code=1))
    assert again["seen_before"]["source"] == str(tmp_path / "some.log") and again["fingerprint"] in first
    assert "seen before" not in answer(CRASH.format(3, 17).replace("step", "reset"), tmp_path, code=1)
    assert len((state / "crashes.tsv").read_text().splitlines()) == 2


def test_a_state_folder_that_cannot_be_used_is_no_matter(tmp_path, state):
    state.parent.mkdir()
    for damage in (
        lambda: state.write_text(""),
        lambda: (state.unlink(), (state / "crashes.tsv").mkdir(parents=True)),
    ):
        damage()
        assert "Fingerprint" in answer(CRASH.format(3, 17), tmp_path, code=1)
    (state / "crashes.tsv").rmdir()
    (state / "crashes.tsv").write_bytes(b"\xff\t{\n\n\ta\nx\n")
    assert "seen before" not in answer(CRASH.format(3, 17), tmp_path, code=1)
    assert "It was seen before: 20" in answer(CRASH.format(3, 17), tmp_path, code=1)


SECRETS = [
    "alice",
    "gpu-box7",
    "/home/alice/secret-project",
    "0123456789abcdef0123456789abcdef01234567",
    "hf_abcdefghijklmnop",
    "hunter2",
    "alice@lab.example.org",
    "10.1.2.3",
]


def test_a_report_has_the_lines_and_versions_and_nothing_private(tmp_path):
    log = """(env) alice@gpu-box7:~/secret-project$ WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567 python x.py
Token hf_abcdefghijklmnop of alice@lab.example.org, password: hunter2, node 10.1.2.3
nvidia-cublas-cu12==12.1.3.1
Traceback (most recent call last):
  File "/home/alice/secret-project/train.py", line 3, in alice_step
  File "/home/alice/venv/lib/python3.8/site-packages/torch/nn/modules/linear.py", line 114, in forward
KeyError: 'robot'
gpu-box7: done for alice
"""
    out = answer(log, tmp_path, "--report", code=1)
    assert not [secret for secret in SECRETS if secret in out.replace("alice_step", "")]
    for there in (
        "KeyError: 'robot'",
        "site-packages/torch/nn/modules/linear.py",
        "cu12==12.1.3.1",
        "PyTorch version: ",
    ):
        assert there in out, there
    assert "Python version: " in out and "Nvidia driver version: " in out and "[pip3] numpy==" in out


def test_a_report_without_torch(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.12: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    out = answer("Killed\n", tmp_path, "--report")
    assert "PyTorch version: it cannot be imported: ImportError: libcudart.so.12" in out and "rule out-of" in out


def test_a_log_that_the_console_names_is_looked_into(tmp_path):
    other = tmp_path / "kit.log"
    console = f"[Info] [carb] Logging to file: {other}\nSegmentation fault (core dumped)\n"
    assert "kit.log" not in answer(console, tmp_path, code=1).replace(f"file: {other}", "")
    other.write_text("x\n" * 100_000 + "OSError: [Errno 28] No space left on device\n")
    out = answer(console, tmp_path)
    assert "rule disk-full" in out and "Confidence: medium" in out and f'{other}: "OSError' in out
    other.write_text("F0101 12:00:00.1 9 a.cc:3] Check failed: something new\n")
    assert f'{other}: "F0101' in answer(console, tmp_path, code=1)


def test_only_regular_files_are_looked_into(tmp_path):
    console = f"A complete log of this run can be found in: {tmp_path}/npm.log\nSegmentation fault (core dumped)\n"
    (tmp_path / "disk.log").write_text("OSError: [Errno 28] No space left on device\n")
    for make in (os.mkfifo, os.mkdir, lambda path: path.symlink_to(tmp_path / "disk.log")):
        make(tmp_path / "npm.log")
        assert "disk-full" not in answer(console, tmp_path, code=1)
        (os.rmdir if (tmp_path / "npm.log").is_dir() else os.unlink)(tmp_path / "npm.log")


def test_the_newest_logs_of_a_folder_that_the_console_names(tmp_path):
    logs = tmp_path / "wandb/run-1/logs"
    logs.mkdir(parents=True)
    (logs / "debug.log").write_text("OSError: [Errno 122] Disk quota exceeded\n")
    (logs / "debug.bin").write_bytes(bytes(100))
    console = "wandb: Find logs at: ./wandb/run-1/logs\nSegmentation fault (core dumped)\n"
    assert "rule disk-full" in answer(console, tmp_path)
