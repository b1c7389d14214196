"""`mapush watch`: a run in the terminal."""

import contextlib
import os
import re
import time

import numpy as np
import pytest

from mapush_stack.cli.main import main
from mapush_stack.cli.watch import sparkline
from mapush_stack.training.log import MetricsLog
from tests.cli import fabricate
from tests.cli.runner import start


def watch(capsys, path):
    assert main(["watch", str(path), "--once"]) == 0
    return capsys.readouterr().out


def test_a_frame_says_where_a_run_stands(tmp_path, capsys):
    run = fabricate.make(tmp_path, checkpoints=[(160, 0.0)], logged=[160, 240])
    out = watch(capsys, run.path)
    assert "go1push_mid-cuboid · happo · seed 1" in out
    assert "240 / 480 steps (50.0%)" in out and "100 steps/s" in out and "ETA" not in out
    assert "killed: it logged up to 240 steps" in out
    # First and last value are the ends of the scale; of two robots it is the mean.
    assert re.search(r"success +▁+█+ +0\.0% +50\.0% +50\.0%", out), out
    assert re.search(r"entropy +█+▁+ +1 +2 +1\b", out), out


def test_a_run_that_has_logged_nothing_yet(tmp_path, capsys):
    out = watch(capsys, fabricate.make(tmp_path).path)
    assert "waiting: nobody has trained it yet" in out and "0 / 480 steps" in out


def test_of_several_runs_the_newest_is_shown(tmp_path, capsys):
    old = fabricate.make(tmp_path / "a", logged=[160])
    new = fabricate.make(tmp_path / "b", "training.seed=7", logged=[160])
    for file in old.path.rglob("*"):
        os.utime(str(file), (1e9, 1e9))
    assert "seed 7" in watch(capsys, tmp_path)
    for file in new.path.rglob("*"):
        os.utime(str(file), (9e8, 9e8))
    assert "seed 1" in watch(capsys, tmp_path)


def test_other_programs_runs(tmp_path, capsys):
    openrl = tmp_path / "openrl"
    for tag in ("dist_entropy", "FPS"):
        with MetricsLog(openrl / "logs" / tag / tag, 0) as log:
            log.write({tag: 4.5}, 1000)
    out = watch(capsys, openrl)
    assert re.search(r"entropy .* 4\.5\b", out) and "running: something was written" in out
    harl = tmp_path / "harl"
    with MetricsLog(harl / "logs" / "agent0" / "policy_loss" / "agent0" / "policy_loss", 0) as log:
        log.write({"agent0/policy_loss": -0.25}, 1000)
    (harl / "config.json").write_text(
        '{"main_args": {"algo": "happo"}, "algo_args": {"train": {"num_env_steps": 4000}}}'
    )
    out = watch(capsys, harl)
    assert re.search(r"policy loss .* -0\.25\b", out) and "1,000 / 4,000 steps (25.0%)" in out and "happo" in out


@pytest.mark.parametrize("columns, wanted", [(50, False), (140, True)])
def test_on_a_terminal_it_goes_on_until_the_run_ends(tmp_path, columns, wanted):
    run = fabricate.make(tmp_path, checkpoints=[(160, 0.0)], logged=[160])
    run.lock()
    master, slave = os.openpty()
    with contextlib.suppress(OSError, ImportError):
        import fcntl
        import struct
        import termios

        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = start("watch", tmp_path, "--interval", "0.1", stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the terminal closes with the process
            break
        seen += chunk
        if run._lock is not None and b"160 / 480" in seen:
            fabricate.log(run, [320])
            fabricate.save(run, 480)
            run.release()
    os.close(master)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode(errors="replace"))
    assert process.wait(timeout=60) == 0 and "Traceback" not in text
    assert "running: process" in text and "320 / 480" in text and "finished: its last checkpoint" in text
    assert ("lowest" in text) is wanted
    assert all(len(line) <= columns for line in re.split(r"[\r\n]+", text))


def test_what_is_no_run_is_one_sentence(tmp_path, capsys):
    for path, words in ((tmp_path / "nowhere", "does not exist"), (tmp_path, "is empty")):
        assert main(["watch", str(path)]) == 2
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1


def test_a_sparkline_follows_its_values():
    steps = np.arange(0, 800, 100)
    assert sparkline(steps, np.arange(8.0), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(steps, np.arange(8.0), 4, "0123") == "0123"
    assert sparkline(np.array([0, 900, 1000]), np.array([0.0, 1.0, 2.0]), 10, "012") == "0000000002"
    assert sparkline(steps, np.full(8, 3.0), 5) == "▁▁▁▁▁"
    assert sparkline(steps[:1], np.array([1.0]), 3) == "▁▁▁"
    assert sparkline(steps, np.full(8, np.nan), 3) == "   "
    assert sparkline(steps, np.array([0, 1, np.nan, 3, 4, 5, 6, 7]), 8) == "▁▂ ▄▅▆▇█"
