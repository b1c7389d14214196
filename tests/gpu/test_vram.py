"""The memory probe on an NVIDIA GPU; skipped where there is none."""

import json
import subprocess
import sys
import time

import pytest
import torch

from mapush_stack.harness.vram.ballast import ballast
from mapush_stack.system.gpu import Card
from tests.cli.runner import environment, mapush
from tests.conftest import SMALL

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no NVIDIA GPU")
LIMIT_MIB = 4096
HOLD = (
    "import time; from mapush_stack.system.gpu import Card; from mapush_stack.harness.vram.ballast import ballast\n"
    f"with ballast(Card(0), {LIMIT_MIB}) as free: print(free, flush=True); time.sleep(600)"
)


def comes_back(card, free, seconds=20.0):
    """Whether so much of the card is free within so many seconds."""
    due = time.monotonic() + seconds
    while card.memory().free < free - 64 and time.monotonic() < due:
        time.sleep(0.1)
    return card.memory().free >= free - 64


def test_the_ballast_leaves_what_it_should_and_gives_it_back():
    card = Card(0)
    before = card.memory().free
    with ballast(card, LIMIT_MIB) as free:
        assert free == pytest.approx(LIMIT_MIB, abs=64)
    assert comes_back(card, before)


def test_the_ballast_goes_with_a_probe_that_is_killed():
    card = Card(0)
    before = card.memory().free
    parent = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, env=environment())
    assert float(parent.stdout.readline()) == pytest.approx(LIMIT_MIB, abs=64)
    parent.kill()
    parent.communicate()
    assert comes_back(card, before)


def test_the_end_of_the_memory_is_found(tmp_path):
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    settings = [word for word in SMALL if not word.startswith(("sim.backend", "sim.num_envs"))]
    options = [
        "--device",
        "cuda",
        "--limit-mib",
        1536,
        "--start",
        4096,
        "--resolution",
        0.5,
        "--max-envs",
        1_000_000,
        "--json",
    ]
    out, _ = mapush("vram-probe", *options, "--out", tmp_path / "probe", *settings)
    answer = json.loads(out)
    assert answer["finished"] and answer["largest"] < answer["too_many"]
    assert {trial["outcome"] for trial in answer["trials"]} == {"fits", "out of memory"}
    assert all(trial["peak_mib"] < 1536 + 64 for trial in answer["trials"])
    assert abs(answer["held_out"]["error"]) < 0.1
