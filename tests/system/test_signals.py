"""Requests to stop."""

import os
import signal
import subprocess
import sys

import pytest

from mapush_stack.system import signals
from tests.cli.runner import ROOT


@pytest.fixture(autouse=True)
def handlers():
    """The handlers of before are there again afterwards."""
    before = {number: signal.getsignal(number) for number in signals.STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", signals.STOPS)
def test_the_first_signal_is_noted(number):
    with signals.StopRequest() as stop:
        assert stop.exit_code == 0
        os.kill(os.getpid(), number)
        assert stop.signal_number == number and stop.exit_code == 128 + number
        assert signals.is_stop(stop.exit_code)


def test_a_lost_terminal_sends_more_than_one_signal():
    with signals.StopRequest() as stop:
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        assert stop.exit_code == 129
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL  # a second one of a user's ends the process


def test_what_nohup_has_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals.StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.signal_number is None and signal.SIGHUP not in signals.heeded()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_ctrl_c_during_the_imports_leaves_no_traceback(tmp_path):
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    command = [sys.executable, "-m", "mapush_stack", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGINT and not done.stderr
