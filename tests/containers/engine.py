"""Docker as this machine has it: its commands, and what a build needs to reach a package index from here."""

import functools
import http.server
import os
import shutil
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = dict(os.environ, DOCKER_BUILDKIT="1", COMPOSE_DOCKER_CLI_BUILD="1")
DOCKER = os.environ.get("MAPUSH_DOCKER", "docker")


def docker(*arguments, cwd=ROOT):
    """`docker ARGUMENTS`; stderr is in stdout."""
    return run([DOCKER, *arguments], cwd)


def run(command, cwd=ROOT, **variables):
    """Run a command; `variables` are added to its environment."""
    return subprocess.run(
        command,
        cwd=str(cwd),
        env={**ENVIRONMENT, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3000,
    )


@functools.lru_cache(maxsize=None)
def why_not():
    """Why there are no tests with Docker here; empty if there are."""
    if shutil.which(DOCKER) is None:
        return f"there is no {DOCKER} command"
    if docker("info").returncode:
        return "no Docker engine answers: start one, or name one by DOCKER_HOST"
    if not compose_commands():
        return "there is neither `docker compose` nor docker-compose"
    return ""


def compose_commands():
    """Every Compose that is installed, as the start of a command."""
    found = [[DOCKER, "compose"]] if docker("compose", "version").returncode == 0 else []
    return found + ([["docker-compose"]] if shutil.which("docker-compose") else [])


VARIABLES = {
    "PYTHON_IMAGE": "MAPUSH_PYTHON_IMAGE",
    "CUDA_IMAGE": "MAPUSH_PYTHON_IMAGE",
    "PIP_INDEX_URL": "PIP_INDEX_URL",
}
"""The variable of this machine for each build argument. The CUDA image is replaced where the Python image is."""


def given(argument):
    """What this machine says of a build argument; empty if nothing."""
    return os.environ.get(VARIABLES.get(argument, ""), "")


def authorities():
    """The file of certificates that pip trusts here; empty if it is told none."""
    return os.environ.get("PIP_CERT", os.environ.get("SSL_CERT_FILE", ""))


def build(target, tag, context=ROOT, *more, **arguments):
    """Build a target, reaching packages as pip does here: its CA bundle, its index, and torch from its folder.

    `more` are further options of `docker build`, `arguments` its build arguments.
    """
    options = ["--target", target, "--tag", tag, *more]
    for argument in VARIABLES:
        if given(argument):
            options += ["--build-arg", f"{argument}={given(argument)}"]
    for name, value in arguments.items():
        options += ["--build-arg", f"{name}={value}"]
    if authorities():
        options += ["--secret", f"id=ca,src={authorities()}"]
    if torch_index():
        options += ["--build-arg", f"TORCH_INDEX={torch_index()}", "--network", "host"]
    return docker("build", "--progress", "plain", *options, str(context))


def files(image):
    """SHA-256 of every regular file in an image, and where every link leads, by path."""
    script = (
        "find / -xdev \\( -path /proc -o -path /sys -o -path /dev \\) -prune -o -type f -print0 | xargs -0 sha256sum;"
        "find / -xdev \\( -path /proc -o -path /sys -o -path /dev \\) -prune -o -type l -printf '%l  %p\\n'"
    )
    done = docker("run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "sh", image, "-c", script)
    assert done.returncode == 0, done.stdout[-4000:]
    found = {path: digest for digest, path in (line.split("  ", 1) for line in done.stdout.splitlines())}
    # Docker makes these for each container.
    return {
        path: found[path] for path in set(found) - {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/.dockerenv"}
    }


@functools.lru_cache(maxsize=None)
def torch_index():
    """The address of an index with the CPU build of torch: MAPUSH_TORCH_INDEX, or pip's folder served on loopback.

    The same for all builds of a process: another address would install the packages again.
    """
    folders = [folder for folder in os.environ.get("PIP_FIND_LINKS", "").split() if list(Path(folder).glob("torch-*"))]
    if os.environ.get("MAPUSH_TORCH_INDEX") or not folders:
        return os.environ.get("MAPUSH_TORCH_INDEX", "")

    class Handler(http.server.SimpleHTTPRequestHandler):
        """An index of one project, `/torch/`."""

        def translate_path(self, path):
            return super().translate_path(path[len("/torch") :] if path.startswith("/torch/") else path)

        def log_message(self, *arguments):
            pass

    handler = functools.partial(Handler, directory=folders[0])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"
