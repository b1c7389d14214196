"""Faults in the file operations of `mapush`, in processes of their own.

`python -m tests.cli.faults` kills and breaks many trainings at random, resumes them, and prints the counts of
docs/reliability.md.
"""

import contextlib
import errno
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from mapush_stack.training.run_directory import RunDirectory
from tests.cli.runner import ROOT, bytes_of, environment, the_run
from tests.conftest import SMALL

STARTUP = """
import ctypes, json, os
if "FAULT" in os.environ:
    part, operations, nth, number, count, mode, trace = json.loads(os.environ["FAULT"])
    ctypes.CDLL(None).fault_configure(
        *(text.encode() for text in (part, operations)), nth, number, count, *(t.encode() for t in (mode, trace, "")))
"""
LINES = [*SMALL, "training.total_steps=960"]
"""Six updates with a checkpoint after each."""


def second_rollout(folder, text):
    """Options of a training with a reward term that runs `text` in its second rollout; `zero` are rewards of zero."""
    (folder / "lab.py").write_text(
        "import torch\nfrom mapush_stack import register_reward_term\ncalls = []\n@register_reward_term\n"
        "def wild(step):\n    calls.append(1)\n    zero = 0.0 * step.state.robot_lin_vel[..., 0]\n"
        f"    if len(calls) > 5:\n        {text}\n    return zero\n"
    )
    return ["--plugin", folder / "lab.py", "task.rewards.wild=1.0"]


NAN = "return zero + float('nan')"


def build(folder):
    """Put the library of faults and what configures it into a folder; returns it, None without a C compiler."""
    if shutil.which("cc") is None:
        return None
    source = str(ROOT / "tests/system/fault.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(folder / "fault.so"), source, "-ldl"], check=True)
    (folder / "sitecustomize.py").write_text(STARTUP)
    return folder


def mapush(tools, *arguments, part="", operations="*", nth=1, number=errno.ENOSPC, count=10**9, mode="err", trace=""):
    """Run `mapush ARGUMENTS` with a fault from the nth matching operation on; returns (exit code, stdout, stderr)."""
    process = start(tools, *arguments, fault=[part, operations, nth, number, count, mode, trace] if part else None)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def start(tools, *arguments, fault=None):
    """Start `mapush ARGUMENTS` with a fault."""
    variables = dict(environment(), LD_PRELOAD=str(tools / "fault.so"))
    variables["PYTHONPATH"] = os.pathsep.join([str(tools), variables["PYTHONPATH"]])
    if fault is not None:
        variables["FAULT"] = json.dumps(fault)
    command = [sys.executable, "-m", "mapush_stack", *map(str, arguments)]
    return subprocess.Popen(command, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def logged_steps(run, tag="critic/value_loss"):
    """The steps of a tag as TensorBoard's two readers and this project's one have them; they must agree."""
    from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator

    from mapush_stack.analysis.events import read_folder

    found = []
    for kind, read in (
        (event_accumulator, lambda events: events.Scalars(tag)),
        (plugin_event_accumulator, lambda events: events.Tensors(tag)),
    ):
        events = kind.EventAccumulator(str(run / "logs"))
        events.Reload()
        found.append([record.step for record in read(events)])
    found.append(read_folder(list((run / "logs").iterdir())).series[tag].steps.tolist())
    assert found[0] == found[1] == found[2], found
    return found[0]


def resume(results):
    """Resume the run under `results` until it is finished, or train it if there is none; returns it."""
    command = [sys.executable, "-m", "mapush_stack", "train", "--no-evaluation"]
    try:
        command += ["--resume", str(the_run(results))]
    except AssertionError:
        command += ["--results", str(results), *LINES]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 or "is finished" in done.stderr, done.stderr
    return the_run(results)


def check(results, whole):
    """Resume the run under `results`; it must end like the run `whole`, with each step logged once and no litter."""
    run = resume(results)
    assert bytes_of(RunDirectory(run).checkpoints()[-1][1]) == bytes_of(RunDirectory(whole).checkpoints()[-1][1])
    assert logged_steps(run) == list(range(160, 961, 160)), logged_steps(run)
    assert not list(results.rglob(".writing-*"))


class Survey:
    """Many trainings with a fault each."""

    def __init__(self, folder, seed=1):
        self.tools, self.folder, self.dice = build(folder), folder, random.Random(seed)
        self.counts, self.numbers = Counter(), itertools.count()
        self.results = folder / "whole"
        assert mapush(self.tools, *self.training())[0] == 0
        self.whole = the_run(self.results)

    def training(self):
        return ["train", "--no-evaluation", "--results", self.results, *LINES]

    def operations(self):
        """How many operations on files of its run a training does."""
        self.results, trace = self.folder / "traced", self.folder / "trace.txt"
        mapush(self.tools, *self.training(), part="traced", nth=-1, trace=str(trace))
        return len(trace.read_text().splitlines())

    def try_one(self, kind, **fault):
        """Train with a fault, then resume without one."""
        self.results = self.folder / f"run{next(self.numbers)}"
        code, _, err = mapush(self.tools, *self.training(), part=self.results.name, **fault)
        assert "Traceback" not in err and err.count("\n") <= 1, (fault, err)
        assert code in (0, 1, 2, -9, 129, 130, 143), (code, err)
        check(self.results, self.whole)
        shutil.rmtree(self.results)
        self.counts[kind] += 1

    def kills_at_operations(self, times):
        last = self.operations()
        for _ in range(times):
            self.try_one("kill -9 at a file operation", mode="kill", nth=self.dice.randint(1, last))

    def errors(self, times):
        last = self.operations()
        for number in [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.ENOENT]:
            for _ in range(times):
                name = f"{errno.errorcode[number]} from a file operation on"
                self.try_one(name, number=number, nth=self.dice.randint(1, last))

    def kills_at_instants(self, times):
        for _ in range(times):
            self.results = self.folder / f"run{next(self.numbers)}"
            process = start(self.tools, *self.training())
            time.sleep(self.dice.uniform(2.0, 8.0))
            process.kill()
            process.communicate()
            check(self.results, self.whole)
            shutil.rmtree(self.results)
            self.counts["kill -9 at a random instant"] += 1

    def signals(self, times):
        """Signals in each phase of a training; the phase is where the plug-in sends it."""
        for phase in PHASES:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                for _ in range(times):
                    self.results = self.folder / f"run{next(self.numbers)}"
                    plugin = self.folder / "phase.py"
                    plugin.write_text(PHASES[phase].format(number=int(number)))
                    arguments = [*self.training(), "--plugin", plugin]
                    if phase == "evaluation":
                        arguments.remove("--no-evaluation")
                    code, _, err = mapush(self.tools, *arguments)
                    assert code == 128 + number and "Traceback" not in err, (phase, number, code, err)
                    check_signalled(self.results, self.whole)
                    shutil.rmtree(self.results)
                    self.counts[f"{number.name} during {phase}"] += 1


_SEND = """
import os
def before(owner, name, nth=1, number={number}):
    real, calls = getattr(owner, name), []
    def call(*arguments, **options):
        calls.append(1)
        if len(calls) == nth and "SIGNAL" not in os.environ:
            os.environ["SIGNAL"] = "sent"
            os.kill(os.getpid(), number)
        return real(*arguments, **options)
    setattr(owner, name, call)
"""
PHASES = {
    "start": _SEND + "from mapush_stack.training import memory\nbefore(memory, 'check')\n",
    "collecting": _SEND + "from mapush_stack.envs.push_env import PushEnv\nbefore(PushEnv, 'step', 6)\n",
    "the update": _SEND
    + "from mapush_stack.learning.native.ppo import MultiAgentPPO\nbefore(MultiAgentPPO, 'update', 2)\n",
    "a checkpoint": _SEND + "from mapush_stack.training import checkpoint\nbefore(checkpoint, 'save_tensors', 3)\n",
    "evaluation": _SEND + "from mapush_stack.evaluation import protocol\nbefore(protocol, 'run_episodes')\n",
}
"""Plug-ins that send a signal to their own process in a phase of the training."""


def check_signalled(results, whole):
    """As `check`, for a run whose manifest names a plug-in, and which may be finished, or not begun."""
    with contextlib.suppress(AssertionError):
        run = the_run(results)
        (run / "manifest.json").write_text(
            re.sub(r'"plugins": \[[^\]]*\]', '"plugins": []', (run / "manifest.json").read_text())
        )
    check(results, whole)


def main():
    with tempfile.TemporaryDirectory() as folder:
        survey = Survey(Path(folder))
        survey.kills_at_operations(40)
        survey.kills_at_instants(20)
        survey.errors(6)
        survey.signals(1)
        for kind, count in survey.counts.items():
            print(f"{count:>4}  {kind}")
        print(f"{sum(survey.counts.values()):>4}  in all; each run ended with the bytes of one without a fault")


if __name__ == "__main__":
    main()
