"""Resolve the hash-locked requirements of every supported Python again: `nox -s lock`. Needs uv on the PATH.

torch's version is pinned here. The hashes of its CPU wheels are kept by hand in torch-cpu.lock.
"""

import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TORCH = {"3.8": "1.13.1", **dict.fromkeys(["3.11", "3.12", "3.13", "3.14"], "2.13.0")}
# numpy 1.24 dropped np.float, which Isaac Gym's torch_utils uses.
PINNED = {"3.8": ["numpy==1.23.5"]}
EXTRAS = [word for name in ("sweep", "walk", "warp", "pettingzoo", "export", "ompl") for word in ("--extra", name)]
PLATFORM = "x86_64-manylinux_2_28"
# Pythons with locks for OpenRL and HARL: Isaac Gym's, and a current one.
LIBRARIES = ["3.8", "3.11"]
COMMON = ["uv", "pip", "compile", "--quiet", "--upgrade", "--generate-hashes", "--no-header", "--no-annotate"]


def compile_lock(output: Path, *arguments: str) -> None:
    """Write one lock file."""
    subprocess.run([*COMMON, *arguments, "-o", str(output)], check=True, cwd=str(HERE.parent))


def beside(*locks: Path) -> "list[str]":
    """Options with which a lock agrees with these, and holds nothing that they hold."""
    options = []
    for lock in locks:
        held = re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE)
        options += ["-c", str(lock), *(option for name in held for option in ("--no-emit-package", name))]
    return options


def main() -> None:
    """Write every lock file."""
    compile_lock(HERE / "nox.lock", "env/nox.in", "--universal", "--python-version", "3.8")
    for name in ("lint", "browser"):
        compile_lock(HERE / f"{name}.lock", f"env/{name}.in", "--universal", "--python-version", "3.11")
    with tempfile.TemporaryDirectory() as folder:
        for version, torch in TORCH.items():
            tag = version.replace(".", "")
            requirements, wanted = HERE / f"requirements-py{tag}.lock", Path(folder) / "torch.in"
            wanted.write_text(f"torch=={torch}\n")
            pins = Path(folder) / "pins.txt"
            pins.write_text("\n".join([f"torch=={torch}", *PINNED.get(version, [])]) + "\n")
            target = ["--python-version", version, "--python-platform", PLATFORM]
            extras = ["--extra", "report"] + ([] if version == "3.8" else ["--extra", "mujoco", "--extra", "video"])
            groups = ["--group", "build", "--group", "test", "--group", "lint", "--no-emit-package", "torch"]
            without_cuda = ["--excludes", "env/cuda-packages.txt", "-c", str(pins)]
            compile_lock(requirements, "pyproject.toml", *extras, *groups, *without_cuda, *target)
            left_out = beside(requirements)
            if version in LIBRARIES:
                for name in ("openrl", "harl"):
                    wanted_too = ["pyproject.toml", "--extra", name, "--no-emit-package", "torch", *without_cuda]
                    compile_lock(HERE / f"{name}-py{tag}.lock", *wanted_too, *left_out, *target)
            compile_lock(HERE / f"torch-cuda-py{tag}.lock", str(wanted), *left_out, *target)
            if version == "3.8":
                wanted = ["env/isaacgym/requirements.in", "pyproject.toml", "--extra", "report", "--group", "test"]
                bounds = ["-c", str(requirements), *without_cuda, "--no-emit-package", "torch"]
                compile_lock(HERE / "isaacgym" / "requirements.lock", *wanted, *bounds, *target)
                continue
            more = [*without_cuda, *left_out, "--no-emit-package", "torch", *target]
            compile_lock(HERE / f"extras-py{tag}.lock", "pyproject.toml", *EXTRAS, "--group", "guidance", *more)
            if version in LIBRARIES:
                compile_lock(HERE / f"adapters-py{tag}.lock", "env/adapters.in", *more)
                libraries = [HERE / f"{name}-py{tag}.lock" for name in ("openrl", "harl")]
                compile_lock(HERE / f"upstream-py{tag}.lock", "env/upstream.in", *more, *beside(*libraries))
    agree = [option for path in sorted(HERE.glob("requirements-py31*.lock")) for option in ("-c", str(path))]
    for name in ("docs", "release"):
        compile_lock(HERE / f"{name}.lock", f"env/{name}.in", "--universal", "--python-version", "3.11", *agree)


if __name__ == "__main__":
    main()
