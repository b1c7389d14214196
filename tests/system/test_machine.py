import os

from mapush_stack.system import machine


def test_a_containers_quota_bounds_the_cpus(tmp_path, monkeypatch):
    file = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "_CGROUP_V2", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for text, expected in (("150000 100000\n", 2), ("max 100000\n", 8), ("10000 100000\n", 1), ("9900000 100000\n", 8)):
        file.write_text(text)
        assert machine.usable_cpus() == expected


def test_without_a_quota_the_affinity_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CGROUP_V2", tmp_path / "nothing")
    monkeypatch.setattr(machine, "_CGROUP_V1", (tmp_path / "nothing", tmp_path / "nothing"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 2, 3}, raising=False)
    assert machine.usable_cpus() == 3


def test_free_memory_is_a_number_of_bytes():
    free = machine.available_memory()
    assert free is None or free > 2**20
