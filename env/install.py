"""Install the locked environment into a Python: `env/install.py PYTHON [--editable] [--extras] ...`.

`--project none` leaves this project out; `--project FILE` installs a wheel or an sdist of it.

Needs uv on the PATH.

Everything comes by hash. With an NVIDIA GPU torch is the ordinary index's build, which contains CUDA. Without one it is
the CPU build, looked for in this order:

1. in the folders of PIP_FIND_LINKS and UV_FIND_LINKS, without network;
2. on PyTorch's CPU index, or on its mirror that MAPUSH_TORCH_INDEX names;
3. if it is in neither, the ordinary index's build is installed (2 to 3 GB), with a message.

MAPUSH_TORCH=cpu or MAPUSH_TORCH=cuda overrides the choice.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def has_gpu() -> bool:
    """True if an NVIDIA driver answers."""
    if not shutil.which("nvidia-smi"):
        return False
    return subprocess.run(["nvidia-smi", "-L"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def install(python: str, lock: Path, *options: str, quiet_failure: bool = False) -> bool:
    """Install a lock file with hashes; true if that worked."""
    command = ["uv", "pip", "install", "--quiet", "--python", python, "--no-deps", "--require-hashes"]
    environment = dict(os.environ, UV_HTTP_TIMEOUT=os.environ.get("UV_HTTP_TIMEOUT", "120"))
    errors = subprocess.DEVNULL if quiet_failure else None
    return subprocess.run([*command, *options, "-r", str(lock)], stderr=errors, env=environment).returncode == 0


def install_torch(python: str, tag: str) -> bool:
    """Install the torch that suits the machine; true if that worked."""
    wanted = os.environ.get("MAPUSH_TORCH", "cuda" if has_gpu() else "cpu")
    cpu, cuda = HERE / "torch-cpu.lock", HERE / f"torch-cuda-py{tag}.lock"
    if wanted == "cuda":
        return install(python, cuda)
    folders = os.environ.get("PIP_FIND_LINKS", "").split() + os.environ.get("UV_FIND_LINKS", "").split(",")
    links = [option for folder in folders if folder for option in ("--find-links", folder)]
    if links and install(python, cpu, "--no-index", *links, quiet_failure=True):
        return True
    index = os.environ.get("MAPUSH_TORCH_INDEX", CPU_INDEX)
    if install(python, cpu, "--index", index, quiet_failure=True):
        return True
    print(f"No CPU build of torch at {index}: installing the CUDA build instead (2 to 3 GB).", file=sys.stderr)
    return install(python, cuda)


def main() -> int:
    """Run the command line; 0 if everything was installed."""
    parser = argparse.ArgumentParser(description="Install the locked environment into a Python.")
    parser.add_argument("python", help="path of the Python to install into")
    parser.add_argument("--editable", action="store_true", help="install this checkout itself, not a copy")
    parser.add_argument("--project", metavar="FILE", help="a wheel or sdist in place of this checkout, or none")
    parser.add_argument("--extras", action="store_true", help="also what the extras sweep, walk and warp need")
    parser.add_argument("--openrl", action="store_true", help="also OpenRL and what it needs")
    parser.add_argument("--harl", action="store_true", help="also what HARL (a source tree, HARL_SRC) needs")
    parser.add_argument("--upstream", action="store_true", help="also what MAPush, legged_gym and HARL import")
    parser.add_argument("--adapters", action="store_true", help="also Stable-Baselines3, SuperSuit and TorchRL")
    arguments = parser.parse_args()
    ask = "import sys; print('{}{}'.format(*sys.version_info[:2]))"
    tag = subprocess.run([arguments.python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    if arguments.editable and arguments.project is not None:
        parser.error("--editable is this checkout, --project is another; leave one out")
    if arguments.upstream:
        arguments.openrl = arguments.harl = True
    wanted = ("extras", "openrl", "harl", "adapters", "upstream")
    locks = ["requirements", *(name for name in wanted if getattr(arguments, name))]
    for name in locks:
        if not (HERE / f"{name}-py{tag}.lock").is_file():
            known = ", ".join(sorted(path.stem.split("-py")[1] for path in HERE.glob(f"{name}-py*.lock")))
            print(f"There is no {name} lock for Python {tag}; there are locks for {known}.", file=sys.stderr)
            return 2
    if not all(install(arguments.python, HERE / f"{name}-py{tag}.lock") for name in locks):
        return 1
    if not install_torch(arguments.python, tag):
        return 1
    if arguments.project == "none":
        return 0
    project = ["-e", str(HERE.parent)] if arguments.editable else [arguments.project or str(HERE.parent)]
    # Without isolation: the build uses the setuptools of the lock, not one that uv would download without a hash.
    build = ["uv", "pip", "install", "--quiet", "--python", arguments.python, "--no-deps", "--no-build-isolation"]
    return subprocess.run([*build, *project]).returncode


if __name__ == "__main__":
    sys.exit(main())
