"""Other machines than this one: what each check says of them, and how facts are gathered. tests/cli has the command."""

import os
import sys
import time

import pytest

from mapush_stack.errors import UserError
from mapush_stack.harness.doctor import checks, fixes, probes
from mapush_stack.harness.doctor.machine_info import (
    Disk,
    Docker,
    Drift,
    Graphics,
    Gymtorch,
    MachineInfo,
    PatchState,
    Python,
    Torch,
)
from mapush_stack.harness.doctor.results import CheckResult, Status
from mapush_stack.harness.patches.state import State
from mapush_stack.system.gpu import Gpu, Nvidia

RTX_2070 = Gpu(name="NVIDIA GeForce RTX 2070", compute_capability=(7, 5), memory_mib=7982, free_mib=7400)
H100 = Gpu(name="NVIDIA H100 80GB HBM3", compute_capability=(9, 0), memory_mib=81559, free_mib=80000)
PASCAL = Gpu(name="NVIDIA GeForce GTX 1080", compute_capability=(6, 1), memory_mib=8119, free_mib=8000)


def driver(version, *gpus, cuda=(12, 2)):
    return Nvidia(driver=version, cuda=cuda, gpus=list(gpus))


def patch(state, problem="", directory="/opt/venv"):
    return PatchState(name="openrl-circular-import", state=state, problem=problem, directory=directory)


ISAACGYM = MachineInfo(
    python=Python(version=(3, 8, 10), executable="/opt/venv/bin/python"),
    packages={"isaacgym": "1.0rc4", "openrl": "0.2.0", "harl": "1.0", "torch": "1.13.1+cu116", "pip": "23.0"},
    torch=Torch(
        version="1.13.1+cu116",
        cuda="11.6",
        architectures=["sm_37", "sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86"],
        sees_gpu=True,
    ),
    nvidia=driver("535.104.05", RTX_2070),
    visible_devices=None,
    isaacgym="",
    torch_loaded_by="",
    gymtorch=Gymtorch(built=["/home/a/.cache/torch_extensions/py38_cu116/gymtorch"]),
    compiler={"ninja": True, "c++": True},
    patches=[patch(State.APPLIED)],
    harl_source=True,
    cpus=8,
    memory_mib=30000,
    disks=[Disk(purpose="runs", path="/opt/mapush", free_mib=90000)],
    container=True,
    shared_memory_mib=1024,
    drift=[],
    graphics=Graphics(
        errors=dict.fromkeys(["libvulkan.so.1", "libGLX_nvidia.so.0", "libEGL.so.1", "libEGL_nvidia.so.0"], ""),
        vulkan_drivers=["/usr/share/vulkan/icd.d/nvidia_icd.json"],
        capabilities="all",
    ),
    docker=Docker(toolkit=True, runtimes=["nvidia"]),
)
"""The seeds' machine, all in order."""
MODERN = ISAACGYM.model_copy(
    update={
        "python": Python(version=(3, 12, 4), executable="/opt/venv/bin/python"),
        "packages": {"mujoco": "4.0.0", "mujoco-warp": "4.0.1", "warp-lang": "1.19.0", "nvidia-ml-py": "13.615.71"},
        "torch": Torch(version="2.13.0", cuda="13.0", architectures=["sm_75", "sm_90", "compute_120"], sees_gpu=True),
        "nvidia": driver("580.95.05", H100, cuda=(13, 0)),
        "isaacgym": None,
        "gymtorch": Gymtorch(),
        "harl_source": False,
        "patches": [patch(State.ABSENT, directory=None)],
    }
)
"""A server with MuJoCo Warp, all in order."""


def told(check, facts, **changes):
    """What one check says of a machine that differs in `changes`."""
    changed = MachineInfo.model_validate({**facts.model_dump(), **changes})
    (finding,) = [finding for finding in checks.examine(changed) if finding.check == check]
    return finding.status, f"{finding.found} | {finding.remedy}"


@pytest.mark.parametrize("facts", [ISAACGYM, MODERN], ids=["isaacgym", "modern"])
def test_a_machine_in_order(facts):
    findings = checks.examine(facts)
    assert {finding.status for finding in findings} <= {Status.FINE, Status.ABSENT}
    assert not any(finding.remedy for finding in findings) and checks.exit_code(findings) == 0
    assert MachineInfo.model_validate_json(facts.model_dump_json()) == facts


def test_no_gpu_is_no_fault():
    for gone in ({}, {"torch": Torch(version="2.13.0+cpu")}):
        findings = checks.examine(MODERN.model_copy(update={"nvidia": Nvidia(), **gone}))
        assert checks.exit_code(findings) == 0


TORCH_ERROR = "OSError: /v/libcublas.so.11: undefined symbol: cublasLtGetStatusString, version libcublasLt.so.11"
STUBS = "LD_LIBRARY_PATH has /usr/local/cuda/lib64/stubs, whose libcuda.so is not this driver's | remove"
NOT_THERE = "libx.so.1: cannot open shared object file: No such file or directory"
CU12 = {"nvidia-cublas-cu12": "12.1.3.1", "nvidia-nccl-cu12": "2.18.1", "nvidia-cuda-nvcc-cu116": "11.6.124"}
CASES = [
    ("Python", ISAACGYM, {"python": {"version": (3, 10, 1), "executable": "p"}}, Status.WARNING, "3.11 to 3.14"),
    ("Python", ISAACGYM, {"python": {"version": (3, 7, 1), "executable": "p"}}, Status.BROKEN, "needs Python 3.8"),
    ("Python", MODERN, {"python": {"version": (3, 15, 0), "executable": "p"}}, Status.WARNING, "no locks for it"),
    ("torch", ISAACGYM, {"torch": {"error": TORCH_ERROR}}, Status.BROKEN, "unset LD_LIBRARY_PATH"),
    ("torch", ISAACGYM, {"torch": {"error": "ImportError: no such thing"}}, Status.BROKEN, "install torch again"),
    ("torch", MODERN, {"torch": {"version": "2.13.0+cpu"}}, Status.WARNING, "MAPUSH_TORCH=cuda"),
    (
        "CUDA packages",
        ISAACGYM,
        {"packages": {**ISAACGYM.packages, **CU12}},
        Status.WARNING,
        "/opt/venv/bin/python -m pip uninstall -y nvidia-cublas-cu12 nvidia-nccl-cu12; then install torch again",
    ),
    (
        "CUDA packages",
        ISAACGYM,
        {"packages": {"torch": "1.13.1+cu116", **CU12}, "torch": {"error": "OSError: x"}},
        Status.BROKEN,
        "uv pip uninstall --python /opt/venv/bin/python nvidia-cublas-cu12 nvidia-nccl-cu12; then",
    ),
    ("CUDA packages", MODERN, {"packages": {"nvidia-cublas": "13.1.1.3", **CU12}}, Status.WARNING, "nvidia-nccl-cu12"),
    ("CUDA packages", MODERN, {"packages": {"nvidia-cublas": "13.1", "nvidia-nccl-cu13": "2.29"}}, Status.FINE, "2 of"),
    ("CUDA packages", MODERN, {"packages": {"nvidia-cudnn": "0.0.1.dev5", "nvidia-dali": "1"}}, Status.FINE, "none"),
    ("driver", ISAACGYM, {"nvidia": driver("440.33.01", RTX_2070)}, Status.BROKEN, "a driver from 450.80"),
    ("driver", MODERN, {"nvidia": driver("535.104.05", H100)}, Status.BROKEN, "torch's CUDA 13.0 needs a driver from"),
    (
        "driver",
        MODERN,
        {"nvidia": driver("535.104.05", H100), "torch": {"version": "2.4", "cuda": "12.1"}},
        Status.BROKEN,
        "Warp 1.19.0 needs a driver from 580",
    ),
    ("driver", MODERN, {"nvidia": Nvidia(problem="Driver/library version mismatch")}, Status.BROKEN, "restart"),
    ("driver", MODERN, {"visible_devices": "-1"}, Status.WARNING, "CUDA_VISIBLE_DEVICES hides the GPU"),
    ("driver", MODERN, {"visible_devices": "0"}, Status.FINE, "580.95.05"),
    ("driver", MODERN, {"torch": {"version": "2.13", "cuda": "13.0"}}, Status.BROKEN, "torch sees no GPU"),
    (
        "driver",
        ISAACGYM,
        {"torch": {"version": "1.13", "cuda": "11.6", "cuda_error": "RuntimeError: CUDA unknown error - this may be"}},
        Status.BROKEN,
        "torch: RuntimeError: CUDA unknown error - this may be | Restart the machine, or reload the module",
    ),
    (
        "driver",
        ISAACGYM,
        {"torch": {"version": "1.13", "cuda": "11.6", "cuda_error": "RuntimeError: something new"}},
        Status.BROKEN,
        "something new | python -c 'import torch",
    ),
    ("library path", MODERN, {"library_path": {"/usr/local/cuda/lib64/stubs": ["libcuda.so"]}}, Status.WARNING, STUBS),
    (
        "library path",
        ISAACGYM,
        {"library_path": {"/c/compat": ["libcuda.so.1"]}, "torch": {"version": "1.13", "cuda": "11.6"}},
        Status.BROKEN,
        "remove /c/compat from LD_LIBRARY_PATH",
    ),
    (
        "library path",
        MODERN,
        {"library_path": {"/c/compat": ["libcudart.so.12"]}},
        Status.FINE,
        "has CUDA in /c/compat",
    ),
    (
        "library path",
        ISAACGYM,
        {"library_path": {"/usr/local/cuda/lib64": ["libcublas.so.11"]}, "torch": {"error": "OSError: x"}},
        Status.WARNING,
        "unset LD_LIBRARY_PATH",
    ),
    ("library path", MODERN, {}, Status.FINE, "has no CUDA"),
    ("Vulkan", ISAACGYM, {"graphics": {"errors": {"libvulkan.so.1": NOT_THERE}}}, Status.WARNING, "libvulkan1"),
    ("Vulkan", MODERN, {"graphics": {"errors": {"libvulkan.so.1": NOT_THERE}}}, Status.ABSENT, "libvulkan1"),
    (
        "Vulkan",
        ISAACGYM,
        {"graphics": {"errors": {"libGLX_nvidia.so.0": NOT_THERE}, "capabilities": "compute,utility"}},
        Status.WARNING,
        "NVIDIA_DRIVER_CAPABILITIES=all (now compute,utility)",
    ),
    (
        "Vulkan",
        ISAACGYM,
        {"graphics": {"vulkan_drivers": ["/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"]}},
        Status.WARNING,
        "lvp_icd.x86_64.json; NVIDIA's is not among them | for cameras",
    ),
    ("Vulkan", ISAACGYM, {"nvidia": Nvidia()}, Status.ABSENT, "no NVIDIA GPU"),
    ("EGL", MODERN, {"graphics": {"errors": {"libEGL.so.1": NOT_THERE}}}, Status.ABSENT, "apt-get install libegl1"),
    (
        "EGL",
        MODERN,
        {"graphics": {"errors": {"libEGL_nvidia.so.0": NOT_THERE}, "mujoco_gl": "egl"}, "container": False},
        Status.WARNING,
        "install the whole driver",
    ),
    ("EGL", MODERN, {"nvidia": Nvidia()}, Status.ABSENT, "no NVIDIA GPU"),
    ("Docker", MODERN, {"docker": {"toolkit": False, "runtimes": []}}, Status.WARNING, "nvidia-container-toolkit"),
    ("Docker", MODERN, {"docker": {"toolkit": True, "runtimes": []}}, Status.FINE, "none but its own"),
    ("Docker", MODERN, {"docker": None}, Status.ABSENT, "no Docker"),
    ("Docker", MODERN, {"nvidia": Nvidia()}, Status.ABSENT, "no NVIDIA GPU"),
    ("GPU and torch", ISAACGYM, {"nvidia": driver("535.1", H100)}, Status.BROKEN, "torch is built for sm_37"),
    ("GPU and torch", MODERN, {"nvidia": driver("580.1", PASCAL)}, Status.BROKEN, "compute capability 6.1"),
    ("GPU and torch", ISAACGYM, {"nvidia": driver("535.1", PASCAL)}, Status.FINE, "GTX 1080"),
    ("GPU and Isaac Gym", ISAACGYM, {"nvidia": driver("535.1", H100)}, Status.BROKEN, "use --backend warp"),
    ("GPU and Isaac Gym", ISAACGYM, {"nvidia": driver("535.1", H100, RTX_2070)}, Status.WARNING, "with an older card"),
    ("GPU and Isaac Gym", ISAACGYM, {"nvidia": Nvidia()}, Status.WARNING, "--backend mujoco"),
    (
        "GPU memory",
        ISAACGYM,
        {"nvidia": driver("535.1", RTX_2070.model_copy(update={"free_mib": 700}))},
        Status.WARNING,
        "700 of 7,982 MiB free",
    ),
    (
        "Isaac Gym",
        ISAACGYM,
        {"isaacgym": "ImportError: libpython3.8m.so.1.0: cannot open shared object file: No such file or directory"},
        Status.BROKEN,
        "apt-get install libpython3.8",
    ),
    ("Isaac Gym", ISAACGYM, {"isaacgym": "RuntimeError: whatever"}, Status.BROKEN, "shows all of it"),
    ("import order", ISAACGYM, {"torch_loaded_by": "python"}, Status.BROKEN, "sitecustomize"),
    ("import order", ISAACGYM, {"torch_loaded_by": "mapush"}, Status.BROKEN, "report it"),
    ("import order", MODERN, {"torch_loaded_by": "python"}, Status.ABSENT, "not installed"),
    ("gymtorch", ISAACGYM, {"gymtorch": {"unfinished": ["/c/gymtorch"]}}, Status.WARNING, "half compiled: /c/gymtorch"),
    ("gymtorch", ISAACGYM, {"gymtorch": {}}, Status.FINE, "not compiled yet"),
    (
        "gymtorch",
        ISAACGYM,
        {"gymtorch": {}, "compiler": {"ninja": False, "c++": True}},
        Status.WARNING,
        "and ninja not on the PATH",
    ),
    ("patches", ISAACGYM, {"patches": [patch(State.NOT_APPLIED)]}, Status.WARNING, "mapush patches apply"),
    ("patches", MODERN, {"patches": [patch(State.NOT_APPLIED)], "over_mujoco": True}, Status.FINE, "none is needed"),
    ("patches", ISAACGYM, {"patches": [patch(State.UNKNOWN, "edited by hand")]}, Status.BROKEN, "edited by hand"),
    ("patches", ISAACGYM, {"patches": [patch(State.HALF_APPLIED, "a kill")]}, Status.BROKEN, "a kill"),
    ("simulators", MODERN, {"packages": {}}, Status.BROKEN, "mapush_stack[mujoco]"),
    ("simulators", MODERN, {}, Status.FINE, "MuJoCo 4.0.0, MuJoCo Warp 4.0.1, Warp 1.19.0"),
    ("other learners", ISAACGYM, {}, Status.FINE, "OpenRL 0.2.0, HARL 1.0"),
    ("other learners", MODERN, {"harl_source": True}, Status.FINE, "HARL in HARL_SRC"),
    ("other learners", MODERN, {}, Status.ABSENT, "neither"),
    ("memory", MODERN, {"memory_mib": 900}, Status.WARNING, "end other programs"),
    ("memory", MODERN, {"memory_mib": None}, Status.ABSENT, "does not say"),
    ("disk", MODERN, {"disks": [{"purpose": "runs", "path": "/x", "free_mib": 500}]}, Status.WARNING, "room in /x"),
    ("disk", MODERN, {"disks": [{"purpose": "runs", "path": "/x", "free_mib": 5}]}, Status.BROKEN, "room in /x"),
    ("shared memory", MODERN, {"shared_memory_mib": 64}, Status.WARNING, "--shm-size 1g"),
    ("shared memory", MODERN, {"shared_memory_mib": 64, "container": False}, Status.FINE, "64 MiB"),
    ("shared memory", MODERN, {"shared_memory_mib": None}, Status.ABSENT, "no /dev/shm"),
    (
        "locks",
        MODERN,
        {"drift": [Drift(package="numpy", installed="1.26", locked="2.4.6", lock="requirements-py312.lock")]},
        Status.WARNING,
        "numpy 1.26 (locked 2.4.6) | python env/install.py /opt/venv/bin/python",
    ),
    ("locks", MODERN, {"drift": None}, Status.ABSENT, "no source tree"),
]


@pytest.mark.parametrize(("check", "facts", "changes", "status", "words"), CASES)
def test_what_a_check_says(check, facts, changes, status, words):
    said, text = told(check, facts, **{name: _plain(value) for name, value in changes.items()})
    assert said is status and words in text, text


def _plain(value):
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.model_dump() if hasattr(value, "model_dump") else value


@pytest.mark.parametrize(
    ("backend", "facts", "changes", "status", "words"),
    [
        ("mujoco", MODERN, {}, Status.FINE, "installed"),
        ("mujoco", ISAACGYM, {}, Status.BROKEN, "mujoco is not installed | pip install 'mapush_stack[mujoco]'"),
        ("warp", MODERN, {}, Status.FINE, "beside a GPU"),
        ("warp", MODERN, {"nvidia": Nvidia()}, Status.BROKEN, "no NVIDIA GPU | in a container, start it with --gpus"),
        ("warp", ISAACGYM, {}, Status.BROKEN, "pip install 'mapush_stack[warp]'"),
        ("isaacgym", ISAACGYM, {}, Status.FINE, "beside a GPU"),
        ("isaacgym", ISAACGYM, {"nvidia": Nvidia()}, Status.BROKEN, "no NVIDIA GPU"),
        ("isaacgym", MODERN, {}, Status.BROKEN, "see docs/isaacgym.md"),
    ],
)
def test_what_a_named_simulator_needs_may_not_be_absent(backend, facts, changes, status, words):
    changed = MachineInfo.model_validate(
        {**facts.model_dump(), **{name: _plain(value) for name, value in changes.items()}}
    )
    *_, last = checks.examine(changed, backend)
    assert (last.check, last.status) == (f"backend {backend}", status) and words in f"{last.found} | {last.remedy}"
    assert len(checks.examine(changed)) == len(checks.examine(changed, backend)) - 1


def test_a_broken_gpu_does_not_break_what_runs_on_the_cpu():
    facts = MODERN.model_copy(update={"nvidia": Nvidia(problem="Driver/library version mismatch")})
    assert checks.exit_code(checks.examine(facts)) == checks.exit_code(checks.examine(facts, "warp")) == 2
    assert checks.exit_code(checks.examine(facts, "mujoco")) == 1


def test_every_check_is_tried_on_more_than_one_machine():
    names = {finding.check for finding in checks.examine(MODERN)}
    assert names - {case[0] for case in CASES} == {"processors"}


def test_the_worst_finding_decides_the_exit_code():
    def code(*statuses):
        return checks.exit_code([CheckResult(check="x", status=status, found="") for status in statuses])

    assert code(Status.FINE, Status.ABSENT) == 0
    assert code(Status.FINE, Status.WARNING) == 1
    assert code(Status.BROKEN, Status.WARNING) == 2


def test_torchs_cache_of_gymtorch_is_read(tmp_path):
    old = time.time() - 3600
    for name, files in {
        "a": ["gymtorch.so"],
        "b": ["gymtorch.so", "lock"],
        "c": ["build.ninja"],
        "d": ["lock"],
    }.items():
        folder = tmp_path / name / "gymtorch"
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).write_text("")
            if name != "d":  # which is being compiled right now
                os.utime(str(folder / file), (old, old))
        if name != "d":
            os.utime(str(folder), (old, old))
    found = probes.gymtorch(tmp_path)
    assert found.built == [str(tmp_path / "a/gymtorch")]
    assert found.unfinished == [str(tmp_path / "b/gymtorch"), str(tmp_path / "c/gymtorch")]
    assert probes.gymtorch(tmp_path / "none") == Gymtorch()


def test_only_what_can_be_made_again_is_mended(tmp_path):
    folder = tmp_path / "gymtorch"
    folder.mkdir()
    facts = ISAACGYM.model_copy(
        update={"gymtorch": Gymtorch(unfinished=[str(folder)]), "patches": [patch(State.NOT_APPLIED)]}
    )
    first, second = fixes.plan(facts)
    assert str(folder) in first.description and "openrl-circular-import in /opt/venv" in second.description
    assert folder.exists()
    first.apply()
    assert not folder.exists()
    with pytest.raises(UserError, match="cannot be deleted"):
        first.apply()
    assert fixes.plan(ISAACGYM) == [] and fixes.plan(MODERN) == []


def test_locks_are_compared_with_what_is_installed(tmp_path):
    tag = "py{}{}".format(*sys.version_info[:2])
    (tmp_path / f"requirements-{tag}.lock").write_text(
        "# a comment==1\nnumpy==2.4.6 \\\n    --hash=sha256:0\nPy_Yaml==6.0 ; python_version > '3'\nabsent==1.0\n"
    )
    (tmp_path / f"torch-cuda-{tag}.lock").write_text("torch==2.13.0 \\\n    --hash=sha256:0\n")
    packages = {"numpy": "2.4.6", "py-yaml": "6.0", "torch": "2.13.0+cpu"}
    assert probes.drift(tmp_path, packages, isaacgym=False) == []
    (found,) = probes.drift(tmp_path, {**packages, "numpy": "1.26"}, isaacgym=False)
    assert (found.package, found.installed, found.locked) == ("numpy", "1.26", "2.4.6")
    assert probes.drift(tmp_path / "none", packages, isaacgym=False) is None
    (tmp_path / f"openrl-{tag}.lock").write_text("numpy==1.24\n")  # OpenRL needs an older one than the rest
    assert probes.drift(tmp_path, {**packages, "numpy": "1.24"}, isaacgym=False) == []
    assert probes.drift(tmp_path, packages, isaacgym=False) == []
    (tmp_path / "isaacgym").mkdir()
    (tmp_path / "isaacgym/requirements.lock").write_text("numpy==1.23.5\n")
    (found,) = probes.drift(tmp_path, packages, isaacgym=True)
    assert found.locked == "1.23.5"


def test_patches_are_looked_for_in_mapushs_source_tree_too(tmp_path):
    (tmp_path / "mqe").mkdir()
    found = {one.name: one for one in probes.patches(str(tmp_path))}
    assert found["contact-pairs"].state is State.UNKNOWN and found["contact-pairs"].directory == str(tmp_path)
    assert {one.name: one.state for one in probes.patches(None)}["contact-pairs"] is State.ABSENT


def test_a_folder_that_is_not_there_yet_has_its_parents_space(tmp_path):
    assert probes.disk("caches", tmp_path / "not/yet").free_mib > 0


def test_shared_memory_that_is_not_there(tmp_path):
    assert probes.shared_memory(tmp_path / "none") is None
    assert probes.shared_memory(tmp_path) > 0


def test_libraries_of_cuda_in_the_library_path_are_found(tmp_path):
    for name in ("stubs/libcuda.so", "lib64/libcudart.so.12", "lib64/libm.so", "other/libz.so"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    folders = [f"{tmp_path}/{name}" for name in ("stubs", "lib64", "other", "none")]
    assert probes.library_path(":".join(["", *folders])) == {
        folders[0]: ["libcuda.so"],
        folders[1]: ["libcudart.so.12"],
    }


def test_docker_is_known_by_its_configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert probes.docker(tmp_path / "daemon.json") is None
    for name in ("docker", "nvidia-ctk"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    assert probes.docker(tmp_path / "daemon.json") == Docker(toolkit=True, runtimes=[])
    for text, runtimes in (
        ('{"runtimes": {"nvidia": {}}}', ["nvidia"]),
        ("[]", []),
        ("{", []),
        ('{"runtimes": 3}', []),
    ):
        (tmp_path / "daemon.json").write_text(text)
        assert probes.docker(tmp_path / "daemon.json").runtimes == runtimes


def test_graphics_are_looked_for_in_a_process_of_its_own(tmp_path, monkeypatch):
    driver_file = tmp_path / "nvidia_icd.json"
    driver_file.write_text("{}")
    monkeypatch.setenv("VK_ICD_FILENAMES", f"{driver_file}:{tmp_path / 'none.json'}")
    monkeypatch.delenv("VK_DRIVER_FILES", raising=False)
    found = probes.graphics()
    assert found.vulkan_drivers == [str(driver_file)] and "libEGL.so.1" in found.errors
