"""Sessions: `nox` runs lint and tests, `nox -s train` trains a team, `nox -l` lists all."""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
MODERN = ["3.11", "3.12", "3.13", "3.14"]
RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"
MAIN = RUNNING if RUNNING in MODERN else MODERN[0]
LIBRARIES = ["3.8", "3.11"]  # Pythons with locks for OpenRL and HARL
ONCE = [
    *("containers", "harness/test_triage.py", "test_architecture.py", "test_docs.py", "test_wheel.py"),
    *("analysis/test_diagnosis_courses.py", "analysis/test_foreign.py", "harness/test_vram.py"),
    *(f"cli/test_{name}.py" for name in ("odd_runs", "watch", "with_a_gpu")),
]
"""Tests that run on one Python: of the repository's texts, and of many cases where others try the same code on 3.8."""
nox.options.sessions = ["lint", "tests-3.8", f"tests-{MAIN}", "patches-3.8"]


def install(session: nox.Session, *options: str) -> None:
    """Install the locked environment and the project if the locks have changed; `options` go to env/install.py."""
    if session.virtualenv.venv_backend == "none":
        return  # `nox --no-venv` in a container, where everything is installed
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        # Else each process compiles torch and all else anew, which is half of a start's CPU time.
        cache = str(Path(session.virtualenv.location) / "pycache")
        session.env.update(PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=cache)
    python = str(Path(session.bin) / "python")
    stamp = Path(session.virtualenv.location) / "locks"
    locks = "".join([*options, *(path.read_text() for path in sorted((ROOT / "env").glob("*.lock")))])
    if not stamp.exists() or stamp.read_text() != locks:
        session.run("python", "env/install.py", python, "--editable", *options, external=False)
        stamp.write_text(locks)


@nox.session(python=MAIN)
def lint(session: nox.Session) -> None:
    """Style, types and common mistakes: ruff, mypy, and linters of the Dockerfile, workflows and shell scripts."""
    install(session)
    session.install("--no-deps", "--require-hashes", "-r", "env/lint.lock")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("hadolint", "Dockerfile")
    session.run("actionlint")
    session.run("shellcheck", ".ci/run", *map(str, sorted((ROOT / "env").rglob("*.s[hb]*"))))


@nox.session(python=["3.8", *MODERN])
def tests(session: nox.Session) -> None:
    """The fast tests; on Python 3.8 those of code, as far as it needs only torch."""
    install(session, *([] if session.python == "3.8" else ["--extras"]))
    # One process a core. The tests of a module stay together, because their fixtures take seconds to make.
    workers = ["-n", str(min(os.cpu_count() or 1, 8)), "--dist", "loadscope"]
    once = [f"--ignore=tests/{name}" for name in ONCE if session.python != MAIN]
    session.run("pytest", "-m", "not slow and not docker", *workers, *once, *session.posargs)


@nox.session(python=LIBRARIES)
def patches(session: nox.Session) -> None:
    """The patches of OpenRL on its real wheel; `-- -m slow` imports it in fresh interpreters, a minute."""
    try:
        install(session, "--openrl")
    except CommandFailed:
        session.skip("OpenRL's wheel, or what it needs, could not be installed: see above")
    session.run("pytest", "-m", "not slow", "tests/harness/test_patches_openrl.py", *session.posargs)


@nox.session(python=LIBRARIES)
def openrl(session: nox.Session) -> None:
    """The real OpenRL trains, stops and resumes; PettingZoo's own tests; the real wandb. A few minutes."""
    try:
        install(session, "--openrl")
    except CommandFailed:
        session.skip("OpenRL's wheel, or what it needs, could not be installed: see above")
    session.run("mapush", "patches", "apply")
    files = ["learning/openrl", "envs/test_pettingzoo.py"]
    files += ["cli/test_reproduce.py", "cli/test_train_wandb.py"]  # OpenRL installs wandb
    session.run("pytest", *(f"tests/{name}" for name in files), *session.posargs)


@nox.session(python=LIBRARIES)
def harl(session: nox.Session) -> None:
    """The real HARL trains, stops and resumes, and our learners match it; HARL_SRC names its source tree."""
    source = os.environ.get("HARL_SRC") or fetch(session, "HARL")
    install(session, "--harl")
    files = ["learning/harl", "cli/test_reproduce.py"]
    session.run("pytest", "-rs", *(f"tests/{name}" for name in files), *session.posargs, env={"HARL_SRC": source})


@nox.session(python="3.11")
def adapters(session: nox.Session) -> None:
    """Stable-Baselines3 with SuperSuit, and TorchRL, train on our environments, a minute."""
    install(session, "--adapters")
    session.run("pytest", "-rs", "tests/envs", *session.posargs)


@nox.session(python=MAIN)
def slow(session: nox.Session) -> None:
    """The tests that take minutes."""
    install(session, "--extras")
    session.run("pytest", "-m", "slow", "--ignore=tests/test_docs_commands.py", *session.posargs)


@nox.session(python=MAIN)
def browser(session: nox.Session) -> None:
    """The report and the site in Chromium, with screenshots for docs/; CHROMIUM names one that is not on the PATH."""
    if not any(map(shutil.which, [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser"])):
        session.skip("there is no Chromium: install it (apt-get install chromium), or name one in CHROMIUM")
    install(session)
    session.install("--no-deps", "--require-hashes", "-r", "env/browser.lock", "-r", "env/docs.lock")
    session.run("pytest", "-rs", "tests/browser", *session.posargs)


@nox.session(python=MAIN)
def docs(session: nox.Session) -> None:
    """Write the documentation's site to site/; any warning is an error. `docs_commands` runs what it tells to run."""
    session.install("--no-deps", "--require-hashes", "-r", "env/docs.lock")
    session.run("mkdocs", "build", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(python=MAIN)
def docs_commands(session: nox.Session) -> None:
    """The commands and the notebook of the documentation, a few minutes."""
    install(session, "--extras")
    session.install("--no-deps", "--require-hashes", "-r", "env/docs.lock")
    session.run("pytest", "-rs", "tests/test_docs_commands.py", *session.posargs)


@nox.session(python=MAIN)
def demo(session: nox.Session) -> None:
    """Build the demo in the browser (build/demo; needs npm), and try it in Chromium, a few minutes."""
    install(session, "--extras")
    session.install("--no-deps", "--require-hashes", "-r", "env/browser.lock")
    folder = ROOT / "build" / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("mapush", "play", "--web", "--out", str(folder))
    session.run("pytest", "-rs", "-s", "tests/browser/test_demo.py", *session.posargs, env={"DEMO": str(folder)})


@nox.session(python=MAIN)
def release(session: nox.Session) -> None:
    """Build sdist and wheel into dist/ and check them; then `wheel` with every Python. Half an hour."""
    session.install("--no-deps", "--require-hashes", "-r", "env/release.lock")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    # The wheel is built from the sdist; without isolation, by the setuptools of the lock.
    build = ["uv", "build", "--no-build-isolation", "--python", str(Path(session.bin) / "python")]
    session.run(*build, "--out-dir", str(dist), external=True)
    session.run("twine", "check", "--strict", *map(str, dist.glob("mapush_stack-*")))
    for version in MODERN:
        session.notify(f"wheel-{version}", session.posargs)


@nox.session(python=MODERN, reuse_venv=False)
def wheel(session: nox.Session) -> None:
    """Install the wheel of `release` into a fresh environment, offline, and run every verb; minutes each."""
    built = list((ROOT / "dist").glob("*.whl"))
    if len(built) != 1:
        session.error("there is no wheel in dist/: run `nox -s release`, which builds it and runs this session")
    python = str(Path(session.bin) / "python")
    fill = ["python", "env/install.py", python, "--extras", "--project"]
    session.run(*fill, "none", external=False)
    session.run(*fill, str(built[0]), external=False, env={"UV_OFFLINE": "1"})
    with tempfile.TemporaryDirectory() as outside, session.chdir(outside):
        session.run("python", str(ROOT / "tests" / "installed.py"), python, str(ROOT / "examples"), *session.posargs)


@nox.session(python=MAIN)
def docker(session: nox.Session) -> None:
    """Build the images and try them; needs a Docker engine (docs/docker.md); `-- -k warp` is a part."""
    install(session)
    session.run("pytest", "-m", "docker", "-rs", "tests/containers", *session.posargs)


@nox.session(python="3.11")
def isaacgym(session: nox.Session) -> None:
    """The backend isaacgym: MAPush's code over MuJoCo; MAPUSH_SRC names its source tree, or it is fetched."""
    source = os.environ.get("MAPUSH_SRC") or fetch(session, "MAPush")
    install(session, "--upstream")
    names = ["tests/harness/test_patches_mapush.py", *map(str, sorted((ROOT / "tests/sim").glob("test_isaacgym*.py")))]
    session.run("pytest", "-rs", *(session.posargs or names), env={"MAPUSH_SRC": source})


@nox.session(python="3.11")
def upstream(session: nox.Session) -> None:
    """MAPush's, HARL's and legged_gym's own programs over MuJoCo, from MAPUSH_SRC and the like, or fetched."""
    names = ("MAPush", "HARL", "legged_gym", "rsl_rl")
    keys = [f"{name.upper()}_SRC" for name in names]
    sources = {key: os.environ.get(key) or fetch(session, name) for key, name in zip(keys, names)}
    install(session, "--upstream")
    session.run("pytest", "-rs", "--timeout", "900", *(session.posargs or ["tests/upstream"]), env=sources)


def fetch(session: nox.Session, name: str) -> str:
    """Fetch a source tree at its commit by env/isaacgym/sources.sh; skips the session if it cannot be reached."""
    script = ROOT / "env" / "isaacgym" / "sources.sh"
    commit = re.search(rf"^{name}\).*?\b([0-9a-f]{{40}})\b", script.read_text(), re.MULTILINE | re.DOTALL)[1]
    folder = Path(session.cache_dir) / f"{name}-{commit}"
    if folder.exists():
        return str(folder)
    fresh = Path(session.create_tmp()) / name
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        session.run(str(script), name, str(fresh), external=True, env={"GIT_TERMINAL_PROMPT": "0"})
    except CommandFailed:
        session.skip(f"{name.upper()}_SRC does not name {name}'s source tree, and it could not be fetched: see above")
    shutil.move(str(fresh), str(folder))
    return str(folder)


@nox.session(python=MAIN)
def train(session: nox.Session) -> None:
    """Train a team, evaluate it, and print its folder; arguments go to `mapush train`."""
    install(session, "--extras")  # Warp, with which planar robots train twice as fast on a CPU
    session.run("mapush", "train", *session.posargs)


@nox.session(python=MAIN)
def smoke(session: nox.Session) -> None:
    """Test everything on this machine's simulator, a minute; `-- --backend mujoco` names one."""
    install(session, "--extras")
    session.run("mapush", "smoke", *session.posargs)


@nox.session(python=MAIN)
def cleanup(session: nox.Session) -> None:
    """The clean exit in real processes: crashes at teardown, signals, leftovers; minutes."""
    install(session, "--extras")
    files = ["tests/harness/guard", *map(str, sorted(ROOT.glob("tests/**/test_exit*.py")))]
    session.run("pytest", "-rs", *files, *session.posargs)


@nox.session(python=MAIN)
def benchmark(session: nox.Session) -> None:
    """The tables of docs/benchmarks.md; red if 3 % are lost since the commit in benchmarks/baseline."""
    install(session, "--extras")
    session.run("python", "benchmarks/tables.py", *session.posargs)


@nox.session(python=MAIN)
def vram_probe(session: nox.Session) -> None:
    """`mapush vram-probe`: how many environments fit into the memory of the GPU, or of the host."""
    install(session, "--extras")
    session.run("mapush", "vram-probe", *session.posargs)


@nox.session(python=MAIN)
def lock(session: nox.Session) -> None:
    """Resolve the locks under env/ again (needs the network)."""
    session.run("python", "env/lock.py", external=False)
