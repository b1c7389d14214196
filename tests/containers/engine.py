"""Docker as this machine has it: its commands, and what a build needs to reach a package index from here."""

import contextlib
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


def run(command, cwd=ROOT):
    return subprocess.run(
        command,
        cwd=str(cwd),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
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


def build(target, tag, context=ROOT):
    """Build a target, reaching packages as pip does here: its CA bundle, its index, and torch from its folder."""
    options = ["--target", target, "--tag", tag]
    for variable, argument in (("MAPUSH_PYTHON_IMAGE", "PYTHON_IMAGE"), ("PIP_INDEX_URL", "PIP_INDEX_URL")):
        if os.environ.get(variable):
            options += ["--build-arg", f"{argument}={os.environ[variable]}"]
    if os.environ.get("MAPUSH_PYTHON_IMAGE"):  # the base of what is not built as far as its first step
        options += ["--build-arg", f"CUDA_IMAGE={os.environ['MAPUSH_PYTHON_IMAGE']}"]
    authorities = os.environ.get("PIP_CERT", os.environ.get("SSL_CERT_FILE", ""))
    if authorities:
        options += ["--secret", f"id=ca,src={authorities}"]
    with torch_index() as index:
        if index:
            options += ["--build-arg", f"TORCH_INDEX={index}", "--network", "host"]
        return docker("build", "--progress", "plain", *options, str(context))


@contextlib.contextmanager
def torch_index():
    """The address of an index with the CPU build of torch: MAPUSH_TORCH_INDEX, or pip's folder served on loopback."""
    folders = [folder for folder in os.environ.get("PIP_FIND_LINKS", "").split() if list(Path(folder).glob("torch-*"))]
    if os.environ.get("MAPUSH_TORCH_INDEX") or not folders:
        yield os.environ.get("MAPUSH_TORCH_INDEX", "")
        return

    class Handler(http.server.SimpleHTTPRequestHandler):
        """An index of one project, `/torch/`."""

        def translate_path(self, path):
            return super().translate_path(path[len("/torch") :] if path.startswith("/torch/") else path)

        def log_message(self, *arguments):
            pass

    handler = functools.partial(Handler, directory=folders[0])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
