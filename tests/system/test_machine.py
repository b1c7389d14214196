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


def test_a_group_of_slurm_and_its_share_bound_the_cpus(tmp_path, monkeypatch):
    own = tmp_path / "slurm" / "job_1" / "step_0"
    own.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/slurm/job_1/step_0\n")
    monkeypatch.setattr(machine, "_CGROUP_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(machine, "_OWN", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    (own / "cpu.max").write_text("max 100000\n")
    (own.parent / "cpu.max").write_text("800000 100000\n")
    assert machine.usable_cpus() == 8
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "6")
    assert machine.usable_cpus() == 6
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert machine.usable_cpus() == 3


def test_threads_that_were_asked_for_count(monkeypatch):
    from mapush_stack.training import session

    used = []
    monkeypatch.setattr(session.torch, "set_num_threads", used.append)
    monkeypatch.setattr(session, "usable_cpus", lambda: 64)
    for openmp, mkl, threads in (("3", "2", 3), ("", "2", 2), ("2,4", "", 2), ("0", "many", 4), ("-1", "", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", openmp)
        monkeypatch.setenv("MKL_NUM_THREADS", mkl)
        session.set_torch_threads(0)
        session.set_torch_threads(7)  # of the configuration
        assert used[-2:] == [threads, 7]


def test_free_memory_is_a_number_of_bytes():
    free = machine.available_memory()
    assert free is None or free > 2**20
