"""Creating, training and destroying again and again in one process. tests/gpu/test_exit.py has the same on a GPU."""

import json

import pytest

from tests.system.cycles import CYCLES, growth_mib
from tests.system.teardown import python

MOST_GROWTH_MIB = 16


@pytest.mark.slow
@pytest.mark.usefixtures("mujoco")
def test_fifty_cycles_leave_no_growth_in_memory(tmp_path):
    process = python("-m", "tests.system.cycles", tmp_path)
    out, err = process.communicate(timeout=290)
    assert process.returncode == 0, err
    seen = json.loads(out.splitlines()[-1])["rss_mib"]
    assert len(seen) == CYCLES
    assert growth_mib(seen) < MOST_GROWTH_MIB, seen


def test_growth_is_seen():
    assert growth_mib([100.0 + cycle for cycle in range(CYCLES)]) > MOST_GROWTH_MIB
    assert growth_mib([100.0 + 5 * (cycle % 3) for cycle in range(CYCLES)]) < MOST_GROWTH_MIB
