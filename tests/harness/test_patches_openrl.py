"""The patches of OpenRL, on the files of its real wheel: `nox -s patches` installs it."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from tests.cli.runner import ROOT, start
from tests.harness.synthetic import snapshot

try:
    WHEEL = metadata.distribution("openrl")
except metadata.PackageNotFoundError:
    pytest.skip("OpenRL is not installed here; `nox -s patches` has it", allow_module_level=True)

IMPORTS = {
    "PPONet": "from openrl.modules.common import PPONet",
    "PPOAgent": "from openrl.runners.common import PPOAgent",
    "CheckpointCallback": "from openrl.utils.callbacks.checkpoint_callback import CheckpointCallback",
}
ORDERS = list(itertools.permutations(IMPORTS))
FAILING = [order for order in ORDERS if order.index("CheckpointCallback") < order.index("PPOAgent")]
"""A callback before the runners."""
CIRCLE = "partially initialized module 'openrl.utils.callbacks.callbacks' has no attribute 'BaseCallback'"
ALONE = [
    "from openrl.utils.callbacks.callbacks import BaseCallback",
    "from openrl.utils.type_aliases import MaybeCallback",
    "from openrl.utils.callbacks import CallbackFactory",
    "from openrl.utils.evaluation import evaluate_policy",
]
SAVE_AND_LOAD = """
import sys
from openrl.configs.config import create_config_parser
from openrl.envs.common import make
from openrl.modules.common import PPONet
from openrl.runners.common import PPOAgent
config = create_config_parser().parse_args(["--episode_length", "8", "--log_interval", "1000"])
env = make("IdentityEnv", env_num=2, asynchronous=False)
agent = PPOAgent(PPONet(env, cfg=config))
agent.train(total_time_steps=32)
before = [parameter.clone() for parameter in agent.net.module.models["policy"].parameters()]
agent.save({folder!r})
agent.train(total_time_steps=32)
agent.load({folder!r})
after = list(agent.net.module.models["policy"].parameters())
assert all((one == other).all() for one, other in zip(before, after))
"""


def program(order):
    return "\n".join(IMPORTS[name] for name in order)


def patches(*words, code=0):
    """Run `mapush patches`, in a process that imports no torch."""
    process = start("patches", *words)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """(unpatched, patched): OpenRL's packages as published, and a copy after `mapush patches apply`."""
    published, patched = (tmp_path_factory.mktemp("openrl") / name for name in ("published", "patched"))
    installed = Path(str(WHEEL.locate_file("")))
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("openrl", f"openrl-{WHEEL.version}.dist-info"):
        shutil.copytree(str(installed / name), str(published / name), ignore=ignore)
    patches("revert", "--target", published)  # the environment's own may be patched
    shutil.copytree(str(published), str(patched))
    patches("apply", "--target", patched)
    return published, patched


@pytest.fixture(scope="module")
def outcomes(sites, tmp_path_factory):
    """(exit code, last line) of every snippet, by site and code."""
    published, patched = map(str, sites)
    tasks = {}
    for name, site in (("published", published), ("patched", patched)):
        tasks.update({(name, program(order)): (site, program(order)) for order in ORDERS})
        tasks[name, "load"] = (site, SAVE_AND_LOAD.format(folder=str(tmp_path_factory.mktemp("agent"))))
    tasks.update({("patched", code): (patched, code) for code in ALONE})
    command = [sys.executable, str(ROOT / "tests" / "harness" / "openrl_snippets.py")]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    given = json.dumps(list(tasks.values()))
    done = subprocess.run(command, input=given, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip(tasks, map(tuple, json.loads(done.stdout))))


def test_the_failing_import_orders_fail_unpatched_and_no_other_does(outcomes):
    assert len(FAILING) == 3
    for order in ORDERS:
        code, line = outcomes["published", program(order)]
        assert (code, CIRCLE in line) == ((1, True) if order in FAILING else (0, False)), (order, line)


def test_all_six_import_orders_succeed_patched(outcomes):
    for order in ORDERS:
        assert outcomes["patched", program(order)][0] == 0, (order, outcomes["patched", program(order)])


@pytest.mark.parametrize("code", ALONE)
def test_what_uses_the_guarded_names_can_be_imported_first(outcomes, code):
    assert outcomes["patched", code][0] == 0, outcomes["patched", code]


def test_an_agent_can_be_loaded(outcomes):
    refuses = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6)
    code, line = outcomes["published", "load"]
    assert code == (1 if refuses else 0), line
    assert outcomes["patched", "load"][0] == 0, outcomes["patched", "load"]


def test_revert_gives_the_published_bytes_back(sites, tmp_path):
    published, patched = sites
    again = tmp_path / "again"
    shutil.copytree(str(patched), str(again), ignore=shutil.ignore_patterns("__pycache__"))
    patches("verify", "--target", again)
    patches("revert", "--target", again)
    patches("verify", "--target", again, code=1)
    sources = {path: entry for path, entry in snapshot(published).items() if "__pycache__" not in path}
    reverted = snapshot(again)
    assert {path for path in reverted if path not in sources} == {".mapush-patches.lock"}
    assert all(reverted[path][:2] == entry[:2] for path, entry in sources.items())


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_in_interpreters_that_are_wholly_fresh(sites, order):
    for site, fails in zip(sites, (order in FAILING, False)):
        environment = dict(os.environ, PYTHONPATH=str(site), OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
        command = [sys.executable, "-c", program(order)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode != 0, CIRCLE in done.stderr) == (fails, fails), done.stderr
